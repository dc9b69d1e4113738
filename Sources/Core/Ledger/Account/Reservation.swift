package import Credits
package import Metering

/// The measure of an event or a job.
package enum Demand: Hashable, Sendable {
    /// Units or quantities, priced by the feature's rule.
    case measured(Measure, Attributes)
    /// Credits, independent of the rule.
    case credits(Millicredits)

    /// The attributes of an event; none for credits.
    package var attributes: Attributes {
        switch self {
        case .measured(_, let attributes): attributes
        case .credits: .none
        }
    }

    /// The total of all dimensions; 0 for credits.
    package var units: Int64 { units(in: nil) }

    /// The units that a limit counts: those of a dimension, which an event of units does not have, or the total of all;
    /// 0 for credits.
    func units(in dimension: String?) -> Int64 {
        switch (self, dimension) {
        case (.measured(.quantities(let quantities), _), let dimension?): quantities[dimension] ?? 0
        case (.measured(let measure, _), nil): measure.total
        default: 0
        }
    }
}

/// The status of a reservation. Every status except `active` is final.
package enum ReservationStatus: String, Sendable, CaseIterable {
    case active, committed, released, expired
}

/// Credits that are held for a running job. Held credits stay in `balance` and leave `effective_balance`.
package struct Reservation: Hashable, Sendable {
    package static let ttlSeconds: ClosedRange<Int64> = 1...604_800
    package static let defaultTTLSeconds: Int64 = 300

    /// 1, 2, 3, … in the order in which the account's reservations were made.
    package let number: Int32
    package let featureKey: FeatureKey
    /// The estimate of the job.
    package let estimate: Demand
    /// The rule version that prices the job to its end; nil if no rule prices the feature.
    package let ruleID: PublicID?
    /// The cost of the estimate. It is the amount to hold, and the step by which progress makes the hold grow.
    package let estimatedCost: Millicredits
    package internal(set) var status: ReservationStatus
    /// The credits held of each block at present, in burn order; empty after a final status.
    package internal(set) var holds: [Allocation]
    /// The part of the estimate's cost that no spendable credits covered. It becomes overage only when it is charged.
    package let uncovered: Millicredits
    /// The highest reported progress; nil before the first report.
    package internal(set) var watermark: Demand?
    /// The amount charged so far, less what was given back because a larger total costs less.
    package internal(set) var charged: Millicredits
    /// The part of it that models which carry fractions have charged, by dimension, in millicredits.
    package internal(set) var carried: [String: Int64]
    /// The deadline, at which the hold lapses.
    package internal(set) var expiresAt: Instant
    package let createdAt: Instant
    package internal(set) var finishedAt: Instant?
    /// The counters in which the reservation counts.
    package internal(set) var counts: [ReservationCount]
    package let metadata: Metadata?

    package init(
        number: Int32, featureKey: FeatureKey, estimate: Demand, ruleID: PublicID?, estimatedCost: Millicredits,
        status: ReservationStatus, holds: [Allocation], uncovered: Millicredits, watermark: Demand?,
        charged: Millicredits, carried: [String: Int64] = [:], expiresAt: Instant, createdAt: Instant,
        finishedAt: Instant?, counts: [ReservationCount], metadata: Metadata?
    ) {
        self.number = number
        self.featureKey = featureKey
        self.estimate = estimate
        self.ruleID = ruleID
        self.estimatedCost = estimatedCost
        self.status = status
        self.holds = holds
        self.uncovered = uncovered
        self.watermark = watermark
        self.charged = charged
        self.carried = carried
        self.expiresAt = expiresAt
        self.createdAt = createdAt
        self.finishedAt = finishedAt
        self.counts = counts
        self.metadata = metadata
    }

    /// The credits held of all blocks, in millicredits.
    package var held: Int64 { holds.reduce(0) { $0 + $1.amount } }
}

/// A counter in which a reservation counts, in the window that was open when it was made.
package struct ReservationCount: Hashable, Sendable {
    package let counter: CounterID
    package let unit: Limit.Unit
    /// The dimension that counts; nil means the sum of all.
    package let dimension: String?
    package let window: TimeWindow
    /// The definition of the end user's limit that counts; 0 for a quota of the feature and for a spend cap.
    package let generation: Int32

    package init(counter: CounterID, unit: Limit.Unit, dimension: String?, window: TimeWindow, generation: Int32) {
        self.counter = counter
        self.unit = unit
        self.dimension = dimension
        self.window = window
        self.generation = generation
    }

    /// The count in the window that a decision has read.
    init(_ state: LimitState) {
        self.init(
            counter: state.counter, unit: state.limit.unit, dimension: state.limit.dimension, window: state.window,
            generation: state.applied.generation)
    }

    /// The amount by which a usage counts.
    func amount(_ usage: CountedUsage) -> Int64 { usage.amount(unit, dimension) }
}

extension Reservation {
    /// The amount for which the reservation counts in a limit that is set after it was made.
    ///
    /// - Parameter committed: The total of its commit; nil when it was not committed, or in credits.
    package func counted(by unit: Limit.Unit, _ dimension: String?, committed: Demand?) -> Int64 {
        let usage: CountedUsage
        switch status {
        case .active: usage = counted
        case .committed:
            usage = CountedUsage(
                demands: committed.map { [$0] } ?? counted.demands, credits: charged.rawValue, isActive: false)
        case .released, .expired:
            usage = CountedUsage(
                demands: watermark.map { [$0] } ?? [], credits: charged.rawValue, isActive: false)
        }
        return usage.amount(unit, dimension)
    }
}

/// The usage for which a reservation counts in its limits.
struct CountedUsage {
    /// The largest of these counts.
    var demands: [Demand]
    /// In millicredits.
    var credits: Int64
    var isActive: Bool

    func amount(_ unit: Limit.Unit, _ dimension: String?) -> Int64 {
        switch unit {
        case .credits: credits
        case .concurrent: isActive ? 1 : 0
        case .units: demands.map { $0.units(in: dimension) }.max() ?? 0
        }
    }
}

extension Reservation: Ordered {
    package var place: Int32 { number }
}
