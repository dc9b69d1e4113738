package import Catalogue
import Credits
package import JSON
import Metering

extension JSONWriter {
    package mutating func feature(_ feature: Feature) {
        beginObject()
        member("key", feature.key.rawValue)
        member("name", feature.name)
        member("type", feature.type.rawValue)
        member("unit_name", feature.unitName)
        member("quota", feature.quota)
        array("report_by", feature.reportBy.names) { $0.value($1) }
        member("archived", feature.isArchived)
        member("created_at", feature.createdAt as Instant?)
        member("updated_at", feature.updatedAt as Instant?)
        endObject()
    }

    package mutating func rule(_ rule: MeteringRule) {
        beginObject()
        member("id", rule.id)
        member("feature_key", rule.featureKey.rawValue)
        member("plan_variant_id", rule.variantID?.description)
        member("version", Int64(rule.version))
        for (name, value) in rule.price.json.members {
            key(name)
            self.value(value)
        }
        member("effective_from", rule.effectiveFrom as Instant?)
        member("created_at", rule.createdAt as Instant?)
        endObject()
    }

    package mutating func tenant(_ tenant: Tenant) {
        beginObject()
        member("id", PublicID(.tenant, tenant.id))
        member("name", tenant.name)
        member("created_at", tenant.createdAt as Instant?)
        endObject()
    }
}
