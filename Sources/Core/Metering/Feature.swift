package import Credits

/// The kinds of feature. A feature keeps its kind.
package enum FeatureType: String, CaseIterable, Hashable, Sendable {
    /// Costs credits by a metering rule, and may be bounded by a quota.
    case metered
    /// Is there or is not.
    case boolean
    /// Is a number that the tenant counts against.
    case limit
}

/// Something that an end user may do.
package struct Feature: Hashable, Sendable {
    package let key: FeatureKey
    package let type: FeatureType
    /// The most units per window, of a metered feature; nil is without bound.
    package let quota: Quota?
    /// An archived feature takes no new use: it is answered as an unknown one, while its history stays.
    package let isArchived: Bool

    package init(key: FeatureKey, type: FeatureType = .metered, quota: Quota? = nil, isArchived: Bool) {
        self.key = key
        self.type = type
        self.quota = quota
        self.isArchived = isArchived
    }
}

/// What an environment sells: its features, their prices and its top-up packages, as of one version of the catalogue.
package struct Catalogue: Sendable {
    package var features: [FeatureKey: Feature] = [:]
    package var prices: [FeatureKey: PriceList] = [:]
    package var packages: [PackageKey: TopupPackage] = [:]

    package var config = EnvironmentConfig()
    /// What the test clocks of a test environment show.
    package var testClocks: [PublicID: Instant] = [:]

    package init() {}

    /// The feature if it exists and takes use.
    package func activeFeature(_ key: FeatureKey) -> Feature? {
        guard let feature = features[key], !feature.isArchived else { return nil }
        return feature
    }

    /// The rule in force for a feature at an instant.
    package func rule(for key: FeatureKey, at instant: Instant) -> MeteringRule? {
        prices[key]?.rule(at: instant)
    }

    /// One version of a feature's price, whether or not it is in force.
    package func rule(id: PublicID, of key: FeatureKey) -> MeteringRule? {
        prices[key]?.rule(id: id)
    }
}
