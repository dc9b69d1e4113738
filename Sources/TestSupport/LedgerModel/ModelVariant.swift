package import Credits

/// A length of time: months and days of the calendar, and exact seconds.
package struct ModelDuration: Hashable, Sendable {
    package let months: Int64
    package let days: Int64
    package let seconds: Int64

    package init(months: Int64 = 0, days: Int64 = 0, seconds: Int64 = 0) {
        self.months = months
        self.days = days
        self.seconds = seconds
    }

    /// The end of a number of durations that follow each other, counted from the first start.
    package func end(of number: Int64 = 1, from start: Instant, in zone: ModelZone) -> Instant {
        zone.later(start, months: months * number, days: days * number).adding(seconds: seconds * number)
    }

    /// The windows of the calendar that have this length: local days, weeks and months, or steps from 1970.
    package var window: ModelWindow {
        switch (months, days, seconds) {
        case (0, 1, 0): .day
        case (0, 7, 0): .week
        case (1, 0, 0): .month
        default: .duration(months: months, seconds: days * 86_400 + seconds)
        }
    }
}

/// One line of a variant's credit grants.
package struct ModelLine: Hashable, Sendable {
    /// The rule by which the windows of an `every` line follow each other.
    package enum Anchor: String, Hashable, Sendable { case subscription, calendar, firstUse = "first_use" }

    /// The instants at which the line's credits land.
    package enum Cadence: Hashable, Sendable {
        case activation, period
        case every(ModelDuration, Anchor)
    }

    /// The instant at which the line's credits expire.
    package enum Expiry: Hashable, Sendable {
        case periodEnd, nextGrant, never
        case after(ModelDuration)
    }

    /// The part of the unused credits that is granted again when the next period starts.
    package struct Rollover: Hashable, Sendable {
        package let percentage: Int64
        package let cap: Int64?
        package let expiry: Expiry

        package init(percentage: Int64, cap: Int64? = nil, expiry: Expiry = .periodEnd) {
            self.percentage = percentage
            self.cap = cap
            self.expiry = expiry
        }
    }

    package let credits: Int64
    package let cadence: Cadence
    package var expiry: Expiry
    package var priority: Int64?
    package var rollover: Rollover?
    package var accumulationCap: Int64?
    package var features: [String] = []

    package init(_ credits: Int64, _ cadence: Cadence, expires expiry: Expiry = .periodEnd) {
        self.credits = credits
        self.cadence = cadence
        self.expiry = expiry
    }

    var isEvery: Bool {
        if case .every = cadence { true } else { false }
    }
}

/// A limit of a variant.
package struct ModelVariantLimit: Hashable, Sendable {
    package let limit: ModelLedger.Limit
    package let isPerQuantity: Bool

    package init(_ limit: ModelLedger.Limit, isPerQuantity: Bool = false) {
        self.limit = limit
        self.isPerQuantity = isPerQuantity
    }
}

/// One version of a plan's variant. Another version is a variant of another number.
package struct ModelVariant: Sendable {
    /// The unit of the billing interval.
    package enum Unit: String, Hashable, Sendable, CaseIterable { case hour, day, week, month, year }

    package var slot = "base"
    package var isPostpaid = false
    package var unit: Unit
    package var count: Int64
    package var lines: [ModelLine] = []
    /// `enabled(false)` lists the feature and does not include it.
    package var features: [String: ModelLedger.Override] = [:]
    package var limits: [String: ModelVariantLimit] = [:]
    /// The variant's own price rules of a feature, in order of creation.
    package var prices: [String: [(from: Instant, price: ModelPrice)]] = [:]
    package var policy: ModelCatalogue.Policy?
    package var overageLimit: Int64?
    package var renewalDueDays: Int64 = 3
    package var graceDays: Int64 = 3
    package var allowsUsageWhileOverdue = true
    package var trialDays: Int64 = 0
    package var trialCredits: Int64 = 0
    package var fallback: Int?
    package var isArchived = false
    /// The number of the next version of the same variant.
    package var newer: Int?
    /// The instant at which this version was made.
    package var madeAt = Instant(microseconds: .min)

    package init(_ unit: Unit = .month, count: Int64 = 1) {
        self.unit = unit
        self.count = count
    }

    /// The length of a period.
    package var interval: ModelDuration {
        switch unit {
        case .hour: ModelDuration(seconds: 3_600 * count)
        case .day: ModelDuration(days: count)
        case .week: ModelDuration(days: 7 * count)
        case .month: ModelDuration(months: count)
        case .year: ModelDuration(months: 12 * count)
        }
    }
}

extension ModelCatalogue {
    /// The number of the first version of a variant.
    func firstVersion(of number: Int) -> Int {
        var first = number
        while let older = variants.first(where: { $0.value.newer == first })?.key { first = older }
        return first
    }

    /// The number of the latest version of a variant; nil if the variant does not exist or is archived.
    ///
    /// - Parameter instant: The instant by which a later version than the first must have been made; nil counts all.
    package func latestVersion(of number: Int?, at instant: Instant? = nil) -> Int? {
        guard var latest = number else { return nil }
        while let newer = variants[latest]?.newer, let version = variants[newer] {
            if let instant, instant < version.madeAt { break }
            latest = newer
        }
        return variants[latest].map(\.isArchived) ?? true ? nil : latest
    }
}
