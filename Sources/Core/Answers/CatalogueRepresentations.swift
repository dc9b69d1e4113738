package import Credits
package import JSON
package import Metering

/// A feature as it is shown.
package struct FeatureRecord: Hashable, Sendable {
    package let key: FeatureKey
    package let name: String
    package let type: FeatureType
    package let unitName: String?
    package let quota: Quota?
    package let createdAt: Instant
    package let updatedAt: Instant
    package let archivedAt: Instant?

    package init(
        key: FeatureKey, name: String, type: FeatureType, unitName: String?, quota: Quota?, createdAt: Instant,
        updatedAt: Instant, archivedAt: Instant?
    ) {
        self.key = key
        self.name = name
        self.type = type
        self.unitName = unitName
        self.quota = quota
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.archivedAt = archivedAt
    }
}

/// A metering rule as it is shown.
package struct RuleRecord: Hashable, Sendable {
    package let rule: MeteringRule
    package let createdAt: Instant

    package init(rule: MeteringRule, createdAt: Instant) {
        self.rule = rule
        self.createdAt = createdAt
    }
}

/// A tenant as it is shown.
package struct TenantRecord: Hashable, Sendable {
    package let id: Bits128
    package let name: String
    package let createdAt: Instant

    package init(id: Bits128, name: String, createdAt: Instant) {
        self.id = id
        self.name = name
        self.createdAt = createdAt
    }
}

extension JSONWriter {
    package mutating func feature(_ feature: FeatureRecord) {
        beginObject()
        member("key", feature.key.rawValue)
        member("name", feature.name)
        member("type", feature.type.rawValue)
        member("unit_name", feature.unitName)
        member("quota", feature.quota)
        member("archived", feature.archivedAt != nil)
        member("created_at", feature.createdAt as Instant?)
        member("updated_at", feature.updatedAt as Instant?)
        endObject()
    }

    package mutating func rule(_ record: RuleRecord) {
        let rule = record.rule
        beginObject()
        member("id", rule.id)
        member("feature_key", rule.featureKey.rawValue)
        member("version", Int64(rule.version))
        for (name, value) in rule.price.json.members {
            key(name)
            self.value(value)
        }
        member("effective_from", rule.effectiveFrom as Instant?)
        member("created_at", record.createdAt as Instant?)
        endObject()
    }

    package mutating func tenant(_ tenant: TenantRecord) {
        beginObject()
        member("id", PublicID(.tenant, tenant.id))
        member("name", tenant.name)
        member("created_at", tenant.createdAt as Instant?)
        endObject()
    }
}
