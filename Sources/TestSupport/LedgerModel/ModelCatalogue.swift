package import Credits

/// The features, packages, configuration and test clocks of an environment.
package struct ModelCatalogue: Sendable {
    package var features: [String: ModelLedger.Feature]
    package var packages: [String: Package] = [:]
    package var policy: Policy?
    package var overageLimit: Int64?
    /// Whether the first mutation of an end user creates it.
    package var createsEndUsers = true
    package var zone = ModelZone.utc
    package var thresholds: [ModelLedger.Threshold] = []
    package var expiringSoonHours: Int64?
    /// The types of events that are recorded; nil means all but `credits.used`.
    package var eventTypes: Set<String>?
    /// The instant of each test clock, by number.
    package var clocks: [Int: Instant] = [:]
    /// The variants of all plans by number, from 1 on. Each version is a variant.
    package var variants: [Int: ModelVariant] = [:]
    package var defaultVariant: Int?
    package var fallbackVariant: Int?

    package init(features: [String: ModelLedger.Feature]) {
        self.features = features
    }

    package enum Policy: String, Sendable, CaseIterable {
        case block, allow, notify
    }

    /// A top-up package.
    package struct Package: Hashable, Sendable {
        package let credits: Int64
        package let price: Int64
        package let expiry: ModelLedger.Expiry
        package let priority: Int64?
        package let isArchived: Bool

        package init(credits: Int64, price: Int64, expiry: ModelLedger.Expiry, priority: Int64?, isArchived: Bool) {
            self.credits = credits
            self.price = price
            self.expiry = expiry
            self.priority = priority
            self.isArchived = isArchived
        }
    }
}

extension ModelLedger {
    package enum FeatureKind: String, Sendable { case metered, boolean, limit }

    /// A limit on the units used in a window.
    package struct Quota: Hashable, Sendable {
        package let limit: Int64
        package let window: ModelWindow
        /// Whether the first use opens the window; otherwise windows follow the calendar.
        package let opensWithUse: Bool
        /// Whether windows are counted from the subscription's start, where there is one.
        package var countsFromStart = false

        package init(limit: Int64, window: ModelWindow, opensWithUse: Bool) {
            self.limit = limit
            self.window = window
            self.opensWithUse = opensWithUse
        }
    }

    /// A feature and its prices.
    package struct Feature: Sendable {
        package var isArchived: Bool
        package var kind = FeatureKind.metered
        package var quota: Quota?
        /// By version, in order of creation.
        package var prices: [(from: Instant, price: ModelPrice)]

        package init(
            isArchived: Bool = false, kind: FeatureKind = .metered, quota: Quota? = nil,
            prices: [(from: Instant, price: ModelPrice)] = []
        ) {
            self.isArchived = isArchived
            self.kind = kind
            self.quota = quota
            self.prices = prices
        }

        /// The latest version that has taken effect, counted from 1; nil if none has.
        package func version(at instant: Instant) -> Int? {
            (1...max(1, prices.count)).last { $0 <= prices.count && prices[$0 - 1].from <= instant }
        }
    }

    /// The expiry of a block.
    package enum Expiry: Hashable, Sendable {
        case never
        case at(Instant)
        case after(months: Int64, seconds: Int64)

        /// The instant of the expiry. Months are local ones.
        package func instant(_ now: Instant, in zone: ModelZone) -> Instant? {
            switch self {
            case .never: nil
            case .at(let instant): instant
            case .after(let months, let seconds):
                zone.later(now, months: months, days: 0).adding(seconds: seconds)
            }
        }
    }

    /// An end user's override of a feature.
    package enum Override: Hashable, Sendable {
        case enabled(Bool)
        case limit(Int64)
        case quota(Quota)
    }

    /// A spend cap: a limit on the credits spent in a calendar window.
    package struct Cap: Hashable, Sendable {
        package let number: Int
        package let feature: String?
        package let credits: Int64
        package let window: ModelWindow
        let defined: ModelLedger.Definition

        package func counts(_ key: String) -> Bool { feature == nil || feature == key }
    }
}
