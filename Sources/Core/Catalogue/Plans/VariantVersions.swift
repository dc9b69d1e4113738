package import Credits

/// All versions of one variant. There is at least one, and none is ever removed.
package struct VariantVersions: Hashable, Sendable {
    /// The version with the highest number. New subscriptions get it.
    package private(set) var latest: PlanVariant
    /// The other versions, by number.
    private var earlier: [Int32: PlanVariant] = [:]

    package init(_ version: PlanVariant) {
        latest = version
    }

    /// Adds a version. A version with the same number is replaced. Versions may come in any order.
    package mutating func insert(_ version: PlanVariant) {
        if version.version < latest.version {
            earlier[version.version] = version
        } else {
            if version.version > latest.version { earlier[latest.version] = latest }
            latest = version
        }
    }

    /// The version that was the latest one at an instant; the first one before all. Costs a walk over the versions if a later
    /// one was made since.
    package func latest(at instant: Instant) -> PlanVariant {
        guard instant < latest.updatedAt else { return latest }
        let made = earlier.values.filter { $0.updatedAt <= instant }.max { $0.version < $1.version }
        return made ?? earlier.values.min { $0.version < $1.version } ?? latest
    }

    /// Nil for a number that no version has.
    package subscript(number: Int32) -> PlanVariant? {
        number == latest.version ? latest : earlier[number]
    }
}
