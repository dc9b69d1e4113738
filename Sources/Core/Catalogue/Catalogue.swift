package import Credits

/// An environment's catalogue as of one version of it: features, their prices, top-up packages, configuration and test
/// clocks. Every decision of the ledger and every check reads it; the worker and the replica hold the same value.
package struct Catalogue: Sendable {
    package var features: [FeatureKey: Feature] = [:]
    package var prices: [FeatureKey: PriceList] = [:]
    package var packages: [PackageKey: TopupPackage] = [:]
    package var config = EnvironmentConfig()
    /// The instants that the test clocks of a test environment show.
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
