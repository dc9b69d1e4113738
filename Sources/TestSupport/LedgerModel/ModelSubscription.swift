package import Credits

/// A subscription with all that it remembers.
package struct ModelSubscription: Equatable, Sendable {
    /// The state, by its public name.
    package enum Status: String, Sendable {
        case scheduled, trialing, active, pastDue = "past_due", paused, canceled, expired
    }

    /// A change that waits for the next period.
    package struct Pending: Equatable, Sendable {
        package let variant: Int
        package let quantity: Int64

        package init(variant: Int, quantity: Int64) {
            self.variant = variant
            self.quantity = quantity
        }
    }

    /// A contract and the state of its present run.
    package struct Contract: Hashable, Sendable {
        package let periods: Int64
        /// Whether a new run follows the last period; otherwise the subscription expires.
        package let renews: Bool
        package let noticeDays: Int64
        /// The periods of the run that have begun.
        package var begun: Int64 = 0
        package var begunAt = Instant(microseconds: 0)
        package var isAnnounced = false

        package init(periods: Int64, renews: Bool, noticeDays: Int64 = 30) {
            self.periods = periods
            self.renews = renews
            self.noticeDays = noticeDays
        }
    }

    /// The state of one line of grants. Only `every` lines have more than defaults.
    package struct LineState: Equatable, Sendable {
        /// Landing `k` of an anchor `subscription` is `k` durations after this.
        var anchor = Instant(microseconds: 0)
        var landings: Int64 = 0
        package var next: Instant?
        /// The start of the open window; nil if none is open.
        var opened: Instant?
        /// Whether the credits of a `first_use` line wait for their first use.
        package var isWaiting = false
        /// The highest credits that counted in the open window.
        var best: Int64 = 0
    }

    package let number: Int
    package let slot: String
    package var variant: Int
    package var quantity: Int64
    package var status = Status.scheduled
    /// The status to which a resume leads back.
    package var pausedStatus: Status?
    package var index = 0
    package let createdAt: Instant
    /// The days of the trial that begins with the subscription.
    let trialDays: Int64
    /// The start of the trial or of period 1, which never moves. Before it, the instant for which it is planned.
    package var begunAt: Instant
    package var start: Instant
    package var end: Instant
    package var anchor: Instant
    /// The number of the last boundary that was found, counted from the anchor.
    var boundary: Int64 = 0
    var interval: ModelDuration
    package var graceEnd: Instant?
    package var renewedAhead = false
    package var cancels = false
    package var revokesAtEnd = false
    package var pending: Pending?
    package var pausedAt: Instant?
    package var resumeAt: Instant?
    package var endedAt: Instant?
    package var contract: Contract?
    package var lines: [LineState] = []
    /// The highest credits that counted in the period, by line.
    var best: [Int: Int64] = [:]
    /// The microseconds of pauses in the period.
    var pauses: Int64 = 0
    /// The starts of the windows of tiers that were open in a pause in grace, by the boundaries as the pause moved them.
    var tierStarts: [Instant: Instant] = [:]
    /// The number of billed usages before the period.
    var billsBefore = 0
    var hasToldTrialEnding = false
    var hasToldRenewalDue = false

    package var isFinal: Bool { status == .canceled || status == .expired }
    /// Whether the subscription has begun and has not ended.
    package var isRunning: Bool { !isFinal && status != .scheduled }
    /// The status without regard to a pause.
    package var innerStatus: Status { pausedStatus ?? status }
    package var isTrial: Bool { innerStatus == .trialing }

    /// The instant at which the trial, the period or the grace ends, whichever runs.
    package var deadline: Instant { innerStatus == .pastDue ? graceEnd ?? end : end }
}

extension ModelSubscription: CustomStringConvertible {
    /// The state as one line. Members without meaning in the present state are left out.
    package var description: String {
        var parts = ["s\(number) variant \(variant) slot \(slot) quantity \(quantity) \(status.rawValue)"]
        func add(_ name: String, _ value: Any?) { if let value { parts.append("\(name) \(value)") } }
        if status == .scheduled {
            add("starts", start)
        } else {
            add("index", index)
            add("start", start)
            add("end", end)
        }
        if !isFinal {
            if isTrial { add("trial_end", end) }
            if innerStatus == .pastDue { add("grace_end", graceEnd) }
            if renewedAhead { parts.append("renewed_ahead") }
            if cancels { parts.append("cancels_at_period_end") }
            if let pending { parts.append("pending variant \(pending.variant) quantity \(pending.quantity)") }
            add("paused", pausedAt)
            add("resumes", resumeAt)
            if let contract { parts.append("contract \(contract.begun)/\(contract.periods)") }
        }
        add("ended", endedAt)
        return parts.joined(separator: " ")
    }
}

/// A command for the subscriptions of an account. A number names the subscription.
package enum ModelSubscriptionAct: Hashable, Sendable {
    case subscribe(Subscribe)
    case renew(Int)
    case change(Int, Change)
    case pause(Int, until: Instant?)
    case resume(Int)
    case cancel(Int, now: Bool, revokes: Bool)
    case uncancel(Int)
    case withdrawChange(Int)

    /// The terms of a new subscription.
    package struct Subscribe: Hashable, Sendable {
        package let variant: Int
        package var quantity: Int64 = 1
        package var startsAt: Instant?
        /// Nil means the variant's.
        package var trialDays: Int64?
        package var contract: ModelSubscription.Contract?

        package init(variant: Int) { self.variant = variant }
    }

    /// A change of variant or quantity.
    package struct Change: Hashable, Sendable {
        /// The request, which decides the default of `effective`.
        package enum Verb: String, Hashable, Sendable { case upgrade, downgrade, quantity }
        /// The instant at which the change takes effect.
        package enum Effective: String, Hashable, Sendable { case now, periodEnd = "period_end" }

        package let verb: Verb
        /// Nil keeps the variant in its version.
        package var variant: Int?
        /// Nil keeps the quantity.
        package var quantity: Int64?
        /// Nil means the default of the verb.
        package var effective: Effective?
        /// Whether a change now begins a new period; otherwise the difference is prorated.
        package var restarts = false

        package init(_ verb: Verb, variant: Int? = nil, quantity: Int64? = nil) {
            self.verb = verb
            self.variant = variant
            self.quantity = quantity
        }
    }
}
