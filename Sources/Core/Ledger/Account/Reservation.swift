package import Credits
package import Metering

/// The measure of an event or a job.
package enum Demand: Hashable, Sendable {
    /// Units or quantities, priced by the feature's rule.
    case measured(Measure, Attributes)
    /// Credits, independent of the rule.
    case credits(Millicredits)

    /// The units that count against a quota: the total of all dimensions; 0 for credits.
    package var units: Int64 {
        switch self {
        case .measured(let measure, _): measure.total
        case .credits: 0
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
    /// The amount charged so far.
    package internal(set) var charged: Millicredits
    /// The deadline, at which the hold lapses.
    package internal(set) var expiresAt: Instant
    package let createdAt: Instant
    package internal(set) var finishedAt: Instant?
    /// The windows in which the reservation counts against quota and spend caps: those that were open when it was made.
    package let windows: ReservationWindows
    package let metadata: Metadata?

    package init(
        number: Int32, featureKey: FeatureKey, estimate: Demand, ruleID: PublicID?, estimatedCost: Millicredits,
        status: ReservationStatus, holds: [Allocation], uncovered: Millicredits, watermark: Demand?,
        charged: Millicredits, expiresAt: Instant, createdAt: Instant, finishedAt: Instant?,
        windows: ReservationWindows, metadata: Metadata?
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
        self.expiresAt = expiresAt
        self.createdAt = createdAt
        self.finishedAt = finishedAt
        self.windows = windows
        self.metadata = metadata
    }

    /// The credits held of all blocks, in millicredits.
    package var held: Int64 { holds.reduce(0) { $0 + $1.amount } }
}

/// The starts of the windows that were open when a reservation was made.
package struct ReservationWindows: Hashable, Sendable {
    /// The window of the feature's quota.
    package var quota: Instant?
    /// The window of each spend cap that counts the reservation, by the cap's number.
    package var caps: [Int32: Instant]

    package init(quota: Instant? = nil, caps: [Int32: Instant] = [:]) {
        self.quota = quota
        self.caps = caps
    }
}

extension Reservation: Ordered {
    package var place: Int32 { number }
}
