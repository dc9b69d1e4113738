import Catalogue

/// The state of a subscription.
package enum SubscriptionStatus: String, Sendable, CaseIterable {
    case scheduled, trialing, active
    case pastDue = "past_due"
    case paused
    case canceled, expired

    /// Whether nothing changes the subscription any more.
    package var isFinal: Bool { self == .canceled || self == .expired }
}

/// The reason why a subscription changes its state: an instant that comes, or a request.
package enum SubscriptionTrigger: String, Sendable, CaseIterable {
    case startComes = "start comes"
    case trialEnds = "trial ends"
    case periodEnds = "period ends"
    case graceEnds = "grace ends"
    case pauseEnds = "pause ends"
    case renew
    case change = "upgrade, downgrade or quantity"
    case withdrawChange = "withdraw change"
    case pause, resume
    case cancelNow = "cancel now"
    case cancelAtPeriodEnd = "cancel at period end"
    case uncancel
}

/// One row of the table of states. Every pair of state and trigger that is not in the table is refused.
package struct SubscriptionTransition: Hashable, Sendable {
    package let from: SubscriptionStatus
    package let trigger: SubscriptionTrigger
    /// The condition of the row, for people; empty for none.
    package let condition: String
    /// The states that can follow. A paused subscription returns to the state it had.
    package let to: [SubscriptionStatus]

    private init(
        _ from: SubscriptionStatus, _ trigger: SubscriptionTrigger, if condition: String = "",
        _ to: SubscriptionStatus...
    ) {
        self.from = from
        self.trigger = trigger
        self.condition = condition
        self.to = to
    }

    /// All transitions of subscriptions.
    package static let table: [SubscriptionTransition] = [
        SubscriptionTransition(.scheduled, .startComes, .trialing, .active),
        SubscriptionTransition(.scheduled, .cancelNow, .canceled),
        SubscriptionTransition(.scheduled, .cancelAtPeriodEnd, .canceled),
        SubscriptionTransition(.trialing, .trialEnds, if: "postpaid", .active),
        SubscriptionTransition(.trialing, .trialEnds, if: "prepaid", .pastDue),
        SubscriptionTransition(.trialing, .trialEnds, if: "cancellation asked for", .canceled),
        SubscriptionTransition(.trialing, .renew, if: "no cancellation asked for", .active),
        SubscriptionTransition(.trialing, .change, .trialing),
        SubscriptionTransition(.trialing, .withdrawChange, if: "a change is pending", .trialing),
        SubscriptionTransition(.trialing, .pause, .paused),
        SubscriptionTransition(.trialing, .cancelNow, .canceled),
        SubscriptionTransition(.trialing, .cancelAtPeriodEnd, if: "not asked for before", .trialing),
        SubscriptionTransition(.trialing, .uncancel, if: "cancellation asked for", .trialing),
        SubscriptionTransition(.active, .periodEnds, if: "postpaid, or renewed ahead", .active),
        SubscriptionTransition(.active, .periodEnds, if: "prepaid, not renewed ahead", .pastDue),
        SubscriptionTransition(.active, .periodEnds, if: "cancellation asked for", .canceled),
        SubscriptionTransition(.active, .periodEnds, if: "contract ends and expires", .expired),
        SubscriptionTransition(
            .active, .renew, if: "prepaid, not renewed ahead, no cancellation asked for, not the last of a contract",
            .active),
        SubscriptionTransition(.active, .change, .active),
        SubscriptionTransition(.active, .withdrawChange, if: "a change is pending", .active),
        SubscriptionTransition(.active, .pause, .paused),
        SubscriptionTransition(.active, .cancelNow, .canceled),
        SubscriptionTransition(.active, .cancelAtPeriodEnd, if: "not asked for before", .active),
        SubscriptionTransition(.active, .uncancel, if: "cancellation asked for", .active),
        SubscriptionTransition(.pastDue, .graceEnds, .expired),
        SubscriptionTransition(.pastDue, .graceEnds, if: "cancellation asked for", .canceled),
        SubscriptionTransition(.pastDue, .renew, if: "no cancellation asked for", .active),
        SubscriptionTransition(.pastDue, .withdrawChange, if: "a change is pending", .pastDue),
        SubscriptionTransition(.pastDue, .pause, .paused),
        SubscriptionTransition(.pastDue, .cancelNow, .canceled),
        SubscriptionTransition(.pastDue, .cancelAtPeriodEnd, if: "not asked for before", .pastDue),
        SubscriptionTransition(.pastDue, .uncancel, if: "cancellation asked for", .pastDue),
        SubscriptionTransition(.paused, .pauseEnds, .trialing, .active, .pastDue),
        SubscriptionTransition(.paused, .resume, .trialing, .active, .pastDue),
        SubscriptionTransition(.paused, .cancelNow, .canceled),
        SubscriptionTransition(.paused, .cancelAtPeriodEnd, if: "not asked for before", .paused),
    ]
}

extension Subscription {
    /// Refuses a request that the table of states does not have.
    ///
    /// - Parameter mode: The billing mode of its variant.
    func require(_ trigger: SubscriptionTrigger, _ mode: BillingMode) throws(Refusal) {
        let isAllowed = SubscriptionTransition.table.contains { $0.from == status && $0.trigger == trigger }
        var obstacle: Refusal.InvalidTransition.Obstacle?
        switch trigger {
        case .renew:
            if cancelsAtPeriodEnd { obstacle = .cancellationPending }
            if status == .active, mode == .postpaid { obstacle = .postpaid }
            if isRenewedAhead { obstacle = .renewedAhead }
            if let contract, contract.onEnd == .expire, contract.lastPeriod <= periodIndex { obstacle = .contractEnds }
        case .cancelAtPeriodEnd: if cancelsAtPeriodEnd { obstacle = .cancellationPending }
        case .uncancel: if !cancelsAtPeriodEnd { obstacle = .nothingToWithdraw }
        case .withdrawChange: if pendingChange == nil { obstacle = .nothingToWithdraw }
        default: break
        }
        guard isAllowed, obstacle == nil else {
            throw .invalidTransition(
                Refusal.InvalidTransition(
                    subscription: number, status: status, trigger: trigger, obstacle: isAllowed ? obstacle : nil))
        }
    }
}

extension Refusal {
    /// The reason why a request cannot change a subscription.
    package struct InvalidTransition: Hashable, Sendable {
        /// The condition that a row of the table of states asks for.
        package enum Obstacle: String, Hashable, Sendable {
            case cancellationPending = "its cancellation at the period's end was asked for, which `uncancel` withdraws"
            case postpaid = "it is postpaid, so its periods follow each other without a renewal"
            case renewedAhead = "its next period was paid for already"
            case contractEnds = "its contract ends with this period, and no other follows"
            case nothingToWithdraw = "there is nothing to withdraw"
            case otherSlot = "the variant belongs to another slot"
            case otherVariant = "its variant is not the one whose subscriptions are moved"
        }

        package let subscription: Int32
        /// Nil for a subscription that has ended, whose row was not loaded.
        package let status: SubscriptionStatus?
        package let trigger: SubscriptionTrigger
        /// Nil if the state does not allow the request at all.
        package let obstacle: Obstacle?
    }
}
