import Credits
package import JSON
package import Ledger

extension JSONWriter {
    /// Writes an end user's rule for automatic top-ups with its state.
    package mutating func autoTopUp(_ autoTopUp: AutoTopUp, of account: AccountName) {
        beginObject()
        member("end_user_id", account.endUserID.rawValue)
        for (name, value) in autoTopUp.rule?.members ?? [] {
            key(name)
            self.value(value)
        }
        member("open_request_id", autoTopUp.open.map { account.id(.topUpRequest, $0.number).description })
        member("last_requested_at", autoTopUp.lastRequestedAt)
        member("failures", Int64(autoTopUp.failures))
        member("suspended", autoTopUp.isSuspended)
        endObject()
    }

    /// Writes the answer to the failure of a request (200).
    package mutating func failedTopUpRequest(
        _ number: Int32, reason: String?, _ autoTopUp: AutoTopUp, of account: AccountName
    ) {
        beginObject()
        member("request_id", account.id(.topUpRequest, number))
        member("end_user_id", account.endUserID.rawValue)
        member("status", TopUpRequest.Status.failed.rawValue)
        member("reason", reason)
        member("failures", Int64(autoTopUp.failures))
        member("suspended", autoTopUp.isSuspended)
        endObject()
    }
}
