import Catalogue
package import Credits
package import JSON
package import Ledger
import Metering

extension JSONWriter {
    /// Writes the members of an explanation.
    package mutating func members(_ explanation: LedgerExplanation) {
        let standing = explanation.standing
        member("end_user_id", explanation.account.endUserID.rawValue)
        member("as_of", explanation.asOf as Instant?)
        member("version", standing.version)
        members(standing.balances)
        member("overage", standing.overage)
        array("blocks", explanation.blocks) { json, history in json.history(history, of: explanation.account) }
        array("holds", explanation.holds) { json, hold in json.history(hold, of: explanation.account) }
    }

    private mutating func history(_ history: BlockHistory, of account: AccountName) {
        let granted = history.granted
        beginObject()
        member("id", account.id(.block, granted.block.number))
        member("source", granted.source.rawValue)
        member("priority", Int64(granted.block.priority))
        member("expires_at", granted.block.expiresAt)
        member("price_paid", granted.payment?.price)
        array("feature_keys", granted.block.featureKeys) { json, key in json.value(key.rawValue) }
        origin(of: granted.block, account)
        member("original", granted.block.original.rawValue)
        member("remaining", history.remaining)
        member("held", history.held)
        array("entries", history.parts) { json, part in
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

    private mutating func history(_ hold: HoldHistory, of account: AccountName) {
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

    /// Writes `arithmetic`: each sum with its addends.
    ///
    /// - Parameter feature: The feature whose spendable balance is derived as well; nil leaves that sum out.
    package mutating func arithmetic(of explanation: LedgerExplanation, feature: FeatureKey?) {
        let account = explanation.account
        key("arithmetic")
        beginArray()
        let remaining = explanation.blocks.map { history in
            Addend(
                what: "remaining", id: ("block_id", account.id(.block, history.granted.block.number)), history.remaining
            )
        }
        let owed = explanation.standing.overage
        let balance = Sum("balance", remaining + (owed > 0 ? [Addend(what: "overage", id: nil, -owed)] : []))
        write(balance)
        let held = explanation.holds.map { hold in
            Addend(what: "held", id: ("reservation_id", account.id(.reservation, hold.reservation)), -hold.held)
        }
        let frozen = explanation.blocks.filter { explanation.isFrozen($0) && $0.available > 0 }.map { history in
            Addend(
                what: "frozen", id: ("block_id", account.id(.block, history.granted.block.number)), -history.available)
        }
        write(Sum("effective_balance", [Addend(what: "balance", id: nil, balance.value)] + held + frozen))
        if let feature {
            let open = explanation.blocks.filter {
                $0.granted.block.isOpen(to: feature) && $0.available > 0 && !explanation.isFrozen($0)
            }
            write(
                Sum(
                    "spendable_balance",
                    open.map { history in
                        Addend(
                            what: "available", id: ("block_id", account.id(.block, history.granted.block.number)),
                            history.available)
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

    /// Writes `entitlement`: everything that decides a use, up to the deciding comparison.
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
        limits(entitlement?.quota, entitlement?.caps ?? [], of: account)
        array("comparisons", explained.comparisons) { json, comparison in
            json.beginObject()
            json.member("reason", comparison.reason.rawValue)
            json.member("holds", comparison.holds)
            json.member("required", comparison.required)
            json.member("available", comparison.available)
            if let limit = comparison.limit {
                if case .cap(let cap) = limit.applied.face {
                    json.member("spend_cap_id", account.id(.spendCap, cap.number))
                }
                json.member("limit_key", limit.applied.key.rawValue)
            }
            json.endObject()
        }
        member("note", explained.note)
        endObject()
    }
}

/// One addend of a sum, and the object that it belongs to.
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
    /// A sentence for the reader that explains what the numbers leave out.
    fileprivate var note: String? {
        if entitlement == nil {
            return "The rule cannot price these units. For a price with dimensions, use POST /v1/entitlements/check."
        }
        guard isPast else { return nil }
        return """
            Computed from the entries up to that instant, the end user's present settings, and the subscriptions that \
            were live then, with their latest variant and quantity. Past counts of quotas, spend caps and period tiers \
            are not kept, and neither are earlier pauses and times of grace, so they are left out.
            """
    }
}
