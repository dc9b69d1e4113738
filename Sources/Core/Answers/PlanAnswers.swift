package import Catalogue
import Credits
package import JSON

extension JSONWriter {
    package mutating func plan(_ plan: Plan) {
        beginObject()
        member("id", plan.id)
        member("key", plan.key?.rawValue)
        member("name", plan.name)
        member("slot", plan.slot.rawValue)
        member("metadata", plan.metadata)
        member("archived", plan.isArchived)
        member("created_at", plan.createdAt as Instant?)
        member("updated_at", plan.updatedAt as Instant?)
        endObject()
    }

    /// Writes one version of a variant, with all terms.
    package mutating func planVariant(_ variant: PlanVariant) {
        beginObject()
        member("id", variant.id)
        member("key", variant.key?.rawValue)
        member("plan_id", variant.planID)
        member("version", Int64(variant.version))
        member("name", variant.name)
        for (name, value) in variant.terms.json.members {
            key(name)
            self.value(value)
        }
        member("archived", variant.isArchived)
        member("created_at", variant.createdAt as Instant?)
        member("updated_at", variant.updatedAt as Instant?)
        endObject()
    }
}
