package import Credits
package import Metering

/// What an event or a job is measured by.
package enum Demand: Hashable, Sendable {
    /// Units or quantities, priced by the feature's rule.
    case measured(Measure, Attributes)
    /// Credits, whatever the rule.
    case credits(Millicredits)

    /// What counts against a quota: all units together; credits have none.
    package var units: Int64 {
        switch self {
        case .measured(let measure, _): measure.total
        case .credits: 0
        }
    }
}

/// Where a reservation stands. All but `active` are final.
package enum ReservationStatus: String, Sendable, CaseIterable {
    case active, committed, released, expired
}

/// Credits put aside for a job under way. The hold stays in `balance` and leaves `effective_balance`.
package struct Reservation: Hashable, Sendable {
    package static let ttlSeconds: ClosedRange<Int64> = 1...604_800
    package static let defaultTTLSeconds: Int64 = 300

    /// 1, 2, 3, … in the order in which the account's reservations were made.
    package let number: Int32
    package let featureKey: FeatureKey
    /// What the job was estimated at.
    package let estimate: Demand
    /// The rule version that prices it to the end; nil when no rule prices the feature.
    package let ruleID: PublicID?
    /// The cost of the estimate: what was to be held, and the step by which progress makes the hold grow.
    package let estimatedCost: Millicredits
    package internal(set) var status: ReservationStatus
    /// What is held of each block now, in burn order; nothing after a final state.
    package internal(set) var holds: [Allocation]
    /// What the estimate cost beyond what there was to hold; it becomes overage only when it is charged.
    /// What the estimate cost beyond what there was to hold; it becomes overage only when it is charged.
    package let uncovered: Millicredits
    /// The highest progress that was reported, in the estimate's measure; nil before the first.
    package internal(set) var watermark: Demand?
    /// What it has been charged so far.
    package internal(set) var charged: Millicredits
    /// The hold lapses at this instant.
    package internal(set) var expiresAt: Instant
    package let createdAt: Instant
    package internal(set) var finishedAt: Instant?
    /// The windows in which it counts against quota and caps: those in which it was made.
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

    /// What it holds of all blocks, mc.
    package var held: Int64 { holds.reduce(0) { $0 + $1.amount } }
}

/// The windows that were open when a reservation was made, by their beginning.
package struct ReservationWindows: Hashable, Sendable {
    /// Of the feature's quota.
    package var quota: Instant?
    /// Of each spend cap that it counts against, by the cap's number.
    package var caps: [Int32: Instant]

    package init(quota: Instant? = nil, caps: [Int32: Instant] = [:]) {
        self.quota = quota
        self.caps = caps
    }
}
