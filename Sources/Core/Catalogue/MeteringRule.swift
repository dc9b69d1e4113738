package import Credits
package import Metering

/// One version of a feature's price, or of its price for the subscribers of one variant. Rules are never edited: a later
/// version takes effect at its `effectiveFrom`.
package struct MeteringRule: Hashable, Sendable {
    package let id: PublicID
    package let featureKey: FeatureKey
    /// The variant to whose subscribers the rule belongs; nil for a rule for all others.
    package let variantID: PublicID?
    /// 1, 2, 3, … in the order in which the rules of the feature, or of the feature and the variant, were created.
    package let version: Int32
    package let price: Price
    package let effectiveFrom: Instant
    package let createdAt: Instant

    /// - Parameter createdAt: Nil means `effectiveFrom`.
    package init(
        id: PublicID, featureKey: FeatureKey, variantID: PublicID? = nil, version: Int32, price: Price,
        effectiveFrom: Instant,
        createdAt: Instant? = nil
    ) {
        self.id = id
        self.featureKey = featureKey
        self.variantID = variantID
        self.version = version
        self.price = price
        self.effectiveFrom = effectiveFrom
        self.createdAt = createdAt ?? effectiveFrom
    }
}

/// All metering rules of one feature, or of one feature for the subscribers of one variant.
package struct PriceList: Hashable, Sendable {
    /// Latest version first.
    private var rules: [MeteringRule] = []

    package init() {}

    package init(_ rules: some Sequence<MeteringRule>) {
        for rule in rules { insert(rule) }
    }

    /// Adds a rule. A rule with the same version number is replaced.
    package mutating func insert(_ rule: MeteringRule) {
        rules.removeAll { $0.version == rule.version }
        let index = rules.firstIndex { $0.version < rule.version }
        rules.insert(rule, at: index ?? rules.endIndex)
    }

    /// The rule in force at an instant: the latest version that has taken effect. A new version replaces all older ones
    /// from its `effectiveFrom` on.
    package func rule(at instant: Instant) -> MeteringRule? {
        rules.first { $0.effectiveFrom <= instant }
    }

    /// A rule by its id, whether or not it is in force.
    package func rule(id: PublicID) -> MeteringRule? {
        rules.first { $0.id == id }
    }
}
