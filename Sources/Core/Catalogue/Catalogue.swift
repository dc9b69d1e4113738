package import Credits

/// One version of an environment's catalogue: features, prices, top-up packages, configuration and test clocks. Every
/// ledger decision and every check reads it; the worker and the replica hold the same value.
package struct Catalogue: Sendable {
    package var features: [FeatureKey: Feature] = [:]
    package var prices: [FeatureKey: PriceList] = [:]
    package var packages: [PackageKey: TopupPackage] = [:]
    package var config = EnvironmentConfig()
    /// The instant that each test clock of a test environment shows.
    package var testClocks: [PublicID: Instant] = [:]

    package init() {}

    /// The feature, or nil when it does not exist or is archived.
    package func activeFeature(_ key: FeatureKey) -> Feature? {
        guard let feature = features[key], !feature.isArchived else { return nil }
        return feature
    }

    /// The metering rule of a feature in force at an instant.
    package func rule(for key: FeatureKey, at instant: Instant) -> MeteringRule? {
        prices[key]?.rule(at: instant)
    }

    /// One version of a feature's metering rule, whether or not it is in force.
    package func rule(id: PublicID, of key: FeatureKey) -> MeteringRule? {
        prices[key]?.rule(id: id)
    }
}
