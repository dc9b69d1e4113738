package import Catalogue
package import Credits
import Metering

/// A subscription to create.
package struct NewSubscription: Hashable, Sendable {
    package var variant: VariantName
    package var quantity: Int32
    /// Nil, or an instant that is not after now, means now.
    package var startsAt: Instant?
    /// Nil means the variant's.
    package var trialDays: Int32?
    package var contract: Contract?
    package var metadata: Metadata?

    package init(
        variant: VariantName, quantity: Int32 = 1, startsAt: Instant? = nil, trialDays: Int32? = nil,
        contract: Contract? = nil, metadata: Metadata? = nil
    ) {
        self.variant = variant
        self.quantity = quantity
        self.startsAt = startsAt
        self.trialDays = trialDays
        self.contract = contract
        self.metadata = metadata
    }
}

/// A change of variant or quantity.
package struct SubscriptionChange: Hashable, Sendable {
    package enum Timing: String, Sendable, CaseIterable {
        case now
        case periodEnd = "period_end"
    }

    package enum Proration: String, Sendable, CaseIterable {
        /// The period stays, and what the change adds is granted for the rest of it.
        case credits
        /// A new period starts now.
        case restart
    }

    /// Nil keeps the variant.
    package var variant: VariantName?
    /// The version of the variant; nil means the latest. A subscription that has a later one keeps it.
    package var version: Int32?
    /// The variant that the subscription must still have; nil means any. A migration of a variant says it, because the end
    /// user may change the variant while the command is on its way.
    package var source: PublicID?
    /// Nil keeps the quantity.
    package var quantity: Int32?
    /// Nil means now for more seats, and the period's end for fewer.
    package var timing: Timing?
    package var proration: Proration

    package init(
        variant: VariantName? = nil, version: Int32? = nil, source: PublicID? = nil, quantity: Int32? = nil,
        timing: Timing? = nil, proration: Proration = .credits
    ) {
        self.variant = variant
        self.version = version
        self.source = source
        self.quantity = quantity
        self.timing = timing
        self.proration = proration
    }
}

/// An action on a subscription.
package enum SubscriptionAction: Hashable, Sendable {
    case renew
    case change(SubscriptionChange)
    case withdrawChange
    /// - `until`: The instant at which the pause ends by itself.
    case pause(until: Instant?)
    case resume
    case cancel(SubscriptionChange.Timing, revokesCredits: Bool)
    case uncancel
}

extension AccountDraft {
    mutating func apply(_ new: NewSubscription, _ context: ActionContext) throws(Refusal) -> Outcome {
        let (variant, plan) = try context.catalogue.open(new.variant)
        if let live = account.subscriptions.first(where: { $0.slot == plan.slot }) {
            throw .alreadySubscribed(plan.slot, live.number)
        }
        guard account.subscriptions.count < Subscription.maximumLive else { throw .tooMany(.subscriptions) }
        if let start = new.startsAt, start > .latest { throw .startsTooLate(now: context.now) }
        let number = recorder.nextSubscriptionNumber()
        try requireRoom(
            for: Subscription(new, of: variant, plan, number: number, context.moment), context.catalogue)
        account.create(new, of: variant, plan, number: number, context.moment, into: &recorder)
        // A notice can be due at once.
        account.advance(to: context.now, in: context.catalogue, into: &recorder)
        return .subscribed(try changed(number))
    }

    mutating func apply(
        _ action: SubscriptionAction, to number: Int32, _ context: ActionContext
    ) throws(Refusal) -> Outcome {
        guard 0 < number, number <= recorder.book.subscriptionCount else { throw .unknownSubscription(number) }
        guard var subscription = account.subscriptions[at: number] else {
            throw .invalidTransition(
                Refusal.InvalidTransition(
                    subscription: number, status: recorder.changedSubscriptions[number]?.status,
                    trigger: action.trigger, obstacle: nil))
        }
        let moment = context.moment
        let terms = moment.terms(of: subscription)
        try subscription.require(action.trigger, terms.billingMode)
        switch action {
        case .renew: renew(subscription, moment)
        case .change(let change): try self.change(subscription, change, context)
        case .withdrawChange:
            subscription.pendingChange = nil
            account.tell(.subscriptionChanged, &subscription, moment, into: &recorder)
        case .pause(let until):
            if let until, until <= context.now {
                throw .notInTheFuture(field: "resume_at", until, now: context.now)
            }
            account.pause(subscription, until: until, moment, into: &recorder)
        case .resume: account.resume(subscription, moment, into: &recorder)
        case .cancel(let timing, let revokesCredits):
            subscription.revokesCredits = revokesCredits
            if timing == .now || subscription.status == .scheduled {
                account.end(subscription, as: .canceled, moment, into: &recorder)
            } else {
                subscription.cancelsAtPeriodEnd = true
                account.tell(.subscriptionChanged, &subscription, moment, into: &recorder)
            }
        case .uncancel:
            subscription.cancelsAtPeriodEnd = false
            subscription.revokesCredits = false
            account.tell(.subscriptionChanged, &subscription, moment, into: &recorder)
        }
        // A period that begins in the past can be over already.
        account.advance(to: context.now, in: context.catalogue, into: &recorder)
        return .subscriptionChanged(try changed(number))
    }

    /// The present state of a subscription that was changed in the batch, or that an action has left as it was.
    private func changed(_ number: Int32) throws(Refusal) -> Subscription {
        guard let subscription = recorder.changedSubscriptions[number] ?? account.subscriptions[at: number] else {
            throw .unknownSubscription(number)
        }
        return subscription
    }

    private mutating func renew(_ before: Subscription, _ moment: SubscriptionMoment) {
        var subscription = before
        switch subscription.status {
        case .active:
            subscription.isRenewedAhead = true
            account.tell(.subscriptionChanged, &subscription, moment, into: &recorder)
        case .trialing: account.beginPeriod(subscription, from: moment.at, moment, into: &recorder)
        default: account.beginPeriod(subscription, from: subscription.period.end, moment, into: &recorder)
        }
    }

    private mutating func change(
        _ before: Subscription, _ change: SubscriptionChange, _ context: ActionContext
    ) throws(Refusal) {
        var subscription = before
        let moment = context.moment
        var variant = subscription.variant
        func refused(_ obstacle: Refusal.InvalidTransition.Obstacle) -> Refusal {
            .invalidTransition(
                Refusal.InvalidTransition(
                    subscription: before.number, status: before.status, trigger: .change, obstacle: obstacle))
        }
        if let source = change.source, source != variant.id { throw refused(.otherVariant) }
        if let name = change.variant {
            let (latest, plan) = try context.catalogue.open(name)
            guard plan.slot == subscription.slot else { throw refused(.otherSlot) }
            let named = VariantReference(id: latest.id, version: change.version ?? latest.version)
            guard context.catalogue.variant(named) != nil else { throw .unknownVariant(name) }
            if named.id != variant.id || named.version > variant.version { variant = named }
        }
        let quantity = change.quantity ?? subscription.quantity
        guard variant != subscription.variant || quantity != subscription.quantity else { return }
        let isNow = change.timing.map { $0 == .now } ?? (quantity > subscription.quantity)
        var candidate = subscription
        candidate.variant = variant
        try requireRoom(for: candidate, context.catalogue)
        guard isNow || subscription.status == .trialing && variant != subscription.variant else {
            subscription.pendingChange = Subscription.PendingChange(variant: variant, quantity: quantity)
            account.tell(.subscriptionChanged, &subscription, moment, into: &recorder)
            return
        }
        if change.proration == .restart, subscription.status != .trialing {
            account.revokeBlocks(of: subscription, moment, into: &recorder)
            // The new period begins with the change, after the old one has ended by its own terms.
            subscription.pendingChange = Subscription.PendingChange(variant: variant, quantity: quantity)
            return account.beginPeriod(subscription, from: moment.at, moment, startsLines: true, into: &recorder)
        }
        subscription.pendingChange = nil
        if subscription.status == .active {
            // The period stays. The next one is counted from its end if its length differs.
            let interval = subscription.periodInterval ?? moment.terms(of: subscription).billingInterval
            subscription.periodInterval = interval == moment.terms(of: variant).billingInterval ? nil : interval
        }
        // The usage of a postpaid period is billed before the subscription becomes prepaid.
        var details = SubscriptionEvent.Details.none
        if before.isPostpaid, moment.terms(of: variant).billingMode == .prepaid {
            let summary = account.summary(of: before, moment)
            if before.periodIndex > 0 { details.summary = summary }
        }
        account.closeOverage(details.summary?.settledOverage ?? 0, of: before, moment, into: &recorder)
        account.openLastWindows(of: before, before: moment.terms(of: variant).grants, moment, into: &recorder)
        account.apply(variant, quantity: quantity, to: &subscription, moment)
        subscription.recountNotices(moment.terms(of: variant), moment.zone)
        account.tell(.subscriptionChanged, &subscription, moment, details: details, into: &recorder)
        if subscription.status == .active {
            account.prorate(subscription, isOfVariant: variant != before.variant, moment, into: &recorder)
        }
    }

    /// Refuses a subscription whose limits would be too many together with those that the end user has. The default plan
    /// and a fallback are never refused.
    ///
    /// - Parameter candidate: The subscription with its new variant.
    private func requireRoom(for candidate: Subscription, _ catalogue: Catalogue) throws(Refusal) {
        // Scheduled subscriptions count as if they had started, and a pending change as if it had taken effect.
        var after = account
        for var subscription in account.subscriptions {
            if subscription.status == .scheduled { subscription.status = .active }
            if let change = subscription.pendingChange { subscription.variant = change.variant }
            after.subscriptions[at: subscription.number] = subscription
        }
        let before = after.limits(catalogue).count
        var candidate = candidate
        candidate.status = .active
        after.subscriptions[at: candidate.number] = candidate
        let count = after.limits(catalogue).count
        guard count > before, count > Limit.maximumCount else { return }
        throw .tooMany(.limits)
    }
}

extension Account {
    /// Creates a subscription, and starts it unless it is scheduled for later.
    ///
    /// - Returns: Its number.
    @discardableResult
    mutating func create(
        _ new: NewSubscription, of variant: PlanVariant, _ plan: Plan, number: Int32, _ moment: SubscriptionMoment,
        into recorder: inout some EffectRecorder
    ) -> Int32 {
        var subscription = Subscription(new, of: variant, plan, number: number, moment)
        tell(.subscriptionCreated, &subscription, moment, into: &recorder)
        if subscription.status != .scheduled { start(subscription, moment, into: &recorder) }
        return number
    }
}

extension Subscription {
    /// A new subscription before its start, with the end of its trial if that begins now.
    fileprivate init(
        _ new: NewSubscription, of variant: PlanVariant, _ plan: Plan, number: Int32, _ moment: SubscriptionMoment
    ) {
        let start = max(new.startsAt ?? moment.at, moment.at)
        let trialDays = new.trialDays ?? variant.terms.trialDays
        let isNow = start == moment.at
        let trialEnd =
            isNow && trialDays > 0
            ? moment.zone.adding(months: 0, days: Int64(trialDays), to: start) : nil
        self.init(
            number: number, planID: plan.id, slot: plan.slot, variant: variant.reference, quantity: new.quantity,
            status: isNow ? trialDays > 0 ? .trialing : .active : .scheduled,
            period: TimeWindow(start: start, end: trialEnd ?? start), anchor: start, trialDays: trialDays,
            trialEndsAt: trialEnd, contract: new.contract, termsSince: start, startsAt: start, createdAt: moment.at,
            metadata: new.metadata)
    }
}

extension ActionContext {
    /// The instant of an action as one at which something happens to a subscription.
    var moment: SubscriptionMoment {
        SubscriptionMoment(at: now, now: now, catalogue: catalogue, idempotencyKey: idempotencyKey)
    }
}

extension SubscriptionAction {
    /// The trigger in the table of states.
    fileprivate var trigger: SubscriptionTrigger {
        switch self {
        case .renew: .renew
        case .change: .change
        case .withdrawChange: .withdrawChange
        case .pause: .pause
        case .resume: .resume
        case .cancel(.now, _): .cancelNow
        case .cancel(.periodEnd, _): .cancelAtPeriodEnd
        case .uncancel: .uncancel
        }
    }
}

extension Catalogue {
    /// The latest version of a variant that can be subscribed to, and its plan.
    fileprivate func open(_ name: VariantName) throws(Refusal) -> (PlanVariant, Plan) {
        guard let variant = latestVariant(name), !variant.isArchived, let plan = plans[variant.planID],
            !plan.isArchived
        else { throw .unknownVariant(name) }
        return (variant, plan)
    }
}
