package import Catalogue
package import Credits
package import Postgres

/// A row of `topup_packages`.
package struct PackageRow: MutableCatalogueRow {
    package let environmentID: EnvironmentID
    package let item: TopupPackage

    package static let keyColumn = "package_key"
    package static let table = "topup_packages"
    package static let columns = [
        "environment_id", "package_key", "name", "credits", "price", "currency", "expires_after", "priority",
        "created_at", "updated_at", "archived_at",
    ]

    package init(environmentID: EnvironmentID, item: TopupPackage) {
        self.environmentID = environmentID
        self.item = item
    }

    package init(_ fields: inout RowFields, keeping old: PackageRow?) throws {
        environmentID = try fields.environmentID(or: old?.environmentID)
        let (before, terms) = (old?.item, old?.item.terms)
        item = TopupPackage(
            key: try fields.parsed("package_key", or: before?.key) { PackageKey($0) },
            terms: PackageTerms(
                name: try fields.text(or: terms?.name), credits: try fields.amount(or: terms?.credits),
                price: try fields.int64(or: terms?.price), currency: try fields.text(or: terms?.currency),
                expiresAfter: try fields.parsedOrNil("expires_after", or: terms.map(\.expiresAfter)) {
                    CalendarDuration(iso8601: $0)
                }, priority: try fields.int16OrNil(or: terms.map(\.priority))),
            createdAt: try fields.instant(or: before?.createdAt), updatedAt: try fields.instant(or: before?.updatedAt),
            archivedAt: try fields.instantOrNil(or: before.map(\.archivedAt)))
    }
}

extension PackageRow {
    package func enter(_ catalogue: inout Catalogue) {
        catalogue.insert(item)
    }

    package static func item(_ key: inout RowFields, in catalogue: Catalogue) throws -> TopupPackage? {
        catalogue.packages[try key.parsed("package_key") { PackageKey($0) }]
    }

    package static func value(of key: PackageKey) -> PostgresValue { .text(key.rawValue) }

    private static let written: [BulkColumn<PackageRow>] = [
        .int32("environment_id") { $0.environmentID.rawValue as Int32 },
        .text("package_key") { $0.item.key.rawValue as String },
        .text("name") { $0.item.terms.name as String },
        .amount("credits") { $0.item.terms.credits },
        .int64("price") { $0.item.terms.price as Int64 },
        .text("currency") { $0.item.terms.currency as String },
        .text("expires_after") { $0.item.terms.expiresAfter?.iso8601 },
        .int16("priority") { $0.item.terms.priority },
        .instant("updated_at") { $0.item.updatedAt as Instant },
        .instant("archived_at") { $0.item.archivedAt },
    ]

    package func insertQuery() -> PostgresQuery { Self.insertStatement.query([self]) }

    package func updateQuery() -> PostgresQuery { Self.updateStatement.query([self]) }

    private static let insertStatement = BulkStatement<PackageRow>.insert(
        into: PackageRow.table, written + [.instant("created_at") { $0.item.createdAt as Instant }])

    private static let updateStatement = BulkStatement<PackageRow>.update(
        PackageRow.table, key: ["environment_id", "package_key"], written)
}

/// The top-up packages of environments.
package typealias PackageStore = CatalogueItems<PackageRow>
