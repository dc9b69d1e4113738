import Credits
import JSON
import LedgerModel

/// Compares the answer to a command with the model's reply.
struct ReplyComparison {
    let decided: DecidedOperation
    /// The model's ledger after the command.
    let ledger: ModelLedger

    private var status: Int { decided.command.status }

    func compare(_ reply: ModelReply) throws {
        let response = decided.command.json
        switch reply {
        case .refused(let refusal): try compare(refusal, response)
        case .done(let figures):
            let (expected, names) = try shape(figures)
            guard status == expected else {
                throw Difference("the books have \(status) \(response), the model accepts the command (\(expected))")
            }
            // The answer to a use is made from its entry, which is compared with the other entries.
            guard decided.command.sequence == nil, status != 204 else { return }
            for (name, figure) in zip(names, figures) where number(response, name) != figure {
                throw Difference("\(name) is not \(figure) in \(response)")
            }
            if case .subscription(let act) = decided.operation.command {
                try SubscriptionComparison(act: act, ledger: ledger).compare(response)
            }
            guard let shown = Observation.Shown(response) else { return }
            guard shown == ledger.shown else {
                throw Difference("the answer shows \(shown), the model has \(ledger.shown)")
            }
        }
    }

    /// The status of the answer, and the names of the members that hold the figures.
    private func shape(_ figures: [Int64]) throws -> (Int, [String]) {
        switch decided.operation.command {
        case .grant, .topUp: return (201, ["block"])
        case .refund:
            let count = decided.command.json["compensation"]?.items?.count ?? 0
            guard figures.count == 3 + count else { throw Difference("\(count) compensations are not \(figures)") }
            return (201, ["refunded", "overage_reduced", "forfeited"] + (0..<count).map { "compensation \($0)" })
        case .revoke: return (200, ["revoked"])
        case .adjust: return (201, ["amount"])
        case .transfer: return (201, ["credits"])
        case .reserve, .createCap: return (201, ["id"])
        case .commit, .release, .extend, .progress: return (200, ["charged", "returned", "overage", "refunded"])
        case .deleteCap, .deleteLimit, .deleteRule: return (204, [])
        case .failRequest: return (200, ["failures"])
        case .create, .setLimit, .setRule: return (figures == [1] ? 201 : 200, [])
        case .update: return (200, [])
        case .use: return (201, [])
        case .subscription(.subscribe): return (201, ["id"])
        case .subscription: return (200, ["id"])
        case .erase, .advance, nil: return (200, [])
        }
    }

    private func number(_ response: JSONValue, _ name: String) -> Int64? {
        switch name {
        case "block": return number(response["block"]?["id"], .block)
        case "id":
            return [.reservation, .spendCap, .subscription].lazy.compactMap { number(response["id"], $0) }.first
        case _ where name.hasPrefix("compensation "):
            let place = Int(name.dropFirst("compensation ".count)) ?? 0
            return number(response["compensation"]?.items?[place]["id"], .block)
        default: return response[name]?.integer
        }
    }

    private func number(_ id: JSONValue?, _ kind: PublicIDKind) -> Int64? {
        id?.text.flatMap { PublicID(kind, parsing: $0) }?.number
    }

    private func compare(_ refusal: ModelLedger.Refusal, _ response: JSONValue) throws {
        let (status, code) = Self.answer(to: refusal)
        guard self.status == status, response["code"]?.text == code else {
            throw Difference("the books have \(self.status) \(response), the model says \(status) \(refusal)")
        }
        if let key = refusal.code.split(separator: " ").dropFirst().first, status == 402,
            response["limit_key"]?.text != String(key)
        {
            throw Difference("the answer names another limit than \(key): \(response)")
        }
        var named: [Int64?] = []
        switch refusal.code {
        case "insufficient_credits":
            named = ["effective_balance", "spendable_balance", "required"].map { response[$0]?.integer }
        case "already_refunded": named = [response["refundable"]?.integer]
        case "spend_cap_reached": named = [number(response["spend_cap_id"], .spendCap)]
        default: return
        }
        guard named == refusal.figures else { throw Difference("the answer names \(named), the model \(refusal)") }
    }

    /// The status and the code of a refusal. The model names a limit behind the code.
    private static func answer(to refusal: ModelLedger.Refusal) -> (Int, String) {
        let code = String(refusal.code.prefix { $0 != " " })
        return switch code {
        case "insufficient_credits", "quota_exceeded", "spend_cap_reached": (402, code)
        case "feature_not_in_plan", "subscription_paused", "subscription_past_due": (403, code)
        case "unknown_feature", "unknown_end_user", "not_found": (404, code)
        case _ where code.hasPrefix("unknown_") && code != "unknown_dimension": (404, "not_found")
        case "feature_not_priced", "reservation_not_active", "already_refunded", "already_subscribed",
            "invalid_transition":
            (409, code)
        case "different_clocks", "too_many", "test_clock_conflict", "request_answered": (409, "conflict")
        case "amount_out_of_range": (400, code)
        default: (400, "invalid_request")
        }
    }
}

/// Compares the answer of a node with the account at its revision, after all changes that were due when the node read
/// its clock.
struct ObservationComparison {
    let observation: Observation
    let ledger: ModelLedger

    func compare(_ violations: Violations) {
        let instants =
            [observation.start] + ledger.expiries(after: observation.start, upTo: observation.end) + [observation.end]
        let states = instants.map { instant in
            var copy = ledger
            copy.advance(to: instant)
            // A check answers for an end user never seen as for one on the default plan.
            if !copy.exists {
                copy.startIfNew()
                copy.exists = true
            }
            return copy
        }
        let expected = states.map { ($0.shown, check(in: $0)) }
        if expected.contains(where: { $0.0 == observation.shown && $0.1 == observation.check }) { return }
        violations.add(
            "I21: \(observation.node) showed \(observation.endUser) at revision \(observation.revision) with "
                + "\(observation.shown) and \(observation.check.map { "\($0)" } ?? "no check"), the model has \(expected)"
        )
    }

    private func check(in ledger: ModelLedger) -> Observation.Check? {
        guard let asked = observation.check else { return nil }
        let answer = try? ledger.check(asked.feature, .units(asked.units))
        return Observation.Check(
            feature: asked.feature, units: asked.units, reason: answer?.reason, cost: answer?.cost,
            spendable: answer?.spendable, affordable: answer?.affordable,
            status: ledger.live.first?.status.rawValue)
    }
}

/// Compares the final state of an account with the model.
struct AccountComparison {
    let ledger: ModelLedger
    let revision: Int64

    func compare(_ account: Books.Account, _ books: Books) throws {
        let sums = [
            account.version, account.revision, account.balance, account.reserved, account.overage, account.lifetime,
        ]
        let expected = [
            Int64(ledger.entries.count), revision, ledger.balance, ledger.reserved, ledger.overage, ledger.lifetime,
        ]
        guard sums == expected, account.name == ledger.name else {
            throw Difference(
                "version, revision, balance, reserved, overage, lifetime are \(sums), the model says \(expected); "
                    + "name \(account.name ?? "none"), \(ledger.name ?? "none")")
        }
        let entries = books.entries[account.number] ?? []
        guard entries.count == ledger.entries.count else {
            throw Difference("there are \(entries.count) entries, the model has \(ledger.entries.count)")
        }
        let blocks = books.blocks[account.number] ?? []
        guard blocks.count == ledger.blocks.count else {
            throw Difference("there are \(blocks.count) blocks, the model has \(ledger.blocks.count)")
        }
        let held = ledger.held
        for (block, expected) in zip(blocks, ledger.blocks) {
            let isSame =
                block.number == expected.number && block.original == expected.original
                && block.remaining == expected.remaining && block.held == held[expected.number] ?? 0
                && block.priority == expected.priority && block.expiresAt == expected.expiresAt
                && block.isPaid == expected.isPaid && block.features == expected.features
                && block.source == expected.source && block.revokedAt == expected.revokedAt
                && block.arrivesAt == expected.arrivesAt && block.isAwaited == expected.isAwaited
                && block.subscription == expected.subscription && block.line == expected.line
            guard isSame else { throw Difference("the model has \(expected), the books \(block)") }
        }
        let subscriptions = books.subscriptions[account.number] ?? []
        let states = ledger.subscriptions.map { Books.Subscription($0) }
        guard subscriptions == states else {
            throw Difference("the subscriptions are \(subscriptions), the model has \(states)")
        }
        let reservations = books.reservations[account.number] ?? []
        guard reservations.count == ledger.reservations.count else {
            throw Difference("there are \(reservations.count) reservations, the model has \(ledger.reservations.count)")
        }
        for (reservation, expected) in zip(reservations, ledger.reservations) {
            let isSame =
                reservation.number == expected.number && reservation.feature == expected.feature
                && reservation.status == expected.status && reservation.version == expected.version
                && reservation.estimatedCost == expected.estimatedCost && reservation.holds == expected.holds
                && reservation.uncovered == expected.uncovered && reservation.charged == expected.charged
                && reservation.expiresAt == expected.expiresAt && reservation.createdAt == expected.createdAt
                && reservation.finishedAt == expected.finishedAt
            guard isSame else { throw Difference("the model has \(expected), the books \(reservation)") }
        }
    }
}

extension ModelLedger {
    /// The sums of the account, as an answer shows them.
    var shown: Observation.Shown {
        Observation.Shown(balance: balance, reserved: reserved, effective: effective)
    }
}
