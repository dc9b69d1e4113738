package import Catalogue
package import Credits
package import Postgres

/// A row of `test_clocks`.
package struct TestClockRow: TableRow, Sendable {
    package let environmentID: EnvironmentID
    package let clock: TestClock

    package static let table = "test_clocks"
    package static let columns = ["environment_id", "clock_id", "shows", "created_at", "updated_at"]

    package init(environmentID: EnvironmentID, clock: TestClock) {
        self.environmentID = environmentID
        self.clock = clock
    }

    package init(_ fields: inout RowFields, keeping old: TestClockRow?) throws {
        environmentID = try fields.environmentID(or: old?.environmentID)
        let before = old?.clock
        clock = TestClock(
            id: try fields.bits(or: before?.id), now: try fields.instant(or: before?.now),
            createdAt: try fields.instant(or: before?.createdAt), updatedAt: try fields.instant(or: before?.updatedAt))
    }
}

extension BulkStatement<TestClockRow> {
    private static let columns: [BulkColumn<TestClockRow>] = [
        .int32("environment_id") { $0.environmentID.rawValue as Int32 },
        .bits("clock_id") { $0.clock.id as Bits128 },
        .instant("shows") { $0.clock.now as Instant },
        .instant("updated_at") { $0.clock.updatedAt as Instant },
    ]

    static let insertTestClocks = BulkStatement.insert(
        into: TestClockRow.table, columns + [.instant("created_at") { $0.clock.createdAt as Instant }])

    static let updateTestClocks = BulkStatement.update(
        TestClockRow.table, key: ["environment_id", "clock_id"], columns)
}
