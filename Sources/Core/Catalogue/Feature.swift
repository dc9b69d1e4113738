package import Credits
package import Metering

/// Something that an end user may do, as an environment's catalogue has it.
package struct Feature: Hashable, Sendable {
    package let key: FeatureKey
    package var name: String
    package let type: FeatureType
    /// How one unit is called, for people.
    package var unitName: String?
    /// The most units per window, of a metered feature; nil is without bound.
    package var quota: Quota?
    package let createdAt: Instant
    package var updatedAt: Instant
    /// An archived feature takes no new use: it is answered as an unknown one, while its history stays.
    package var archivedAt: Instant?

    /// - Parameter name: The key when nil.
    package init(
        key: FeatureKey, name: String? = nil, type: FeatureType = .metered, unitName: String? = nil,
        quota: Quota? = nil, createdAt: Instant = .epoch, updatedAt: Instant? = nil, archivedAt: Instant? = nil
    ) {
        self.key = key
        self.name = name ?? key.rawValue
        self.type = type
        self.unitName = unitName
        self.quota = quota
        self.createdAt = createdAt
        self.updatedAt = updatedAt ?? createdAt
        self.archivedAt = archivedAt
    }

    package var isArchived: Bool { archivedAt != nil }

    /// The feature after a change at an instant.
    package func applying(_ change: FeatureChange, at now: Instant) -> Feature {
        var changed = self
        changed.name = change.name ?? name
        changed.unitName = change.unitName ?? unitName
        changed.quota = change.quota.applied(to: quota)
        changed.archivedAt = change.isArchived.applied(to: archivedAt, at: now)
        changed.updatedAt = now
        return changed
    }
}

/// A feature to be created.
package struct NewFeature: Hashable, Sendable {
    package var key: FeatureKey
    package var name: String
    package var type: FeatureType
    package var unitName: String?
    /// Of a metered feature only.
    package var quota: Quota?

    package init(key: FeatureKey, name: String, type: FeatureType, unitName: String? = nil, quota: Quota? = nil) {
        self.key = key
        self.name = name
        self.type = type
        self.unitName = unitName
        self.quota = quota
    }
}

/// A change of a feature; nil leaves a field as it is.
package struct FeatureChange: Hashable, Sendable {
    package var name: String?
    package var unitName: String?
    package var isArchived: Bool?
    package var quota: FieldChange<Quota>

    package init(
        name: String? = nil, unitName: String? = nil, isArchived: Bool? = nil, quota: FieldChange<Quota> = .keep
    ) {
        self.name = name
        self.unitName = unitName
        self.isArchived = isArchived
        self.quota = quota
    }
}

extension Bool? {
    /// The instant at which something was archived, after a change: nil keeps it, true archives now unless that was done
    /// before, false takes it back.
    func applied(to archivedAt: Instant?, at now: Instant) -> Instant? {
        switch self {
        case nil: archivedAt
        case true?: archivedAt ?? now
        case false?: nil
        }
    }
}
