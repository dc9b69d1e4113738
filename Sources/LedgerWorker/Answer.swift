import Credits
import JSON
import Ledger
import Representations

/// The HTTP answer to an outcome.
struct Answer {
    let status: UInt16
    let body: [UInt8]

    init(status: UInt16, body: [UInt8]) {
        self.status = status
        self.body = body
    }

    init(_ problem: Problem, requestID: String) {
        self.init(status: problem.code.status, body: problem.json(requestID: requestID))
    }

    init(_ outcome: Outcome, account: AccountName, requestID: String) {
        var json = JSONWriter()
        switch outcome {
        case .used(let entry, _):
            json.usage(entry, of: account)
            self.init(status: 201, body: json.bytes)
        case .granted(let block, let entry, let balances):
            json.grant(block, entry, balances, of: account)
            self.init(status: 201, body: json.bytes)
        case .endUser(let profile, let created):
            json.endUser(profile, id: account.endUserID)
            self.init(status: created ? 201 : 200, body: json.bytes)
        case .advanced:
            self.init(status: 200, body: Array("{}".utf8))
        case .refused(let refusal):
            self.init(Problem(refusal), requestID: requestID)
        }
    }
}

extension Problem {
    init(_ refusal: Refusal) {
        switch refusal {
        case .occurredTooLongAgo(let instant, let now):
            self.init(
                .invalidRequest,
                "occurred_at is \(instant), more than 35 days before now (\(now)). Older events are not taken.",
                errors: [FieldError(pointer: "/occurred_at", detail: "must not be more than 35 days back")])
        case .occursInTheFuture(let instant, let now):
            self.init(
                .invalidRequest,
                "occurred_at is \(instant), more than 5 minutes ahead of now (\(now)). Check the sender's clock.",
                errors: [FieldError(pointer: "/occurred_at", detail: "must not be more than 5 minutes ahead")])
        case .expiresInThePast(let instant, let now):
            self.init(
                .invalidRequest, "expires_at is \(instant), which is not after now (\(now)).",
                errors: [FieldError(pointer: "/expires_at", detail: "must be in the future")])
        case .unknownEndUser:
            self.init(.unknownEndUser, "No end user has that id in this environment. Create it, or check the id.")
        case .unknownFeature(let key):
            self.init(
                .unknownFeature,
                "There is no feature \(key.rawValue) in this environment, or it is archived. Create it with POST /v1/features."
            )
        case .featureNotPriced(let key):
            self.init(
                .featureNotPriced,
                "No metering rule for \(key.rawValue) is in force at that instant. Create one with POST /v1/metering-rules."
            )
        case .amountOutOfRange(let field):
            self.init(
                .amountOutOfRange,
                "The result would leave the range of amounts, ±9007199254740991 millicredits.",
                errors: [FieldError(pointer: "/\(field)", detail: "leads to an amount beyond ±9007199254740991")])
        case .insufficientCredits(let effectiveBalance, let spendable, let required):
            self.init(
                .insufficientCredits,
                "The use costs \(required) mc and \(spendable) mc can be spent on this feature.",
                numbers: [
                    "effective_balance": effectiveBalance, "required": required, "spendable_balance": spendable,
                ])
        }
    }
}
