package import Catalogue
package import Credits

/// One end user's subscription to a version of a plan variant.
///
/// A live subscription is a part of its account. Time changes it inside `Account.advance`, and requests change it as
/// `SubscriptionTransition.table` allows. Once it has ended, it never changes again.
package struct Subscription: Hashable, Sendable {
    package static let quantities: ClosedRange<Int64> = 1...1_000_000
    /// The largest number of live subscriptions of an account.
    package static let maximumLive = 20

    /// 1, 2, 3, … in the order in which the account's subscriptions were created.
    package let number: Int32
    package let planID: PublicID
    package let slot: PlanSlot
    /// The version of the variant whose terms hold.
    package internal(set) var variant: VariantReference
    /// The number of seats, by which amounts of grant lines are multiplied.
    package internal(set) var quantity: Int32
    package internal(set) var status: SubscriptionStatus
    /// 0 until period 1 starts.
    package internal(set) var periodIndex: Int32
    /// The period that is open, or was the last one: the trial before period 1, and nothing at the start of a
    /// subscription that has not started.
    package internal(set) var period: TimeWindow
    /// The instant from which the ends of periods are counted.
    package internal(set) var anchor: Instant
    /// The interval of the open period, while the variant has another one; nil otherwise.
    package internal(set) var periodInterval: BillingInterval?
    /// The microseconds of the open period in which the subscription was paused.
    package internal(set) var pausedTime: Int64
    package internal(set) var trialDays: Int32
    package internal(set) var trialEndsAt: Instant?
    /// The window of period tiers that a pause in grace has moved; nil before such a pause.
    package internal(set) var movedTiers: MovedTiers?
    /// The end of grace; nil unless the subscription is past due, or was when it was paused.
    package internal(set) var graceEndsAt: Instant?
    /// Whether the next period was paid for.
    package internal(set) var isRenewedAhead: Bool
    package internal(set) var cancelsAtPeriodEnd: Bool
    /// Whether its end takes back the unspent credits.
    package internal(set) var revokesCredits: Bool
    /// The change that takes effect with the next period.
    package internal(set) var pendingChange: PendingChange?
    package internal(set) var pause: Pause?
    package internal(set) var contract: Contract?
    /// The instants at which the tenant is told what comes; nil once it was told, and when nothing comes.
    package internal(set) var notices: Notices
    /// The state of each grant line, by its place in the variant.
    package internal(set) var lines: [LineState]
    /// The instant from which the limits of the present variant count.
    package internal(set) var termsSince: Instant
    /// Whether its credits cannot be used while it is past due.
    package internal(set) var deniesOverdueUsage: Bool
    /// Whether its variant is postpaid, and whether it names an overage policy.
    package internal(set) var isPostpaid: Bool
    package internal(set) var statesOveragePolicy: Bool
    /// The start of the subscription, which is in the future while it is scheduled.
    package let startsAt: Instant
    package let createdAt: Instant
    package internal(set) var endedAt: Instant?
    package let metadata: Metadata?

    /// A change of variant or quantity that waits for the next period.
    package struct PendingChange: Hashable, Sendable {
        package let variant: VariantReference
        package let quantity: Int32

        package init(variant: VariantReference, quantity: Int32) {
            self.variant = variant
            self.quantity = quantity
        }
    }

    package struct Pause: Hashable, Sendable {
        package let at: Instant
        /// The instant at which the pause ends by itself; nil if only a request ends it.
        package let until: Instant?
        /// The status to which the subscription returns.
        package let statusBefore: SubscriptionStatus

        package init(at: Instant, until: Instant?, statusBefore: SubscriptionStatus) {
            self.at = at
            self.until = until
            self.statusBefore = statusBefore
        }
    }

    /// A window of period tiers that was open while time stood still in grace. The pause moves the boundary at which the
    /// window began, and its tiers go on.
    package struct MovedTiers: Hashable, Sendable {
        /// The boundary as the pause has moved it.
        package let boundary: Instant
        /// The instant at which the window began, by which its counters are told.
        package let since: Instant

        package init(boundary: Instant, since: Instant) {
            self.boundary = boundary
            self.since = since
        }
    }

    /// The instants of the notices that are still to come. That of a renewal is told only while the renewal is missing.
    package struct Notices: Hashable, Sendable {
        package var trialEnding: Instant?
        package var renewalDue: Instant?
        package var contractEnding: Instant?

        package init(trialEnding: Instant? = nil, renewalDue: Instant? = nil, contractEnding: Instant? = nil) {
            self.trialEnding = trialEnding
            self.renewalDue = renewalDue
            self.contractEnding = contractEnding
        }

        package static let none = Notices()
    }

    package init(
        number: Int32, planID: PublicID, slot: PlanSlot, variant: VariantReference, quantity: Int32,
        status: SubscriptionStatus, periodIndex: Int32 = 0, period: TimeWindow, anchor: Instant,
        periodInterval: BillingInterval? = nil, pausedTime: Int64 = 0,
        trialDays: Int32 = 0, trialEndsAt: Instant? = nil, movedTiers: MovedTiers? = nil, graceEndsAt: Instant? = nil,
        isRenewedAhead: Bool = false,
        cancelsAtPeriodEnd: Bool = false, revokesCredits: Bool = false, pendingChange: PendingChange? = nil,
        pause: Pause? = nil, contract: Contract? = nil, notices: Notices = .none, lines: [LineState] = [],
        termsSince: Instant, deniesOverdueUsage: Bool = false, isPostpaid: Bool = false,
        statesOveragePolicy: Bool = false, startsAt: Instant, createdAt: Instant,
        endedAt: Instant? = nil, metadata: Metadata? = nil
    ) {
        self.number = number
        self.planID = planID
        self.slot = slot
        self.variant = variant
        self.quantity = quantity
        self.status = status
        self.periodIndex = periodIndex
        self.period = period
        self.anchor = anchor
        self.periodInterval = periodInterval
        self.pausedTime = pausedTime
        self.trialDays = trialDays
        self.trialEndsAt = trialEndsAt
        self.movedTiers = movedTiers
        self.graceEndsAt = graceEndsAt
        self.isRenewedAhead = isRenewedAhead
        self.cancelsAtPeriodEnd = cancelsAtPeriodEnd
        self.revokesCredits = revokesCredits
        self.pendingChange = pendingChange
        self.pause = pause
        self.contract = contract
        self.notices = notices
        self.lines = lines
        self.termsSince = termsSince
        self.deniesOverdueUsage = deniesOverdueUsage
        self.isPostpaid = isPostpaid
        self.statesOveragePolicy = statesOveragePolicy
        self.startsAt = startsAt
        self.createdAt = createdAt
        self.endedAt = endedAt
        self.metadata = metadata
    }

    package var isLive: Bool { !status.isFinal }

    /// Whether the credits that it gave cannot be spent now.
    package var deniesUsage: Bool {
        switch status {
        case .paused: true
        case .pastDue: deniesOverdueUsage
        case .scheduled, .trialing, .active, .canceled, .expired: false
        }
    }
}

extension Subscription: Ordered {
    package var place: Int32 { number }
}

/// The state of one grant line of a subscription.
package struct LineState: Hashable, Sendable {
    /// The credits that count as granted in the open window of an `every` line: the highest of all that its variants gave.
    /// It bounds what changes of the variant add.
    package internal(set) var granted: Int64
    /// The same of the `period` lines at this place in the open period, also while the variant has no such line.
    package internal(set) var periodGranted: Int64
    /// The open window of an `every` line, whose end is the next landing; nil for every other line, and while the
    /// credits of a `first_use` line wait for their first use.
    package internal(set) var window: TimeWindow?
    /// The instant from which the landings are counted.
    package internal(set) var anchor: Instant
    /// Whether the windows of the line open with a use.
    package let opensWithUse: Bool
    /// The blocks of such a line that wait for their first use.
    package internal(set) var waitingBlocks: [Int32]

    package init(
        granted: Int64 = 0, periodGranted: Int64 = 0, window: TimeWindow? = nil, anchor: Instant,
        opensWithUse: Bool = false,
        waitingBlocks: [Int32] = []
    ) {
        self.granted = granted
        self.periodGranted = periodGranted
        self.window = window
        self.anchor = anchor
        self.opensWithUse = opensWithUse
        self.waitingBlocks = waitingBlocks
    }

    /// The state of a line that has given nothing yet.
    init(_ line: GrantLine, anchor: Instant) {
        var opensWithUse = false
        if case .every(_, .firstUse) = line.cadence { opensWithUse = true }
        self.init(anchor: anchor, opensWithUse: opensWithUse)
    }
}

/// The agreement that a subscription goes on for a number of periods.
package struct Contract: Hashable, Sendable {
    package enum End: String, Sendable, CaseIterable {
        /// Another run of the same number of periods begins.
        case renew
        /// The subscription expires.
        case expire
    }

    /// The largest number of periods of a contract, and of days of its notice.
    package static let maximumPeriods: Int64 = 1_000
    package static let noticeDays: ClosedRange<Int64> = 0...365
    package static let defaultNoticeDays: Int32 = 30

    /// 1 to `maximumPeriods`.
    package let periods: Int32
    package let onEnd: End
    /// Local days.
    package let noticeDays: Int32
    /// The index of the first period of the present run.
    package internal(set) var firstPeriod: Int32

    package init(periods: Int32, onEnd: End, noticeDays: Int32 = defaultNoticeDays, firstPeriod: Int32 = 1) {
        self.periods = periods
        self.onEnd = onEnd
        self.noticeDays = noticeDays
        self.firstPeriod = firstPeriod
    }

    /// The index of the last period of the present run.
    var lastPeriod: Int32 { firstPeriod + periods - 1 }
}
