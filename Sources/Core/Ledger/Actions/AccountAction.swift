package import Credits
package import Metering

/// A change that a command makes to one account. The API has checked the shape; `AccountDraft` decides everything that
/// depends on state or time.
package enum AccountAction: Hashable, Sendable {
    case grant(Grant)
    case topUp(TopUp)
    case use(UsageEvent)
    case refund(Refund)
    case revoke(Revocation)
    case adjust(Adjustment)
    /// Applied to the sender; the receiver's account is locked with it.
    case transfer(Transfer)
    case reserve(ReservationRequest)
    /// An action on the reservation with this number.
    case reservation(Int32, ReservationAction)
    case createSpendCap(NewSpendCap)
    /// Deletes the spend cap with this number.
    case deleteSpendCap(Int32)
    /// Sets the limit with this key, or lifts it when the limit is nil.
    case setLimit(LimitKey, Limit?)
    case deleteLimit(LimitKey)
    case setAutoTopUp(AutoTopUpRule)
    case deleteAutoTopUp
    /// The tenant could not charge for the request with this number.
    case failTopUpRequest(Int32, reason: String?)
    case subscribe(NewSubscription)
    /// An action on the subscription with this number.
    case subscription(Int32, SubscriptionAction)
    case createEndUser(EndUserChange)
    case updateEndUser(EndUserChange)
    case eraseEndUser
    /// Only records what is due.
    case advance
}

/// The rows that an action needs in addition to its account.
package struct AccountNeeds: Hashable, Sendable {
    /// The sequences of charges to refund.
    package var charges: Set<Int64> = []
    /// The numbers of the blocks to revoke.
    package var blocks: Set<Int32> = []
    /// The receiver of a transfer.
    package var receiver: EndUserID?
    /// The payment of a top-up.
    package var payment: PaymentClaim?
    /// The test clock that the end user is attached to, which may show an instant at which scheduled blocks have landed.
    package var testClock: PublicID?
    /// The numbers of the requests for top-ups that are answered.
    package var topUpRequests: Set<Int32> = []
    /// Whether the latest requests for top-ups are needed, which a new rule may have to count.
    package var latestTopUpRequests = false

    package init() {}

    /// Whether the action reads older rows of its account.
    package var areOfPast: Bool {
        !charges.isEmpty || !blocks.isEmpty || testClock != nil || !topUpRequests.isEmpty || latestTopUpRequests
    }

    /// Adds the older rows that another action of the account needs.
    package mutating func formUnion(_ other: AccountNeeds) {
        charges.formUnion(other.charges)
        blocks.formUnion(other.blocks)
        testClock = testClock ?? other.testClock
        topUpRequests.formUnion(other.topUpRequests)
        latestTopUpRequests = latestTopUpRequests || other.latestTopUpRequests
    }
}

/// The payment of a top-up and the fingerprint of the request. Another request with the same payment id is a conflict.
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
            if let number = topUp.request.flatMap({ Int32(exactly: $0.number) }) { needs.topUpRequests = [number] }
        case .failTopUpRequest(let number, _): needs.topUpRequests = [number]
        case .setAutoTopUp: needs.latestTopUpRequests = true
        case .createEndUser(let change), .updateEndUser(let change): needs.testClock = change.testClock
        case .grant, .use, .adjust, .reserve, .reservation, .createSpendCap, .deleteSpendCap, .setLimit, .deleteLimit,
            .deleteAutoTopUp, .subscribe, .subscription, .eraseEndUser, .advance:
            break
        }
        return needs
    }
}
