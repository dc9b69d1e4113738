import Credits
import LedgerModel
import JSON

/// A difference between the server and the model.
struct Disagreement: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

extension ModelLedger.Refusal {
    var status: Int {
        switch shownCode {
        case "unknown_feature", "unknown_end_user": 404
        case "feature_not_priced": 409
        case "insufficient_credits": 402
        default: 400
        }
    }

    /// The code of the API: an unacceptable instant makes the request invalid.
    var shownCode: String {
        switch code {
        case "occurred_too_long_ago", "occurs_in_the_future", "expires_in_the_past", "ends_in_the_past",
            "expires_before_start":
            "invalid_request"
        default: code
        }
    }
}

/// Comparisons of answers with the model. Each throws a sentence when the answer differs.
extension ModelLedger {
    private func same(_ what: String, _ shown: JSONValue?, _ expected: JSONValue?) throws {
        guard shown == expected else {
            throw Disagreement(
                "\(what) is \(shown.map(\.line) ?? "absent"), the model says \(expected.map(\.line) ?? "absent")")
        }
    }

    func compare(_ answer: AcceptanceTests.Answer, refused refusal: Refusal) throws {
        try same("status", .integer(Int64(answer.status)), .integer(Int64(refusal.status)))
        try same("code", answer["code"], .string(refusal.shownCode))
        if refusal.code == "insufficient_credits" {
            for (member, figure) in zip(["effective_balance", "spendable_balance", "required"], refusal.figures) {
                try same(member, answer[member], .integer(figure))
            }
        }
    }

    func compare(_ answer: AcceptanceTests.Answer, accepted status: Int) throws {
        try same("status", .integer(Int64(answer.status)), .integer(Int64(status)))
        for member in ["balance", "effective_balance"] { try same(member, answer[member], .integer(balance)) }
        guard let entry = entries.last, let shown = answer["entry"] else { throw Disagreement("there is no entry") }
        if entry.type == "use" { try same("cost", answer["cost"], .integer(-entry.amount)) }
        try compare(shown, entry)
    }

    /// Compares the answer to a grant that starts later.
    func compareScheduled(_ answer: AcceptanceTests.Answer) throws {
        try same("status", .integer(Int64(answer.status)), 201)
        try same("entry", answer["entry"], .null)
        try same("status of the block", answer["block.status"], "scheduled")
        try same("remaining of the block", answer["block.remaining"], 0)
        for member in ["balance", "effective_balance"] { try same(member, answer[member], .integer(balance)) }
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

    /// Compares a check of `units` now.
    func compareCheck(_ answer: AcceptanceTests.Answer, _ feature: String, _ units: Int64, now: Instant) throws {
        let expected: ModelLedger.Answer
        do throws(Refusal) {
            expected = try check(feature, .units(units))
        } catch {
            return try compare(answer, refused: error)
        }
        let reason = expected.reason.map { JSONValue.string($0) } ?? .null
        try same("status", .integer(Int64(answer.status)), 200)
        try same("reason", answer["reason"], reason)
        try same("allowed", answer["allowed"], .bool(reason == .null))
        try same("balance", answer["balance"], .integer(balance))
        try same("effective_balance", answer["effective_balance"], .integer(balance))
        try same("spendable_balance", answer["spendable_balance"], .integer(expected.spendable))
        try same("estimated_cost", answer["estimated_cost"], expected.cost.map { .integer($0) } ?? .null)
        try same("affordable_units", answer["affordable_units"], expected.affordable.map { .integer($0) } ?? .null)
        let taken = reason == .null ? expected.cost ?? 0 : 0
        try same("balance_after", answer["balance_after"], .integer(balance - taken))
    }

    func compareBalance(_ answer: AcceptanceTests.Answer) throws {
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

    /// - Parameter shown: The entries, newest first.
    func compareLedger(newest shown: [JSONValue]) throws {
        guard shown.count <= entries.count else { throw Disagreement("the ledger has entries that the model has not") }
        for (entry, value) in zip(entries.reversed(), shown) { try compare(value, entry) }
    }
}
