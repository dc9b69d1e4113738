import Credits
import LedgerModel
import JSON

/// The server and the model disagree.
struct Disagreement: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// What the model says of an answer. Each throws a sentence when the answer says something else.
extension ModelLedger {
    private func same(_ what: String, _ shown: JSONValue?, _ expected: JSONValue?) throws {
        guard shown == expected else {
            throw Disagreement(
                "\(what) is \(shown.map(\.line) ?? "absent"), the model says \(expected.map(\.line) ?? "absent")")
        }
    }

    func compare(_ answer: Answer, refused refusal: Refusal) throws {
        let (status, code): (Int, String) =
            switch refusal {
            case .malformed(let code): (400, code)
            case .unknownFeature: (404, "unknown_feature")
            case .unknownEndUser: (404, "unknown_end_user")
            case .notPriced: (409, "feature_not_priced")
            case .insufficient: (402, "insufficient_credits")
            }
        try same("status", .integer(Int64(answer.status)), .integer(Int64(status)))
        try same("code", answer["code"], .string(code))
        if case .insufficient(let effective, let required) = refusal {
            try same("effective_balance", answer["effective_balance"], .integer(effective))
            try same("required", answer["required"], .integer(required))
        }
    }

    func compare(_ answer: Answer, accepted status: Int) throws {
        try same("status", .integer(Int64(answer.status)), .integer(Int64(status)))
        for member in ["balance", "effective_balance"] { try same(member, answer[member], .integer(balance)) }
        guard let entry = entries.last, let shown = answer["entry"] else { throw Disagreement("there is no entry") }
        if entry.type == "use" { try same("cost", answer["cost"], .integer(-entry.amount)) }
        try compare(shown, entry)
    }

    private func compare(_ shown: JSONValue, _ entry: Entry) throws {
        try same("sequence", shown[path: "sequence"], .integer(entry.sequence))
        try same("type", shown[path: "type"], .string(entry.type))
        try same("amount", shown[path: "amount"], .integer(entry.amount))
        try same("balance_after", shown[path: "balance_after"], .integer(entry.balanceAfter))
        try same("feature_key", shown[path: "feature_key"], entry.feature.map { .string($0) })
        try same("units", shown[path: "units"], entry.units.map { .integer($0) })
        if let effectiveAt = entry.effectiveAt {
            try same("effective_at", shown[path: "effective_at"], .string(effectiveAt.description))
        }
        let shares = entry.allocation.map { share in
            JSONValue.members([
                ("block_id", .string(blocks[share.block - 1].id)), ("amount", .integer(share.amount)),
            ])
        }
        try same("allocation of \(entry.sequence)", shown[path: "allocation"], .array(shares))
    }

    /// A check of `units` now.
    func compareCheck(_ answer: Answer, _ feature: String, _ units: Int64, now: Instant) throws {
        var reason: JSONValue = .null
        var cost: Int64?
        let spendable = spendable(feature)
        do {
            let price = try price(feature, at: now)
            guard let exact = price.cost(units) else {
                return try compare(answer, refused: .malformed("amount_out_of_range"))
            }
            cost = exact
            if exact > spendable { reason = "insufficient_credits" }
            let affordable = answer["affordable_units"]?.integer ?? -1
            let isAffordable = (price.cost(affordable) ?? .max) <= spendable
            let isMost =
                affordable == Self.largestAmount || (price.cost(affordable + 1) ?? .max) > spendable
            guard affordable >= 0, isAffordable, isMost else {
                throw Disagreement("affordable_units is \(affordable) with \(spendable) to spend")
            }
        } catch let refusal as Refusal {
            reason = refusal == .unknownFeature ? "unknown_feature" : "feature_not_priced"
            try same("affordable_units", answer["affordable_units"], 0)
        }
        try same("status", .integer(Int64(answer.status)), 200)
        try same("reason", answer["reason"], reason)
        try same("allowed", answer["allowed"], .bool(reason == .null))
        try same("balance", answer["balance"], .integer(balance))
        try same("effective_balance", answer["effective_balance"], .integer(balance))
        try same("spendable_balance", answer["spendable_balance"], .integer(spendable))
        try same("estimated_cost", answer["estimated_cost"], cost.map { .integer($0) } ?? .null)
        try same("balance_after", answer["balance_after"], .integer(balance - (reason == .null ? cost ?? 0 : 0)))
    }

    func compareBalance(_ answer: Answer) throws {
        try same("balance", answer["balance"], .integer(balance))
        try same("lifetime_granted", answer["lifetime_granted"], .integer(lifetime))
        try same("version", answer["version"], .integer(Int64(entries.count)))
    }

    func compareBlocks(_ shown: [JSONValue]) throws {
        let open = burnOrder
        let openIDs = shown.prefix(open.count).map { $0[path: "id"]?.text }
        guard openIDs == open.map(\.id) else {
            throw Disagreement("blocks burn in the order \(openIDs), the model says \(open.map(\.id))")
        }
        guard shown.count == blocks.count else {
            throw Disagreement("there are \(shown.count) blocks, the model says \(blocks.count)")
        }
        for block in blocks {
            let found = shown.first { $0[path: "id"]?.text == block.id }
            try same("original of \(block.id)", found?[path: "original"], .integer(block.original))
            try same("remaining of \(block.id)", found?[path: "remaining"], .integer(block.remaining))
            try same("status of \(block.id)", found?[path: "status"], .string(block.status))
            try same("priority of \(block.id)", found?[path: "priority"], .integer(block.priority))
        }
    }

    /// - Parameter shown: Newest first.
    func compareLedger(newest shown: [JSONValue]) throws {
        guard shown.count <= entries.count else { throw Disagreement("the ledger has entries that the model has not") }
        for (entry, value) in zip(entries.reversed(), shown) { try compare(value, entry) }
    }
}
