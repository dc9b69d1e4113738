package import Credits

/// Something that an end user may do and that costs credits by a metering rule.
package struct Feature: Hashable, Sendable {
    package let key: FeatureKey
    /// An archived feature takes no new use: it is answered as an unknown one, while its history stays.
    package let isArchived: Bool

    package init(key: FeatureKey, isArchived: Bool) {
        self.key = key
        self.isArchived = isArchived
    }
}

/// What an environment sells: its features and their prices, as of one version of the catalogue.
package struct Catalogue: Sendable {
    package var features: [FeatureKey: Feature] = [:]
    package var prices: [FeatureKey: PriceList] = [:]

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
}
