package import Credits

/// One line of a variant's credit grants.
package struct GrantLine: Hashable, Sendable {
    /// The largest number of features that a line names.
    package static let maximumFeatures = 100

    /// The instants at which a line's credits land.
    package enum Cadence: Hashable, Sendable {
        /// Once, with period 1.
        case activation
        /// With each period.
        case period
        /// With each window of a duration of one minute to ten years, independent of the periods.
        case every(CalendarDuration, anchor: Anchor)
    }

    /// The rule by which the windows of an `every` line follow each other.
    package enum Anchor: String, Sendable, CaseIterable {
        /// From the subscription's start.
        case subscription
        /// By the calendar.
        case calendar
        /// A window opens with the first use of its credits, and the next credits land when it closes.
        case firstUse = "first_use"
    }

    package enum Expiry: Hashable, Sendable {
        /// When the next period starts or, unpaid, when grace ends.
        case periodEnd
        /// When the line's next credits land. For a `period` line the same as `periodEnd`.
        case nextGrant
        case never
        case after(CalendarDuration)
    }

    /// The part of the unused credits that is granted again when the next period starts.
    package struct Rollover: Hashable, Sendable {
        /// 1 to 100.
        package let percentage: Int32
        /// The most that comes back per turn; nil means no limit.
        package let cap: Millicredits?
        package let expiry: Expiry

        package init(percentage: Int32, cap: Millicredits? = nil, expiry: Expiry = .periodEnd) {
            self.percentage = percentage
            self.cap = cap
            self.expiry = expiry
        }
    }

    /// Above zero.
    package let credits: Millicredits
    package let cadence: Cadence
    package let expiry: Expiry
    /// 0 to 100; nil means the default of plan grants or of recurring ones.
    package let priority: Int16?
    /// Only for lines whose credits expire at a period's end.
    package let rollover: Rollover?
    /// The most that remains of the line's credits: a grant is cut to fit. Nil means no limit.
    package let accumulationCap: Millicredits?
    /// Empty means all features.
    package let featureKeys: [FeatureKey]

    package init(
        credits: Millicredits, cadence: Cadence, expiry: Expiry, priority: Int16? = nil, rollover: Rollover? = nil,
        accumulationCap: Millicredits? = nil, featureKeys: [FeatureKey] = []
    ) {
        self.credits = credits
        self.cadence = cadence
        self.expiry = expiry
        self.priority = priority
        self.rollover = rollover
        self.accumulationCap = accumulationCap
        self.featureKeys = featureKeys
    }
}

extension GrantLine {
    /// The number of times that an `every` line lands in a day, rounded up; 0 for every other line.
    var landingsPerDay: Int64 {
        guard case .every(let duration, _) = cadence else { return 0 }
        let seconds = max(1, duration.months * 28 * 86_400 + duration.seconds)
        return (86_400 + seconds - 1) / seconds
    }
}
