package import Commands
import Credits
package import JSON
package import Ledger

/// The HTTP answer to a command. Only this type turns decisions into statuses and bodies.
///
/// The ledger worker makes the answer once and stores its body. The body of a successful use is not stored: it is made
/// again from the use's entry, so the first answer and every replay must be made by this type.
package struct Answer: Hashable, Sendable {
    package let status: UInt16
    /// JSON; empty for status 204.
    package let body: [UInt8]

    package init(_ status: UInt16, _ write: (inout JSONWriter) -> Void) {
        var json = JSONWriter()
        write(&json)
        self.status = status
        body = json.bytes
    }

    package init(_ problem: Problem, requestID: String) {
        status = problem.code.status
        body = problem.json(requestID: requestID)
    }

    /// The answer to an action on an account.
    package init(_ outcome: Outcome, of account: AccountName, requestID: String) {
        switch outcome {
        case .used(let entry, _): self.init(201) { $0.usage(entry, of: account) }
        case .granted(let block, let entry, let balances):
            self.init(201) { $0.grant(block, entry, balances, of: account) }
        case .refunded(let refund, let balances): self.init(201) { $0.refund(refund, balances, of: account) }
        case .revoked(let block, let revoked, let entry, let balances):
            self.init(200) { $0.revocation(block, revoked, entry, balances, of: account) }
        case .adjusted(let block, let entry, let balances):
            self.init(201) { $0.adjustment(block, entry, balances, of: account) }
        case .transferred(let transfer, let balances): self.init(201) { $0.transfer(transfer, balances, of: account) }
        case .reserved(let reservation, let balances):
            self.init(201) { $0.reservation(reservation, balances, of: account) }
        case .reservationChanged(let reservation, let change, let balances):
            self.init(200) { $0.reservation(reservation, change, balances, of: account) }
        case .spendCapCreated(let cap): self.init(201) { $0.spendCap(cap, of: account) }
        case .spendCapDeleted, .limitDeleted: self.init(204) { _ in }
        case .limitSet(let key, let state, let created): self.init(created ? 201 : 200) { $0.limit(key, state) }
        case .autoTopUpSet(let autoTopUp, let created):
            self.init(created ? 201 : 200) { $0.autoTopUp(autoTopUp, of: account) }
        case .autoTopUpDeleted: self.init(204) { _ in }
        case .topUpRequestFailed(let number, let reason, let autoTopUp):
            self.init(200) { $0.failedTopUpRequest(number, reason: reason, autoTopUp, of: account) }
        case .subscribed(let subscription): self.init(201) { $0.subscription(subscription, of: account) }
        case .subscriptionChanged(let subscription): self.init(200) { $0.subscription(subscription, of: account) }
        case .endUser(let profile, let settings, let created):
            self.init(created ? 201 : 200) { $0.endUser(profile, settings, id: account.endUserID) }
        case .endUserErased(let instant): self.init(200) { $0.erasure(at: instant, of: account) }
        case .advanced: self.init(200) { $0.raw(Array("{}".utf8)) }
        case .refused(let refusal): self.init(Problem(refusal, account: account.id), requestID: requestID)
        }
    }
}

extension CommandResult {
    /// The result of a decided command.
    ///
    /// - Parameter wantsBody: False when the id of a successful use is enough, as in a batch.
    package init(_ decided: DecidedCommand, isReplay: Bool, wantsBody: Bool) {
        let body: Body =
            switch decided.content {
            case .body(let bytes): .json(bytes)
            case .use(let account, let entry) where wantsBody: .json(Answer(201) { $0.usage(entry, of: account) }.body)
            case .use(let account, let entry): .id(account.id(.usage, entry.sequence))
            case .erased: .json(Problem.answerErased.json(requestID: decided.requestID))
            }
        self.init(
            status: decided.content == .erased ? Problem.answerErased.code.status : decided.status, isReplay: isReplay,
            position: decided.position, body: body,
            decidedAt: decided.action?.secret == nil ? nil : decided.decidedAt)
    }

    /// The result of a request that was refused and is not stored as decided.
    package init(_ problem: Problem, requestID: String) {
        self.init(
            status: problem.code.status, isReplay: false, position: .none,
            body: .json(problem.json(requestID: requestID)))
    }
}
