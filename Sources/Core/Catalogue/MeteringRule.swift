package import Credits
package import Metering

/// One version of a feature's price. Rules are never edited: a later version takes over from its `effectiveFrom`.
package struct MeteringRule: Hashable, Sendable {
    package let id: PublicID
    package let featureKey: FeatureKey
    /// 1, 2, 3, … in the order in which the feature's rules were made.
    package let version: Int32
    package let price: Price
    package let effectiveFrom: Instant
    package let createdAt: Instant

    /// - Parameter createdAt: `effectiveFrom` when nil.
    package init(
        id: PublicID, featureKey: FeatureKey, version: Int32, price: Price, effectiveFrom: Instant,
        createdAt: Instant? = nil
    ) {
        self.id = id
        self.featureKey = featureKey
        self.version = version
        self.price = price
        self.effectiveFrom = effectiveFrom
        self.createdAt = createdAt ?? effectiveFrom
    }
}

/// All versions of one feature's price.
package struct PriceList: Hashable, Sendable {
    /// Latest version first.
    private var rules: [MeteringRule] = []

    package init() {}

    package init(_ rules: some Sequence<MeteringRule>) {
        for rule in rules { insert(rule) }
    }

    /// Adds a version; one that is already there (same version number) is replaced by its equal.
    package mutating func insert(_ rule: MeteringRule) {
        rules.removeAll { $0.version == rule.version }
        let index = rules.firstIndex { $0.version < rule.version }
        rules.insert(rule, at: index ?? rules.endIndex)
    }

    /// The version in force at an instant: the latest of those that have begun, since a new version replaces every older
    /// one from its own beginning on.
    package func rule(at instant: Instant) -> MeteringRule? {
        rules.first { $0.effectiveFrom <= instant }
    }

    /// A version by its id, whether or not it is in force.
    package func rule(id: PublicID) -> MeteringRule? {
        rules.first { $0.id == id }
    }
}
