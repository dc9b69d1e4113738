import Credits
import JSON

/// The outcome of an operation, as far as its client knows it.
enum Outcome: Equatable, Sendable {
    /// Decided, with a status and the id of the created object or the code of the refusal.
    case decided(Decision)
    /// Answered 202: the command is in the queue, and its result can be read under the operation's id.
    case accepted(operation: String)
    /// No answer, or one that leaves the outcome open: the operation may have been applied.
    case unknown(String)
    /// Refused before anything was done: the operation must have no effect.
    case notAccepted(String)

    struct Decision: Equatable, Sendable {
        let status: Int
        let mark: String

        /// Whether the ledger forgets the decision when a window ends. The operation is then decided anew.
        var mayBeForgotten: Bool { status == 402 && ["quota_exceeded", "spend_cap_reached"].contains(mark) }
    }

    /// The outcome in the answer to one operation.
    init(_ result: CallResult) {
        switch result {
        case .unsent(let reason): self = .notAccepted(reason)
        case .lost(let reason): self = .unknown(reason)
        case .answered(let answer): self.init(status: answer.status, body: answer.json)
        }
    }

    init(status: Int, body: JSONValue) {
        switch status {
        case 200, 201, 204, 400, 402, 404, 409, 422:
            self = .decided(Decision(status: status, mark: Self.mark(body)))
        case 403 where Self.ofPlans.contains(body["code"]?.text ?? ""):
            self = .decided(Decision(status: status, mark: Self.mark(body)))
        case 202: self = .accepted(operation: body["operation"]?["id"]?.text ?? "")
        case 503 where body["outcome"]?.text != "unknown": self = .notAccepted(body["detail"]?.text ?? "503")
        default: self = .unknown("\(status) \(body["detail"]?.text ?? "")")
        }
    }

    /// The codes with which the ledger refuses a use with status 403.
    private static let ofPlans: Set = ["feature_not_in_plan", "subscription_paused", "subscription_past_due"]

    /// The outcomes of a batch's events, in order. Without results, each event has the outcome of the whole call.
    static func batch(_ result: CallResult, count: Int) -> [Outcome] {
        guard case .answered(let answer) = result, answer.status == 200 else {
            return Array(repeating: Outcome(result), count: count)
        }
        guard let results = answer.json["results"]?.items, results.count == count else {
            return Array(repeating: .unknown("500 the answer is not one to a batch: \(answer.text)"), count: count)
        }
        return results.map { result in
            if let id = result["id"]?.text { return .decided(Decision(status: 201, mark: id)) }
            let error = result["error"] ?? .null
            return Outcome(status: Int(error["status"]?.integer ?? 0), body: error)
        }
    }

    private static func mark(_ body: JSONValue) -> String {
        let made = [body["block"], body, body["entries"]?.items?.first, body["entry"]]
        return body["code"]?.text ?? made.lazy.compactMap { $0?["id"]?.text }.first ?? body["end_user_id"]?.text
            ?? body["key"]?.text ?? ""
    }

    /// The name in the report.
    var name: String {
        switch self {
        case .decided(let decision) where decision.status < 300: "done"
        case .decided(let decision): "\(decision.status) \(decision.mark)"
        case .accepted: "accepted"
        case .unknown: "unknown"
        case .notAccepted: "not taken"
        }
    }

    /// Joins the outcomes of two requests for the same operation.
    ///
    /// - Returns: Nil when the two contradict each other.
    static func joined(_ first: Outcome, _ second: Outcome) -> Outcome? {
        switch (first, second) {
        case (.decided(let left), .decided(let right)) where left == right: first
        case (.decided(let left), .decided) where left.mayBeForgotten: second
        case (.decided, .decided(let right)) where right.mayBeForgotten: first
        case (.decided, .decided): nil
        case (.decided, _): first
        case (_, .decided): second
        case (.accepted(let left), .accepted(let right)): left == right ? first : nil
        case (.accepted, _): first
        case (_, .accepted): second
        case (.unknown, _): first
        case (_, .unknown): second
        case (.notAccepted, .notAccepted): first
        }
    }
}

/// An operation, with its outcome as its client knows it.
struct Record: Sendable {
    let operation: Operation
    /// The outcome of the first request, or of the first two that were sent at once.
    let firstOutcome: Outcome
    /// The outcome that is known now.
    var outcome: Outcome
    /// The body of the first answer; kept only for some single operations.
    var answer: [UInt8]?
}

/// The answer of a node about an end user.
struct Observation: Sendable {
    /// The sums of an account.
    struct Shown: Equatable, Sendable {
        let balance: Int64
        let reserved: Int64
        let effective: Int64

        init(balance: Int64, reserved: Int64, effective: Int64) {
            self.balance = balance
            self.reserved = reserved
            self.effective = effective
        }

        /// Reads the sums from any answer that contains them.
        init?(_ json: JSONValue) {
            guard let balance = json["balance"]?.integer, let reserved = json["reserved_balance"]?.integer,
                let effective = json["effective_balance"]?.integer
            else { return nil }
            self.init(balance: balance, reserved: reserved, effective: effective)
        }
    }

    /// The answer to a check.
    struct Check: Equatable, Sendable {
        let feature: String
        let units: Int64
        let reason: String?
        let cost: Int64?
        let spendable: Int64?
        let affordable: Int64?
        /// The status of the first live subscription by slot.
        let status: String?

        init(
            feature: String, units: Int64, reason: String?, cost: Int64?, spendable: Int64?, affordable: Int64?,
            status: String?
        ) {
            self.feature = feature
            self.units = units
            self.reason = reason
            self.cost = cost
            self.spendable = spendable
            self.affordable = affordable
            self.status = status
        }

        init(_ feature: String, _ units: Int64, _ json: JSONValue) {
            self.init(
                feature: feature, units: units, reason: json["reason"]?.text, cost: json["estimated_cost"]?.integer,
                spendable: json["spendable_balance"]?.integer, affordable: json["affordable_units"]?.integer,
                status: json["subscription_status"]?.text)
        }
    }

    let endUser: EndUser
    let revision: Int64
    let shown: Shown
    let check: Check?
    /// The node read its clock between `start` and `end`.
    let start: Instant
    let end: Instant
    let node: String
}

/// The operations and observations of one client, in its order.
struct ClientJournal: Sendable {
    let client: Int
    var records: [Record] = []
    /// By end user, the indexes in `records` of the operations that the first answer confirmed (decided or accepted),
    /// in order of confirmation.
    var confirmed: [EndUser: [Int]] = [:]
    var observations: [Observation] = []
}
