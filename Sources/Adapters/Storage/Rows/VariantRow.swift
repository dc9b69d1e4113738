package import Catalogue
package import Credits
package import Postgres

/// A row of `plan_variants`: one version of a variant.
package struct VariantRow: CatalogueRow {
    package let environmentID: EnvironmentID
    package let item: PlanVariant

    package static let keyColumn = "variant_id"
    package static let choice = "order by t.version desc limit 1"
    package static let table = "plan_variants"
    package static let columns = [
        "environment_id", "variant_id", "version", "plan_id", "variant_key", "name", "terms", "created_at",
        "updated_at", "archived_at",
    ]

    package init(environmentID: EnvironmentID, item: PlanVariant) {
        self.environmentID = environmentID
        self.item = item
    }

    package init(_ fields: inout RowFields, keeping old: VariantRow?) throws {
        environmentID = try fields.environmentID(or: old?.environmentID)
        let before = old?.item
        let id = PublicID(.planVariant, try fields.bits(or: before?.id.bits))
        let version = try fields.int32(or: before?.version)
        item = PlanVariant(
            id: id, planID: PublicID(.plan, try fields.bits(or: before?.planID.bits)),
            key: try fields.parsedOrNil("variant_key", or: before.map(\.key)) { VariantKey($0) }, version: version,
            name: try fields.text(or: before?.name),
            terms: try fields.parsed("terms", or: before?.terms) { try VariantTerms(json: $0) },
            createdAt: try fields.instant(or: before?.createdAt), updatedAt: try fields.instant(or: before?.updatedAt),
            archivedAt: try fields.instantOrNil(or: before.map(\.archivedAt)))
    }
}

extension VariantRow {
    package func enter(_ catalogue: inout Catalogue) {
        catalogue.insert(item)
    }

    package static func column(of name: VariantName) -> String {
        switch name {
        case .id: keyColumn
        case .key: "variant_key"
        }
    }

    package static func value(of name: VariantName) -> PostgresValue { .name(name) }

    package func insertQuery() -> PostgresQuery { Self.insertStatement.query([self]) }

    private static let insertStatement = BulkStatement<VariantRow>.insert(
        into: VariantRow.table,
        [
            .int32("environment_id") { $0.environmentID.rawValue as Int32 },
            .bits("variant_id") { $0.item.id.bits as Bits128 },
            .int32("version") { $0.item.version as Int32 },
            .bits("plan_id") { $0.item.planID.bits as Bits128 },
            .text("variant_key") { $0.item.key?.rawValue },
            .text("name") { $0.item.name as String },
            .text("terms") { $0.item.terms.canonicalJSON as String },
            .instant("created_at") { $0.item.createdAt as Instant },
            .instant("updated_at") { $0.item.updatedAt as Instant },
            .instant("archived_at") { $0.item.archivedAt },
        ])
}

/// The variants of environments. A look-up finds the latest version. No version is ever changed or deleted.
package typealias VariantStore = CatalogueItems<VariantRow>
