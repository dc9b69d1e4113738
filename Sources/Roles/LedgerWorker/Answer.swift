import Credits
import JSON
import Ledger
import Answers

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
        var status: UInt16 = 201
        switch outcome {
        case .used(let entry, _): json.usage(entry, of: account)
        case .granted(let block, let entry, let balances): json.grant(block, entry, balances, of: account)
        case .refunded(let refund, let balances): json.refund(refund, balances, of: account)
        case .revoked(let block, let entry, let balances):
            json.revocation(block, entry, balances, of: account)
            status = 200
        case .adjusted(let block, let entry, let balances): json.adjustment(block, entry, balances, of: account)
        case .transferred(let transfer, let balances): json.transfer(transfer, balances, of: account)
        case .reserved(let reservation, let balances): json.reservation(reservation, balances, of: account)
        case .reservationChanged(let reservation, let change, let balances):
            json.reservation(reservation, change, balances, of: account)
            status = 200
        case .spendCapCreated(let cap): json.spendCap(cap, of: account)
        case .spendCapDeleted: status = 204
        case .endUser(let profile, let settings, let created):
            json.endUser(profile, settings, id: account.endUserID)
            status = created ? 201 : 200
        case .advanced:
            json.beginObject()
            json.endObject()
            status = 200
        case .refused(let refusal):
            self.init(Problem(refusal, account: account.id), requestID: requestID)
            return
        }
        self.init(status: status, body: json.bytes)
    }
}
