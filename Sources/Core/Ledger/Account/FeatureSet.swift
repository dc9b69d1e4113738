package import Credits

/// The features that a block is restricted to. Copies of a block share one value.
package final class FeatureSet: Sendable {
    /// In the order in which they were given.
    package let keys: [FeatureKey]
    private let sorted: [FeatureKey]

    /// Nil for an empty list, which means no restriction.
    package init?(_ keys: [FeatureKey]) {
        guard !keys.isEmpty else { return nil }
        self.keys = keys
        sorted = keys.sorted { $0.rawValue < $1.rawValue }
    }

    /// Costs a binary search.
    package func contains(_ key: FeatureKey) -> Bool {
        var (low, high) = (0, sorted.count)
        while low < high {
            let middle = (low + high) / 2
            if sorted[middle] == key { return true }
            if sorted[middle].rawValue < key.rawValue { low = middle + 1 } else { high = middle }
        }
        return false
    }
}

extension FeatureSet: Hashable {
    package static func == (left: FeatureSet, right: FeatureSet) -> Bool {
        left === right || left.keys == right.keys
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(keys) }
}
