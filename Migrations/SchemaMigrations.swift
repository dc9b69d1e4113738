package import Storage

/// The steps of the schema, in order. Every `.sql` file beside this one is in the list and in the package's resources.
package enum SchemaMigrations {
    package static let all: [Migration] = [
        Migration(
            name: "0001_ledger",
            sql: text(PackageResources._001_ledger_sql),
            assertion: text(PackageResources._001_ledger_after_sql)),
        Migration(name: "0002_access", sql: text(PackageResources._002_access_sql), assertion: nil),
        Migration(
            name: "0003_roles",
            sql: text(PackageResources._003_roles_sql),
            assertion: text(PackageResources._003_roles_after_sql)),
        Migration(
            name: "0004_ledger_workers", sql: text(PackageResources._004_ledger_workers_sql), assertion: nil),
        Migration(name: "0005_suspects", sql: text(PackageResources._005_suspects_sql), assertion: nil),
        Migration(name: "0006_audit", sql: text(PackageResources._006_audit_sql), assertion: nil),
        Migration(name: "0007_prices", sql: text(PackageResources._007_prices_sql), assertion: nil),
        Migration(
            name: "0008_catalogue",
            sql: text(PackageResources._008_catalogue_sql),
            assertion: text(PackageResources._008_catalogue_after_sql)),
        Migration(
            name: "0009_complete_ledger", sql: text(PackageResources._009_complete_ledger_sql), assertion: nil),
    ]

    private static func text(_ bytes: [UInt8]) -> String {
        String(decoding: bytes, as: UTF8.self)
    }
}
