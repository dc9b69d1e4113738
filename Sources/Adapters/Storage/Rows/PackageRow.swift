package import Catalogue
package import Credits
package import Postgres

/// A row of `topup_packages`.
package struct PackageRow: TableRow, Sendable {
    package let environmentID: EnvironmentID
    package let package: TopupPackage

    package static let table = "topup_packages"
    package static let columns = [
        "environment_id", "package_key", "name", "credits", "price", "currency", "expires_after", "priority",
        "created_at", "updated_at", "archived_at",
    ]

    package init(environmentID: EnvironmentID, package: TopupPackage) {
        self.environmentID = environmentID
        self.package = package
    }

    package init(_ fields: inout RowFields, keeping old: PackageRow?) throws {
        environmentID = try fields.environmentID(or: old?.environmentID)
        let (before, terms) = (old?.package, old?.package.terms)
        package = TopupPackage(
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

extension BulkStatement<PackageRow> {
    private static let columns: [BulkColumn<PackageRow>] = [
        .int32("environment_id") { $0.environmentID.rawValue as Int32 },
        .text("package_key") { $0.package.key.rawValue as String },
        .text("name") { $0.package.terms.name as String },
        .amount("credits") { $0.package.terms.credits },
        .int64("price") { $0.package.terms.price as Int64 },
        .text("currency") { $0.package.terms.currency as String },
        .text("expires_after") { $0.package.terms.expiresAfter?.iso8601 },
        .int16("priority") { $0.package.terms.priority },
        .instant("updated_at") { $0.package.updatedAt as Instant },
        .instant("archived_at") { $0.package.archivedAt },
    ]

    static let insertPackages = BulkStatement.insert(
        into: PackageRow.table, columns + [.instant("created_at") { $0.package.createdAt as Instant }])

    static let updatePackages = BulkStatement.update(
        PackageRow.table, key: ["environment_id", "package_key"], columns)
}
