package import Catalogue
package import Credits
package import Postgres

/// A row of `test_clocks`.
package struct TestClockRow: MutableCatalogueRow {
    package let environmentID: EnvironmentID
    package let item: TestClock

    package static let keyColumn = "clock_id"
    package static let table = "test_clocks"
    package static let columns = ["environment_id", "clock_id", "shows", "created_at", "updated_at"]

    package init(environmentID: EnvironmentID, item: TestClock) {
        self.environmentID = environmentID
        self.item = item
    }

    package init(_ fields: inout RowFields, keeping old: TestClockRow?) throws {
        environmentID = try fields.environmentID(or: old?.environmentID)
        let before = old?.item
        item = TestClock(
            id: try fields.bits(or: before?.id), now: try fields.instant(or: before?.now),
            createdAt: try fields.instant(or: before?.createdAt), updatedAt: try fields.instant(or: before?.updatedAt))
    }
}

extension TestClockRow {
    package func enter(_ catalogue: inout Catalogue) {
        catalogue.insert(item)
    }

    package static func value(of key: Bits128) -> PostgresValue { .bits(key) }

    private static let written: [BulkColumn<TestClockRow>] = [
        .int32("environment_id") { $0.environmentID.rawValue as Int32 },
        .bits("clock_id") { $0.item.id as Bits128 },
        .instant("shows") { $0.item.now as Instant },
        .instant("updated_at") { $0.item.updatedAt as Instant },
    ]

    package func insertQuery() -> PostgresQuery { Self.insertStatement.query([self]) }

    package func updateQuery() -> PostgresQuery { Self.updateStatement.query([self]) }

    private static let insertStatement = BulkStatement<TestClockRow>.insert(
        into: TestClockRow.table, written + [.instant("created_at") { $0.item.createdAt as Instant }])

    private static let updateStatement = BulkStatement<TestClockRow>.update(
        TestClockRow.table, key: ["environment_id", "clock_id"], written)
}

/// The test clocks of test environments.
package typealias TestClockStore = CatalogueItems<TestClockRow>
