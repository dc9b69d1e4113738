package import Credits

/// One version of an environment's catalogue: features, prices, top-up packages, plans, configuration and test clocks.
/// Every ledger decision and every check reads it; the worker and the replica hold the same value.
package struct Catalogue: Sendable {
    package var features: [FeatureKey: Feature] = [:]
    /// The prices of features for all end users to whom no variant gives another.
    package var prices: [FeatureKey: PriceList] = [:]
    /// The prices that a variant has of its own, by variant.
    package private(set) var variantPrices: [PublicID: [FeatureKey: PriceList]] = [:]
    package var packages: [PackageKey: TopupPackage] = [:]
    package private(set) var plans: [PublicID: Plan] = [:]
    package private(set) var planKeys: [PlanKey: PublicID] = [:]
    package private(set) var variants: [PublicID: VariantVersions] = [:]
    package private(set) var variantKeys: [VariantKey: PublicID] = [:]
    /// The features that the latest version of at least one variant names in `features`, archived variants included. All
    /// other features are open to every end user.
    package private(set) var listedFeatures: Set<FeatureKey> = []
    package var config = EnvironmentConfig()
    /// The instant that each test clock of a test environment shows.
    package var testClocks: [PublicID: Instant] = [:]

    /// The number of variants whose latest version lists a feature.
    private var listings: [FeatureKey: Int] = [:]
    /// The rules of all variants by id.
    private var variantRules: [PublicID: MeteringRule] = [:]

    package init() {}

    /// The feature, or nil when it does not exist or is archived.
    package func activeFeature(_ key: FeatureKey) -> Feature? {
        guard let feature = features[key], !feature.isArchived else { return nil }
        return feature
    }

    /// The metering rule of a feature in force at an instant.
    ///
    /// - Parameter variant: The variant whose own rule takes the place of the feature's while it is in force; nil for an
    ///   end user without one.
    package func rule(for key: FeatureKey, at instant: Instant, variant: PublicID? = nil) -> MeteringRule? {
        if let variant, let own = variantPrices[variant]?[key]?.rule(at: instant) { return own }
        return prices[key]?.rule(at: instant)
    }

    /// One version of a feature's metering rule, whether or not it is in force. It may be a variant's.
    package func rule(id: PublicID, of key: FeatureKey) -> MeteringRule? {
        if let rule = prices[key]?.rule(id: id) { return rule }
        guard let rule = variantRules[id], rule.featureKey == key else { return nil }
        return rule
    }
}

// MARK: - Plans

extension Catalogue {
    /// One version of a variant.
    package func variant(_ reference: VariantReference) -> PlanVariant? {
        variants[reference.id]?[reference.version]
    }

    package func latestVariant(_ id: PublicID) -> PlanVariant? {
        variants[id]?.latest
    }

    /// The version of a variant that was the latest one at an instant; the first one before all.
    package func latestVariant(_ id: PublicID, at instant: Instant) -> PlanVariant? {
        variants[id]?.latest(at: instant)
    }

    /// The latest version of the variant with an id or a key.
    package func latestVariant(_ name: VariantName) -> PlanVariant? {
        switch name {
        case .id(let id): latestVariant(id)
        case .key(let key): variantKeys[key].flatMap { latestVariant($0) }
        }
    }

    package func plan(of variant: PlanVariant) -> Plan? {
        plans[variant.planID]
    }
}

// MARK: - Rows

/// One method for each table. The ledger worker and the replica insert rows with them, so that the derived values follow.
/// An item replaces the one with the same key.
extension Catalogue {
    package mutating func insert(_ feature: Feature) {
        features[feature.key] = feature
    }

    package mutating func insert(_ rule: MeteringRule) {
        guard let variant = rule.variantID else {
            prices[rule.featureKey, default: PriceList()].insert(rule)
            return
        }
        variantPrices[variant, default: [:]][rule.featureKey, default: PriceList()].insert(rule)
        variantRules[rule.id] = rule
    }

    package mutating func insert(_ package: TopupPackage) {
        packages[package.key] = package
    }

    package mutating func insert(_ plan: Plan) {
        plans[plan.id] = plan
        if let key = plan.key { planKeys[key] = plan.id }
    }

    /// Adds a version of a variant. Versions may come in any order.
    package mutating func insert(_ variant: PlanVariant) {
        let listed = variants[variant.id]?.latest.terms.features.keys
        variants[variant.id, default: VariantVersions(variant)].insert(variant)
        if let key = variant.key { variantKeys[key] = variant.id }
        guard variants[variant.id]?.latest.version == variant.version else { return }
        for feature in variant.terms.features.keys { list(feature, by: 1) }
        if let listed { for feature in listed { list(feature, by: -1) } }
    }

    private mutating func list(_ feature: FeatureKey, by difference: Int) {
        let count = listings[feature, default: 0] + difference
        listings[feature] = count == 0 ? nil : count
        if count == 0 { listedFeatures.remove(feature) } else { listedFeatures.insert(feature) }
    }

    package mutating func insert(_ clock: TestClock) {
        testClocks[clock.publicID] = clock.now
    }
}
