package import Catalogue
package import Credits
package import Postgres

/// A row of `plans`.
package struct PlanRow: MutableCatalogueRow {
    package let environmentID: EnvironmentID
    package let item: Plan

    package static let keyColumn = "plan_id"
    package static let table = "plans"
    package static let columns = [
        "environment_id", "plan_id", "plan_key", "name", "slot", "metadata", "created_at", "updated_at", "archived_at",
    ]

    package init(environmentID: EnvironmentID, item: Plan) {
        self.environmentID = environmentID
        self.item = item
    }

    package init(_ fields: inout RowFields, keeping old: PlanRow?) throws {
        environmentID = try fields.environmentID(or: old?.environmentID)
        let before = old?.item
        item = Plan(
            id: PublicID(.plan, try fields.bits(or: before?.id.bits)),
            key: try fields.parsedOrNil("plan_key", or: before.map(\.key)) { PlanKey($0) },
            name: try fields.text(or: before?.name), slot: try fields.parsed("slot", or: before?.slot) { PlanSlot($0) },
            metadata: try fields.metadata(or: before.map(\.metadata)),
            createdAt: try fields.instant(or: before?.createdAt), updatedAt: try fields.instant(or: before?.updatedAt),
            archivedAt: try fields.instantOrNil(or: before.map(\.archivedAt)))
    }
}

extension PlanRow {
    package func enter(_ catalogue: inout Catalogue) {
        catalogue.insert(item)
    }

    package static func item(_ key: inout RowFields, in catalogue: Catalogue) throws -> Plan? {
        catalogue.plans[PublicID(.plan, try key.bits())]
    }

    package static func column(of name: PlanName) -> String {
        switch name {
        case .id: keyColumn
        case .key: "plan_key"
        }
    }

    package static func value(of name: PlanName) -> PostgresValue { .name(name) }

    private static let written: [BulkColumn<PlanRow>] = [
        .int32("environment_id") { $0.environmentID.rawValue as Int32 },
        .bits("plan_id") { $0.item.id.bits as Bits128 },
        .text("name") { $0.item.name as String },
        .text("slot") { $0.item.slot.rawValue as String },
        .text("metadata") { $0.item.metadata?.canonicalJSON },
        .instant("updated_at") { $0.item.updatedAt as Instant },
        .instant("archived_at") { $0.item.archivedAt },
    ]

    package func insertQuery() -> PostgresQuery { Self.insertStatement.query([self]) }

    package func updateQuery() -> PostgresQuery { Self.updateStatement.query([self]) }

    private static let insertStatement = BulkStatement<PlanRow>.insert(
        into: PlanRow.table,
        written + [
            .text("plan_key") { $0.item.key?.rawValue },
            .instant("created_at") { $0.item.createdAt as Instant },
        ])

    private static let updateStatement = BulkStatement<PlanRow>.update(
        PlanRow.table, key: ["environment_id", "plan_id"], written)
}

/// The plans of environments.
package typealias PlanStore = CatalogueItems<PlanRow>
