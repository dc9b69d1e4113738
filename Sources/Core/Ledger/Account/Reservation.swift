package import Credits
package import Metering

/// The measure of an event or a job.
package enum Demand: Hashable, Sendable {
    /// Units or quantities, priced by the feature's rule.
    case measured(Measure, Attributes)
    /// Credits, independent of the rule. The attributes choose the limits that count.
    case credits(Millicredits, Attributes = .none)

    package var attributes: Attributes {
        switch self {
        case .measured(_, let attributes), .credits(_, let attributes): attributes
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

/// The use of one feature by a job.
package struct JobPart: Hashable, Sendable {
    package let featureKey: FeatureKey
    /// The rule version that prices the feature to the end of the job; nil if no rule prices it.
    package let ruleID: PublicID?
    /// The highest reported progress; nil before the first report.
    package internal(set) var watermark: Demand?
    /// The amount charged so far, less what was given back because a larger total costs less.
    package internal(set) var charged: Millicredits
    /// The part of it that models which carry fractions have charged, by dimension, in millicredits.
    package internal(set) var carried: [String: Int64]
    /// The units that the entries of the feature have stated so far. A report that costs nothing has no entry.
    package internal(set) var stated: Int64

    package init(
        featureKey: FeatureKey, ruleID: PublicID?, watermark: Demand? = nil, charged: Millicredits = .zero,
        carried: [String: Int64] = [:], stated: Int64 = 0
    ) {
        self.featureKey = featureKey
        self.ruleID = ruleID
        self.watermark = watermark
        self.charged = charged
        self.carried = carried
        self.stated = stated
    }
}

/// Credits that are held for a running job. Held credits stay in `balance` and leave `effective_balance`.
package struct Reservation: Hashable, Sendable {
    package static let ttlSeconds: ClosedRange<Int64> = 1...604_800
    package static let defaultTTLSeconds: Int64 = 300
    /// The largest number of features of one reservation.
    package static let maximumFeatures = 16

    /// 1, 2, 3, … in the order in which the account's reservations were made.
    package let number: Int32
    /// The features of the job, in the order of the request. A job in units or quantities has one.
    package internal(set) var parts: [JobPart]
    /// The estimate of the job.
    package let estimate: Demand
    /// The cost of the estimate. It is the amount to hold, and the step by which progress makes the hold grow.
    package let estimatedCost: Millicredits
    package internal(set) var status: ReservationStatus
    /// The credits held of each block at present, in burn order; empty after a final status.
    package internal(set) var holds: [Allocation]
    /// The part of the estimate's cost that no spendable credits covered. It becomes overage only when it is charged.
    package let uncovered: Millicredits
    /// The deadline, at which the hold lapses.
    package internal(set) var expiresAt: Instant
    package let createdAt: Instant
    package internal(set) var finishedAt: Instant?
    /// The counters in which the reservation counts.
    package internal(set) var counts: [ReservationCount]
    package let metadata: Metadata?

    package init(
        number: Int32, parts: [JobPart], estimate: Demand, estimatedCost: Millicredits, status: ReservationStatus,
        holds: [Allocation], uncovered: Millicredits, expiresAt: Instant, createdAt: Instant, finishedAt: Instant?,
        counts: [ReservationCount], metadata: Metadata?
    ) {
        self.number = number
        self.parts = parts
        self.estimate = estimate
        self.estimatedCost = estimatedCost
        self.status = status
        self.holds = holds
        self.uncovered = uncovered
        self.expiresAt = expiresAt
        self.createdAt = createdAt
        self.finishedAt = finishedAt
        self.counts = counts
        self.metadata = metadata
    }

    /// The credits held of all blocks, in millicredits.
    package var held: Int64 { holds.reduce(0) { $0 + $1.amount } }

    package var featureKeys: [FeatureKey] { parts.map(\.featureKey) }

    /// The only feature; nil for a reservation over several.
    package var featureKey: FeatureKey? { parts.count == 1 ? parts[0].featureKey : nil }

    /// The amount charged so far for all features.
    package var charged: Millicredits {
        Millicredits.zero.changed(by: parts.reduce(0) { $0 + $1.charged.rawValue })
    }
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
    /// The features of a reservation over several that count; empty means all.
    package let features: Set<FeatureKey>

    package init(
        counter: CounterID, unit: Limit.Unit, dimension: String?, window: TimeWindow, generation: Int32,
        features: Set<FeatureKey> = []
    ) {
        self.counter = counter
        self.unit = unit
        self.dimension = dimension
        self.window = window
        self.generation = generation
        self.features = features
    }

    /// The count of a reservation of some features in a limit.
    init(_ counter: CounterID, _ applied: AppliedLimit, in window: TimeWindow, of features: [FeatureKey]) {
        let limit = applied.limit
        self.init(
            counter: counter, unit: limit.unit, dimension: limit.dimension, window: window,
            generation: applied.generation,
            features: features.count > 1 ? limit.features.intersection(features) : [])
    }

    /// The count of a reservation of some features in the window that a decision has read.
    init(_ state: LimitState, of features: [FeatureKey]) {
        self.init(state.counter, state.applied, in: state.window, of: features)
    }

    /// The amount by which a usage counts.
    func amount(_ usage: CountedUsage) -> Int64 { usage.amount(unit, dimension, of: features) }
}

extension Reservation {
    /// The amount for which the reservation counts in a limit that is set after it was made and covers it.
    ///
    /// - Parameter committed: The total of its commit; nil when it was not committed, or in credits.
    package func counted(by limit: Limit, committed: Demand?) -> Int64 {
        var usage = counted
        if status != .active {
            usage = used
            if status == .committed, parts.count == 1 {
                usage.parts[0].demands = committed.map { [$0] } ?? counted.parts[0].demands
            }
        }
        return usage.amount(limit.unit, limit.dimension, of: limit.features)
    }

    /// The usage for which the active reservation counts: its estimate, or what it has used beyond that.
    var counted: CountedUsage {
        var usage = used
        for place in usage.parts.indices { usage.parts[place].demands.append(estimate) }
        usage.leastCredits = estimatedCost.rawValue
        usage.isActive = true
        return usage
    }

    /// The usage for which the reservation counts when it ends without a commit.
    var used: CountedUsage {
        CountedUsage(
            parts: parts.map { part in
                CountedUsage.Part(
                    feature: part.featureKey, demands: part.watermark.map { [$0] } ?? [],
                    credits: part.charged.rawValue)
            }, leastCredits: 0, isActive: false)
    }
}

/// The usage for which a reservation counts in its limits.
struct CountedUsage {
    /// The usage of one feature.
    struct Part {
        let feature: FeatureKey
        /// The largest of these counts.
        var demands: [Demand]
        /// In millicredits.
        var credits: Int64
    }

    var parts: [Part]
    /// The credits for which the reservation counts at least.
    var leastCredits: Int64
    var isActive: Bool

    /// - Parameter features: The features that count; empty means all.
    func amount(_ unit: Limit.Unit, _ dimension: String?, of features: Set<FeatureKey>) -> Int64 {
        let covered = features.isEmpty ? parts : parts.filter { features.contains($0.feature) }
        return switch unit {
        case .credits: max(leastCredits, covered.reduce(0) { $0 + $1.credits })
        case .concurrent: isActive ? 1 : 0
        case .units:
            covered.reduce(0) { sum, part in
                sum.addingSaturated(part.demands.map { $0.units(in: dimension) }.max() ?? 0)
            }
        }
    }

    /// The usage of the other features.
    func without(_ place: Int) -> CountedUsage {
        var others = self
        others.parts.remove(at: place)
        others.leastCredits = 0
        return others
    }
}

extension Reservation: Ordered {
    package var place: Int32 { number }
}
