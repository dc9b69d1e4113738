package import Credits
package import JSON
package import Ledger
package import Metering

/// How the sums of an account come about at an instant.
package struct LedgerExplanation: Sendable {
    package let account: AccountName
    package let asOf: Instant
    package let standing: PastStanding
    /// Those with something remaining, in burn order.
    package let blocks: [BlockFold]
    package let holds: [HoldFold]

    /// - Parameter blocks: in any order, spent ones included.
    package init(
        account: AccountName, asOf: Instant, standing: PastStanding, blocks: [BlockFold], holds: [HoldFold]
    ) {
        self.account = account
        self.asOf = asOf
        self.standing = standing
        self.blocks = blocks.filter { $0.remaining > 0 }.sorted {
            Block.burnsBefore($0.granted.block, $1.granted.block)
        }
        self.holds = holds
    }

    /// The account as it stood, for the function that decides on uses; counters are not kept for the past.
    package func account(environmentID: EnvironmentID, settings: AccountSettings) throws(AmountOutOfRange) -> Account {
        var open: [Block] = []
        for fold in blocks {
            let block = fold.granted.block
            open.append(
                Block(
                    number: block.number, original: block.original, remaining: try Millicredits(fold.remaining),
                    held: try Millicredits(fold.held), priority: block.priority, expiresAt: block.expiresAt,
                    isPaid: block.isPaid, featureKeys: block.featureKeys))
        }
        return Account(
            id: account.id, environmentID: environmentID, endUserID: account.endUserID, version: standing.version,
            revision: 0, balance: try Millicredits(standing.balances.balance),
            reserved: try Millicredits(standing.balances.reserved), overage: try Millicredits(standing.overage),
            lifetimeGranted: try Millicredits(standing.lifetimeGranted),
            blockCount: open.map(\.number).max() ?? 0, lastHash: .zero, advancedTo: asOf, blocksInBurnOrder: open,
            reservationCount: 0, reservations: [], settings: settings, counters: .none)
    }
}

/// How the answer to "may that be used?" comes about.
package struct ExplainedEntitlement: Sendable {
    /// One of the comparisons that decide, in their order.
    struct Comparison {
        /// What the use is denied for when it does not hold.
        let reason: Denial
        let holds: Bool
        var required: Int64?
        var available: Int64?
        var cap: SpendCap?
    }

    let feature: FeatureKey
    let units: Int64
    let account: Account
    let rule: MeteringRule?
    /// Nil when the rule cannot price units.
    let entitlement: Entitlement?
    let isPast: Bool

    /// - Parameters:
    ///   - account: As it stood at `instant`.
    ///   - isPast: True when its counters are unknown.
    package init(
        of feature: FeatureKey, units: Int64, account: Account, catalogue: Catalogue, at instant: Instant, isPast: Bool
    ) {
        self.feature = feature
        self.units = units
        self.account = account
        self.isPast = isPast
        rule = catalogue.rule(for: feature, at: instant)
        var decided = try? Entitlement.decide(
            account: account, catalogue: catalogue,
            request: EntitlementRequest(feature: feature, demand: .measured(.units(units), .none)), now: instant)
        if isPast {
            decided?.quota = nil
            decided?.caps = []
        }
        entitlement = decided
    }

    /// Those that were made, the deciding one last.
    var comparisons: [Comparison] {
        guard let entitlement else { return [] }
        let cost = entitlement.cost?.rawValue
        var made: [Comparison] = []
        for reason in Denial.allCases {
            let holds = entitlement.denial != reason
            var comparison = Comparison(reason: reason, holds: holds)
            switch reason {
            case .unknownFeature, .featureNotInPlan, .featureNotPriced: made.append(comparison)
            case .quotaExceeded:
                guard let available = entitlement.quota?.remaining ?? entitlement.limit else { continue }
                (comparison.required, comparison.available) = (units, available)
                made.append(comparison)
            case .spendCapReached:
                for cap in entitlement.caps {
                    made.append(
                        Comparison(
                            reason: reason, holds: cost ?? 0 <= cap.remaining, required: cost,
                            available: cap.remaining, cap: cap.cap))
                }
            case .insufficientCredits:
                guard let cost else { continue }
                var available = entitlement.spendable
                if entitlement.overage.isAllowed {
                    let room = entitlement.overage.room(beyond: account.overage.rawValue) ?? Millicredits.limit
                    available = min(available + room, Millicredits.limit)
                }
                (comparison.required, comparison.available) = (cost, available)
                made.append(comparison)
            }
            if !holds { break }
        }
        return made
    }
}

// MARK: - Writing

extension JSONWriter {
    /// The members of an explanation.
    package mutating func members(_ explanation: LedgerExplanation) {
        let standing = explanation.standing
        member("end_user_id", explanation.account.endUserID.rawValue)
        member("as_of", explanation.asOf as Instant?)
        member("version", standing.version)
        members(standing.balances)
        member("overage", standing.overage)
        array("blocks", explanation.blocks) { json, fold in json.fold(fold, of: explanation.account) }
        array("holds", explanation.holds) { json, hold in json.fold(hold, of: explanation.account) }
    }

    private mutating func fold(_ fold: BlockFold, of account: AccountName) {
        let granted = fold.granted
        beginObject()
        member("id", account.id(.block, granted.block.number))
        member("source", granted.source.rawValue)
        member("priority", Int64(granted.block.priority))
        member("expires_at", granted.block.expiresAt)
        member("price_paid", granted.payment?.price)
        array("feature_keys", granted.block.featureKeys) { json, key in json.value(key.rawValue) }
        member("original", granted.block.original.rawValue)
        member("remaining", fold.remaining)
        member("held", fold.held)
        array("entries", fold.parts) { json, part in
            json.beginObject()
            json.member("type", part.type.rawValue)
            json.member("amount", part.amount)
            json.member("held", part.held)
            json.member("count", part.count)
            json.member("first_entry_id", account.id(.entry, part.first))
            json.member("last_entry_id", account.id(.entry, part.last))
            json.endObject()
        }
        endObject()
    }

    private mutating func fold(_ hold: HoldFold, of account: AccountName) {
        beginObject()
        member("reservation_id", account.id(.reservation, hold.reservation))
        member("feature_key", hold.featureKey?.rawValue)
        member("held", hold.held)
        array("allocation", hold.allocations) { json, allocation in
            json.beginObject()
            json.member("block_id", account.id(.block, allocation.block))
            json.member("amount", allocation.amount)
            json.endObject()
        }
        member("first_entry_id", account.id(.entry, hold.first))
        member("last_entry_id", account.id(.entry, hold.last))
        endObject()
    }

    /// `arithmetic`: each sum with the addends that make it.
    ///
    /// - Parameter feature: Whose spendable balance is derived too.
    package mutating func arithmetic(of explanation: LedgerExplanation, feature: FeatureKey?) {
        let account = explanation.account
        key("arithmetic")
        beginArray()
        let remaining = explanation.blocks.map { fold in
            Addend(what: "remaining", id: ("block_id", account.id(.block, fold.granted.block.number)), fold.remaining)
        }
        let owed = explanation.standing.overage
        let balance = Sum("balance", remaining + (owed > 0 ? [Addend(what: "overage", id: nil, -owed)] : []))
        write(balance)
        let held = explanation.holds.map { hold in
            Addend(what: "held", id: ("reservation_id", account.id(.reservation, hold.reservation)), -hold.held)
        }
        write(Sum("effective_balance", [Addend(what: "balance", id: nil, balance.value)] + held))
        if let feature {
            let open = explanation.blocks.filter { $0.granted.block.isOpen(to: feature) && $0.available > 0 }
            write(
                Sum(
                    "spendable_balance",
                    open.map { fold in
                        Addend(
                            what: "available", id: ("block_id", account.id(.block, fold.granted.block.number)),
                            fold.available)
                    }))
        }
        endArray()
    }

    private mutating func write(_ sum: Sum) {
        beginObject()
        member("result", sum.result)
        array("steps", sum.addends) { json, addend in
            json.beginObject()
            json.member("what", addend.what)
            if let id = addend.id { json.member(id.name, id.id) }
            json.member("amount", addend.amount)
            json.endObject()
        }
        member("value", sum.value)
        endObject()
    }

    /// `entitlement`: what decides on a use, up to the comparison that does.
    package mutating func entitlement(_ explained: ExplainedEntitlement, of account: AccountName) {
        let entitlement = explained.entitlement
        key("entitlement")
        beginObject()
        member("feature_key", explained.feature.rawValue)
        member("units", explained.units)
        member("allowed", entitlement?.isAllowed)
        member("reason", entitlement?.denial?.rawValue)
        key("rule")
        if let rule = explained.rule {
            beginObject()
            member("id", rule.id)
            member("version", Int64(rule.version))
            member("effective_from", rule.effectiveFrom as Instant?)
            endObject()
        } else {
            null()
        }
        if let priced = entitlement?.priced {
            members(priced)
        } else {
            member("cost", entitlement?.cost?.rawValue)
            array("breakdown", [Int64]()) { $0.value($1) }
        }
        member("spendable_balance", entitlement?.spendable)
        member("overage_policy", entitlement?.overage.policy.rawValue)
        member("overage_limit", entitlement?.overage.limit?.rawValue)
        member("limit", entitlement?.limit)
        key("quota")
        if let quota = entitlement?.quota { self.quota(quota) } else { null() }
        array("spend_caps", entitlement?.caps ?? []) { json, state in
            json.beginObject()
            json.members(state.cap, of: account)
            json.members(state)
            json.endObject()
        }
        array("comparisons", explained.comparisons) { json, comparison in
            json.beginObject()
            json.member("reason", comparison.reason.rawValue)
            json.member("holds", comparison.holds)
            json.member("required", comparison.required)
            json.member("available", comparison.available)
            if let cap = comparison.cap { json.member("spend_cap_id", account.id(.spendCap, cap.number)) }
            json.endObject()
        }
        member("note", explained.note)
        endObject()
    }
}

/// One number of a sum, and what it belongs to.
private struct Addend {
    let what: String
    let id: (name: StaticString, id: PublicID)?
    let amount: Int64

    init(what: String, id: (name: StaticString, id: PublicID)?, _ amount: Int64) {
        self.what = what
        self.id = id
        self.amount = amount
    }
}

private struct Sum {
    let result: String
    let addends: [Addend]

    init(_ result: String, _ addends: [Addend]) {
        self.result = result
        self.addends = addends
    }

    var value: Int64 { addends.reduce(0) { $0 + $1.amount } }
}

extension ExplainedEntitlement {
    /// What the reader must know beside the numbers.
    fileprivate var note: String? {
        if entitlement == nil {
            return "The rule does not price units: ask POST /v1/entitlements/check with quantities."
        }
        guard isPast else { return nil }
        return """
            Told from the entries up to that instant and today's settings of the end user. What quotas, spend caps and \
            period tiers had counted by then is not kept, so it is left out.
            """
    }
}
