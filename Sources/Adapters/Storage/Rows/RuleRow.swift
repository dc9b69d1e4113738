package import Catalogue
package import Credits
package import Postgres
import Metering

/// A row of `metering_rules`.
package struct RuleRow: CatalogueRow {
    package let environmentID: EnvironmentID
    package let item: MeteringRule

    package static let keyColumn = "rule_id"
    package static let table = "metering_rules"
    package static let columns = [
        "environment_id", "rule_id", "feature_key", "version", "price", "effective_from", "created_at",
        "plan_variant_id",
    ]

    package init(environmentID: EnvironmentID, item: MeteringRule) {
        self.environmentID = environmentID
        self.item = item
    }

    package init(_ fields: inout RowFields, keeping old: RuleRow?) throws {
        environmentID = try fields.environmentID(or: old?.environmentID)
        let before = old?.item
        let id = PublicID(.rule, try fields.bits(or: before?.id.bits))
        let featureKey = try fields.featureKey(or: before?.featureKey)
        let version = try fields.int32(or: before?.version)
        let price = try fields.parsed("price", or: before?.price) { try Price(json: $0) }
        let effectiveFrom = try fields.instant(or: before?.effectiveFrom)
        let createdAt = try fields.instant(or: before?.createdAt)
        let variant = try fields.bitsOrNil(or: before.map { $0.variantID?.bits })
        item = MeteringRule(
            id: id, featureKey: featureKey, variantID: variant.map { PublicID(.planVariant, $0) }, version: version,
            price: price, effectiveFrom: effectiveFrom, createdAt: createdAt)
    }
}

extension RuleRow {
    package func enter(_ catalogue: inout Catalogue) {
        catalogue.insert(item)
    }

    package static func value(of key: Bits128) -> PostgresValue { .bits(key) }

    package func insertQuery() -> PostgresQuery { Self.insertStatement.query([self]) }

    private static let insertStatement = BulkStatement<RuleRow>.insert(
        into: RuleRow.table,
        [
            .int32("environment_id") { $0.environmentID.rawValue as Int32 },
            .bits("rule_id") { $0.item.id.bits as Bits128 },
            .text("feature_key") { $0.item.featureKey.rawValue as String },
            .int32("version") { $0.item.version as Int32 },
            .text("price") { $0.item.price.canonicalJSON as String },
            .instant("effective_from") { $0.item.effectiveFrom as Instant },
            .instant("created_at") { $0.item.createdAt as Instant },
            .bits("plan_variant_id") { $0.item.variantID?.bits },
        ])
}

/// The metering rules of environments. A rule is never changed and never deleted.
package typealias RuleStore = CatalogueItems<RuleRow>
