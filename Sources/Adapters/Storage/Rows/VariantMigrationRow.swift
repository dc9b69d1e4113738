import Catalogue
package import Commands
package import Credits
import Ledger
package import Postgres

/// A row of `variant_migrations`: a job, and the page that it works on.
package struct VariantMigrationRow: TableRow, Sendable {
    package let environmentID: EnvironmentID
    package let migration: VariantMigration
    /// The last subscription of the finished pages; nil before the first one.
    package let after: SubscriptionPlace?
    /// The subscriptions whose commands may have been sent and are not counted yet.
    package let page: [SubscriptionPlace]

    package static let table = "variant_migrations"
    package static let columns = [
        "environment_id", "migration_id", "variant_id", "to_variant_id", "to_version", "effective", "proration",
        "total",
        "moved", "skipped", "failed", "created_at", "finished_at", "after_account", "after_number", "page_accounts",
        "page_numbers",
    ]

    package init(_ fields: inout RowFields, keeping old: VariantMigrationRow?) throws {
        environmentID = try fields.environmentID()
        migration = VariantMigration(
            id: PublicID(.variantMigration, try fields.bits()), variantID: PublicID(.planVariant, try fields.bits()),
            target: VariantReference(id: PublicID(.planVariant, try fields.bits()), version: try fields.int32()),
            timing: try fields.parsed("effective") { SubscriptionChange.Timing(rawValue: $0) },
            proration: try fields.parsed("proration") { SubscriptionChange.Proration(rawValue: $0) },
            total: try fields.int64OrNil(),
            progress: VariantMigration.Progress(
                moved: try fields.int64(), skipped: try fields.int64(), failed: try fields.int64()),
            createdAt: try fields.instant(), finishedAt: try fields.instantOrNil())
        let last = SubscriptionPlace(accountID: try fields.accountID(), number: try fields.int32())
        after = last.number > 0 ? last : nil
        let accounts = try fields.int64s()
        page = zip(accounts, try fields.int32s()).map { SubscriptionPlace(accountID: AccountID($0), number: $1) }
    }
}
