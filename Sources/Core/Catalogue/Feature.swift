package import Credits
package import Metering

/// A feature of an environment's catalogue: something that an end user may use.
package struct Feature: Hashable, Sendable {
    package let key: FeatureKey
    package var name: String
    package let type: FeatureType
    /// The name of one unit, for people.
    package var unitName: String?
    /// The quota of a metered feature; nil means no quota.
    package var quota: Quota?
    /// The instant from which the quota counts: that at which it got its windows. Nil without a quota, and for one from
    /// before this was recorded.
    package var quotaSince: Instant?
    /// The attributes by which the usage of a metered feature is reported.
    package var reportBy: ReportAttributes
    package let createdAt: Instant
    package var updatedAt: Instant
    /// When the feature was archived. An archived feature is answered like an unknown one; its history stays.
    package var archivedAt: Instant?

    /// - Parameter name: Nil means the key.
    package init(
        key: FeatureKey, name: String? = nil, type: FeatureType = .metered, unitName: String? = nil,
        quota: Quota? = nil, quotaSince: Instant? = nil, reportBy: ReportAttributes = .none,
        createdAt: Instant = .epoch, updatedAt: Instant? = nil, archivedAt: Instant? = nil
    ) {
        self.key = key
        self.name = name ?? key.rawValue
        self.type = type
        self.unitName = unitName
        self.quota = quota
        self.quotaSince = quotaSince
        self.reportBy = reportBy
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
        if let new = changed.quota {
            if new.window != quota?.window || new.anchor != quota?.anchor { changed.quotaSince = now }
        } else {
            changed.quotaSince = nil
        }
        changed.reportBy = change.reportBy.applied(to: reportBy) ?? .none
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
    /// Only for metered features.
    package var quota: Quota?
    /// Only for metered features.
    package var reportBy: ReportAttributes

    package init(
        key: FeatureKey, name: String, type: FeatureType, unitName: String? = nil, quota: Quota? = nil,
        reportBy: ReportAttributes = .none
    ) {
        self.key = key
        self.name = name
        self.type = type
        self.unitName = unitName
        self.quota = quota
        self.reportBy = reportBy
    }
}

/// A change of a feature; nil keeps a field.
package struct FeatureChange: Hashable, Sendable {
    package var name: String?
    package var unitName: String?
    package var isArchived: Bool?
    package var quota: FieldChange<Quota>
    /// Nil in place of no attributes, so that equal changes have equal messages.
    package var reportBy: FieldChange<ReportAttributes>

    package init(
        name: String? = nil, unitName: String? = nil, isArchived: Bool? = nil, quota: FieldChange<Quota> = .keep,
        reportBy: FieldChange<ReportAttributes> = .keep
    ) {
        self.name = name
        self.unitName = unitName
        self.isArchived = isArchived
        self.quota = quota
        self.reportBy = reportBy
    }
}

extension Bool? {
    /// The instant of archiving after a change. Nil keeps it; true archives now, unless it is archived already; false
    /// clears it.
    func applied(to archivedAt: Instant?, at now: Instant) -> Instant? {
        switch self {
        case nil: archivedAt
        case true?: archivedAt ?? now
        case false?: nil
        }
    }
}
