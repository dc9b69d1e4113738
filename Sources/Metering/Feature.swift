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

/// What an environment sells: its features, their prices and its top-up packages, as of one version of the catalogue.
package struct Catalogue: Sendable {
    package var features: [FeatureKey: Feature] = [:]
    package var prices: [FeatureKey: PriceList] = [:]
    package var packages: [PackageKey: TopupPackage] = [:]

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
