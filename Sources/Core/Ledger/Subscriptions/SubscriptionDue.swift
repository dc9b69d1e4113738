import Catalogue
import Credits

/// A thing that time does to a subscription.
enum SubscriptionDue: Hashable {
    case trialEnding, contractEnding, renewalDue
    case starts, trialEnds, periodEnds, graceEnds, pauseEnds
    /// The next credits of an `every` line.
    case lands(line: Int)

    /// The order of things at one instant: notices, then what ends, then landings by line.
    fileprivate var rank: Int {
        switch self {
        case .trialEnding: 0
        case .contractEnding: 1
        case .renewalDue: 2
        case .starts, .trialEnds, .periodEnds, .graceEnds, .pauseEnds: 3
        case .lands(let line): 4 + line
        }
    }
}

extension Subscription {
    /// The next thing that time does to the subscription; nil if there is none. Costs a walk over its lines.
    var nextDue: (at: Instant, what: SubscriptionDue)? {
        var next: (at: Instant, what: SubscriptionDue)?
        func consider(_ instant: Instant?, _ what: SubscriptionDue) {
            guard let instant else { return }
            if let next, (next.at, next.what.rank) <= (instant, what.rank) { return }
            next = (instant, what)
        }
        switch status {
        case .scheduled: consider(startsAt, .starts)
        case .paused: consider(pause?.until, .pauseEnds)
        case .canceled, .expired: break
        case .trialing, .active, .pastDue:
            consider(notices.trialEnding, .trialEnding)
            consider(notices.contractEnding, .contractEnding)
            if status == .active, !isPostpaid, !isRenewedAhead, !cancelsAtPeriodEnd {
                consider(notices.renewalDue, .renewalDue)
            }
            switch status {
            case .trialing: consider(period.end, .trialEnds)
            case .active: consider(period.end, .periodEnds)
            default: consider(graceEndsAt, .graceEnds)
            }
            for (index, line) in lines.enumerated() where !line.waitsForUsage(of: self) {
                consider(line.window?.end, .lands(line: index))
            }
        }
        return next
    }
}

extension LineState {
    /// Whether the next credits land only when the subscription permits usage again. Windows that open with a use wait; other
    /// ones pass without credits.
    fileprivate func waitsForUsage(of subscription: Subscription) -> Bool {
        opensWithUse && subscription.deniesUsage
    }
}

extension Account {
    /// The next instant at which time changes a subscription; nil if there is none.
    var subscriptionsDueAt: Instant? {
        var first: Instant?
        for subscription in subscriptions {
            guard let due = subscription.nextDue?.at else { continue }
            first = min(first ?? due, due)
        }
        return first
    }

    /// Lets time change the subscriptions, in the order of their numbers, up to an instant. A subscription that starts
    /// meanwhile has a larger number than all others, so the walk reaches it.
    mutating func advanceSubscriptions(
        to instant: Instant, now: Instant, in catalogue: Catalogue, into recorder: inout some EffectRecorder
    ) {
        var number: Int32 = 0
        while let next = subscriptions.first(where: { $0.number > number })?.number {
            number = next
            while let subscription = subscriptions[at: number], let due = subscription.nextDue, due.at <= instant {
                let moment = SubscriptionMoment(
                    at: due.at, now: now, catalogue: catalogue, isReading: recorder is NoRecorder)
                perform(due.what, of: subscription, moment, into: &recorder)
            }
        }
    }

    private mutating func perform(
        _ what: SubscriptionDue, of before: Subscription, _ moment: SubscriptionMoment,
        into recorder: inout some EffectRecorder
    ) {
        var subscription = before
        switch what {
        case .trialEnding:
            subscription.notices.trialEnding = nil
            tell(.subscriptionTrialEnding, &subscription, moment, into: &recorder)
        case .contractEnding:
            subscription.notices.contractEnding = nil
            tell(.contractEndingSoon, &subscription, moment, into: &recorder)
        case .renewalDue:
            subscription.notices.renewalDue = nil
            tell(.subscriptionRenewalDue, &subscription, moment, into: &recorder)
        case .starts: start(subscription, moment, into: &recorder)
        case .trialEnds:
            if subscription.cancelsAtPeriodEnd {
                end(subscription, as: .canceled, moment, into: &recorder)
            } else if moment.terms(of: subscription).billingMode == .postpaid {
                beginPeriod(subscription, from: subscription.period.end, moment, into: &recorder)
            } else {
                fallPastDue(subscription, moment, into: &recorder)
            }
        case .periodEnds: endPeriod(subscription, moment, into: &recorder)
        case .graceEnds:
            end(
                subscription, as: subscription.cancelsAtPeriodEnd ? .canceled : .expired, moment, into: &recorder)
        case .pauseEnds: resume(subscription, moment, into: &recorder)
        case .lands(let line): landNext(line, of: subscription, moment, into: &recorder)
        }
    }

    /// Stores the present state of a subscription among the live ones; removes it if it has ended.
    mutating func set(_ subscription: Subscription, into recorder: inout some EffectRecorder) {
        subscriptions[at: subscription.number] = subscription.isLive ? subscription : nil
        recorder.changed(subscription)
    }

    /// Stores a subscription and records an event of it.
    mutating func tell(
        _ type: EventType, _ subscription: inout Subscription, _ moment: SubscriptionMoment,
        details: SubscriptionEvent.Details = .none, into recorder: inout some EffectRecorder
    ) {
        set(subscription, into: &recorder)
        recorder.happened(
            .subscription(type, SubscriptionEvent(subscription, details)), at: moment.at, now: moment.now)
    }
}

/// An instant at which something happens to a subscription, with what the effects depend on.
struct SubscriptionMoment {
    /// The instant at which it is due.
    let at: Instant
    /// The instant at which the ledger applies it.
    let now: Instant
    let catalogue: Catalogue
    /// The key of the request that causes what happens; nil for what time causes.
    var idempotencyKey: String?
    /// Whether nothing is written. A reader may have an account that is newer than its catalogue.
    var isReading = false

    var zone: ZoneRules { catalogue.config.zone }

    /// The terms of a subscription. A reader whose catalogue lacks them takes terms that give nothing: a change that is
    /// newer than its request was not answered yet.
    ///
    /// - Precondition: The catalogue of a writer has the variant's version. Versions are never removed, and a writer's
    ///   catalogue is at least as new as its accounts.
    func terms(of subscription: Subscription) -> VariantTerms { terms(of: subscription.variant) }

    func terms(of reference: VariantReference) -> VariantTerms {
        if let variant = catalogue.variant(reference) { return variant.terms }
        precondition(isReading, "the catalogue lacks a version of a variant that a subscription has")
        return .defaults
    }
}
