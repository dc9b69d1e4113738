package import Credits

/// A change that a command asks of one account. Shapes were checked at the API; everything that depends on state or on the
/// clock is decided by `AccountDraft`.
package enum AccountAction: Hashable, Sendable {
    case grant(Grant)
    case topUp(TopUp)
    case use(UsageEvent)
    case refund(Refund)
    case revoke(Revocation)
    case adjust(Adjustment)
    /// Applied to the sender; the receiver is locked with it.
    case transfer(Transfer)
    case reserve(ReservationRequest)
    /// An action on a reservation, by its number.
    case reservation(Int32, ReservationAction)
    case createSpendCap(NewSpendCap)
    /// By its number.
    case deleteSpendCap(Int32)
    case createEndUser(EndUserChange)
    case updateEndUser(EndUserChange)
    /// Only brings the account to the present.
    case advance
}

/// The rows that an action needs beside its account.
package struct AccountNeeds: Hashable, Sendable {
    /// The sequences of charges to refund.
    package var charges: Set<Int64> = []
    /// The numbers of blocks to revoke.
    package var blocks: Set<Int32> = []
    /// The other side of a transfer.
    package var receiver: EndUserID?
    /// The payment that a top-up is for.
    package var payment: PaymentClaim?

    package init() {}
}

/// A payment that a top-up names, and the digest of the request: another request with the same id is a conflict.
package struct PaymentClaim: Hashable, Sendable {
    package let externalID: String
    package let fingerprint: Bits128

    package init(externalID: String, fingerprint: Bits128) {
        self.externalID = externalID
        self.fingerprint = fingerprint
    }
}

extension AccountAction {
    /// The rows that must be loaded before the action is applied.
    package var needs: AccountNeeds {
        var needs = AccountNeeds()
        switch self {
        case .refund(let refund): needs.charges = [refund.charge]
        case .revoke(let revocation): needs.blocks = [revocation.block]
        case .transfer(let transfer): needs.receiver = transfer.receiver
        case .topUp(let topUp):
            needs.payment = topUp.payment.externalID.map {
                PaymentClaim(externalID: $0, fingerprint: topUp.fingerprint)
            }
        case .grant, .use, .adjust, .reserve, .reservation, .createSpendCap, .deleteSpendCap, .createEndUser,
            .updateEndUser, .advance:
            break
        }
        return needs
    }
}
