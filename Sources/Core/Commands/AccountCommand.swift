import Catalogue
package import Credits
package import Ledger

/// A command for one end user's account.
package struct AccountCommand: Hashable, Sendable {
    package let identity: CommandIdentity
    package let endUserID: EndUserID
    package let action: AccountAction

    package init(identity: CommandIdentity, endUserID: EndUserID, action: AccountAction) {
        self.identity = identity
        self.endUserID = endUserID
        self.action = action
    }
}

extension AuditAction {
    package static let createUsage = AuditAction("usage.create", .usage)
    package static let grantCredits = AuditAction("credits.grant", .credits)
    package static let createTopUp = AuditAction("topup.create", .credits)
    package static let refundCredits = AuditAction("credits.refund", .credits)
    package static let revokeCredits = AuditAction("credits.revoke", .credits)
    package static let adjustCredits = AuditAction("credits.adjust", .credits)
    package static let transferCredits = AuditAction("credits.transfer", .credits)
    package static let createReservation = AuditAction("reservation.create", .reservations)
    package static let commitReservation = AuditAction("reservation.commit", .reservations)
    package static let releaseReservation = AuditAction("reservation.release", .reservations)
    package static let extendReservation = AuditAction("reservation.extend", .reservations)
    package static let progressReservation = AuditAction("reservation.progress", .reservations)
    package static let createSpendCap = AuditAction("spend_cap.create", .entitlements)
    package static let deleteSpendCap = AuditAction("spend_cap.delete", .entitlements)
    package static let setLimit = AuditAction("limit.set", .entitlements)
    package static let deleteLimit = AuditAction("limit.delete", .entitlements)
    package static let setAutoTopUp = AuditAction("auto_topup.set", .credits)
    package static let deleteAutoTopUp = AuditAction("auto_topup.delete", .credits)
    package static let failTopUpRequest = AuditAction("auto_topup.fail", .credits)
    package static let createSubscription = AuditAction("subscription.create", .subscriptions)
    package static let renewSubscription = AuditAction("subscription.renew", .subscriptions)
    package static let changeSubscription = AuditAction("subscription.change", .subscriptions)
    package static let withdrawSubscriptionChange = AuditAction("subscription.withdraw_change", .subscriptions)
    package static let pauseSubscription = AuditAction("subscription.pause", .subscriptions)
    package static let resumeSubscription = AuditAction("subscription.resume", .subscriptions)
    package static let cancelSubscription = AuditAction("subscription.cancel", .subscriptions)
    package static let uncancelSubscription = AuditAction("subscription.uncancel", .subscriptions)
    package static let createEndUser = AuditAction("end_user.create", .credits)
    package static let updateEndUser = AuditAction("end_user.update", .credits)

    package static let eraseEndUser = AuditAction("end_user.erase", .credits)

    static let accountActions: [AuditAction] = [
        createUsage, grantCredits, createTopUp, refundCredits, revokeCredits, adjustCredits, transferCredits,
        createReservation, commitReservation, releaseReservation, extendReservation, progressReservation,
        createSpendCap, deleteSpendCap, createEndUser, updateEndUser, eraseEndUser, setLimit,
        deleteLimit, setAutoTopUp, deleteAutoTopUp, failTopUpRequest, createSubscription, renewSubscription,
        changeSubscription, withdrawSubscriptionChange, pauseSubscription, resumeSubscription, cancelSubscription,
        uncancelSubscription,
    ]

    /// Nil for `advance`, which the scheduler issues and not a client.
    package init?(_ action: AccountAction) {
        switch action {
        case .use: self = .createUsage
        case .grant: self = .grantCredits
        case .topUp: self = .createTopUp
        case .refund: self = .refundCredits
        case .revoke: self = .revokeCredits
        case .adjust: self = .adjustCredits
        case .transfer: self = .transferCredits
        case .reserve: self = .createReservation
        case .reservation(_, .commit): self = .commitReservation
        case .reservation(_, .release): self = .releaseReservation
        case .reservation(_, .extend): self = .extendReservation
        case .reservation(_, .progress): self = .progressReservation
        case .createSpendCap: self = .createSpendCap
        case .deleteSpendCap: self = .deleteSpendCap
        case .setLimit: self = .setLimit
        case .deleteLimit: self = .deleteLimit
        case .setAutoTopUp: self = .setAutoTopUp
        case .deleteAutoTopUp: self = .deleteAutoTopUp
        case .failTopUpRequest: self = .failTopUpRequest
        case .subscribe: self = .createSubscription
        case .subscription(_, .renew): self = .renewSubscription
        case .subscription(_, .change): self = .changeSubscription
        case .subscription(_, .withdrawChange): self = .withdrawSubscriptionChange
        case .subscription(_, .pause): self = .pauseSubscription
        case .subscription(_, .resume): self = .resumeSubscription
        case .subscription(_, .cancel): self = .cancelSubscription
        case .subscription(_, .uncancel): self = .uncancelSubscription
        case .createEndUser: self = .createEndUser
        case .updateEndUser: self = .updateEndUser
        case .eraseEndUser: self = .eraseEndUser
        case .advance: return nil
        }
    }
}
