import Catalogue
import Commands
import Credits
import JSON
import Ledger

/// Reads request bodies about plans and their variants.
extension JSONReader {
    /// Reads the id or the key of a plan or a variant.
    mutating func optionalName<Key: NamedByKey>(_ key: String) -> CatalogueName<Key>? {
        optionalString(key, expected: Key.nameExpectation) { CatalogueName($0) }
    }

    mutating func newPlan() -> NewPlan? {
        let key = ownKey { PlanKey($0) }
        let name = name()
        let slot = slot()
        let metadata = metadata()
        return name.map { NewPlan(key: key, name: $0, slot: slot ?? .base, metadata: metadata) }
    }

    mutating func planChange() -> PlanChange? {
        PlanChange(
            name: optionalName(), slot: slot(), metadata: fieldChange("metadata") { $0.metadata() },
            isArchived: optionalBool("archived"))
    }

    mutating func newVariant() -> NewVariant? {
        let key = ownKey { VariantKey($0) }
        let name = name()
        let fallback: VariantName? = optionalName("fallback_variant_id")
        let terms = variantTerms()
        guard let name, let terms else { return nil }
        return NewVariant(key: key, name: name, terms: terms, fallback: fallback)
    }

    /// Reads every member except the key; null gives a member its default.
    mutating func variantChange() -> VariantChange? {
        let name = optionalName()
        let fallback: FieldChange<VariantName> = fieldChange("fallback_variant_id") {
            $0.optionalName("fallback_variant_id")
        }
        let isArchived = optionalBool("archived")
        return variantTermsChange().map {
            VariantChange(name: name, terms: $0, fallback: fallback, isArchived: isArchived)
        }
    }

    /// A migration of a variant.
    mutating func variantMigration() -> (migration: NewVariantMigration, isDryRun: Bool) {
        let target: VariantName? = optionalName("to")
        let timing = optionalChoice("effective", of: SubscriptionChange.Timing.self)
        let proration = optionalChoice("proration", of: SubscriptionChange.Proration.self)
        let isDryRun = optionalBool("dry_run")
        let migration = NewVariantMigration(
            target: target, timing: timing ?? .periodEnd, proration: proration ?? .credits)
        return (migration, isDryRun ?? false)
    }

    private mutating func ownKey<Key>(_ parse: (String) -> Key?) -> Key? {
        optionalString("key", expected: String.planNameExpectation, parse)
    }

    private mutating func slot() -> PlanSlot? {
        optionalString("slot", expected: String.planNameExpectation) { PlanSlot($0) }
    }
}
