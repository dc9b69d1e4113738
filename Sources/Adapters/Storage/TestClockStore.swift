package import Credits
package import Postgres
package import Answers

/// The test clocks of test environments.
package enum TestClockStore {
    package static func find(
        _ id: Bits128, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> TestClockRecord? {
        let result = try await connection.run(
            PostgresQuery(
                """
                select clock_id, shows, created_at, updated_at from test_clocks
                where environment_id = $1 and clock_id = $2
                """, [.int32(environmentID.rawValue), .uuid(high: id.high, low: id.low)]))
        return try result.first.map { try decode($0) }
    }

    /// A page of the end users whose time a clock is, in the order of their accounts.
    package static func endUsers(
        on clock: Bits128, environmentID: EnvironmentID, after: AccountID?, limit: Int,
        connection: PostgresConnection
    ) async throws -> [(accountID: AccountID, endUserID: EndUserID)] {
        let result = try await connection.run(
            PostgresQuery(
                """
                select account_id, end_user_id from accounts
                where environment_id = $1 and test_clock_id = $2 and account_id > $3
                order by account_id limit $4
                """,
                [
                    .int32(environmentID.rawValue), .uuid(high: clock.high, low: clock.low),
                    .int64(after?.rawValue ?? 0), .int64(Int64(limit)),
                ]))
        return try result.map { row in
            guard let endUserID = EndUserID(try row.text(1)) else {
                throw StorageError.unknownValue(column: "end_user_id")
            }
            return (accountID: AccountID(try row.int64(0)), endUserID: endUserID)
        }
    }

    // MARK: - Changes, inside the catalogue worker's transaction

    package static func insert(
        _ clock: TestClockRecord, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws {
        _ = try await connection.run(
            PostgresQuery(
                """
                insert into test_clocks (environment_id, clock_id, shows, created_at, updated_at)
                values ($1, $2, $3, $4, $5)
                """,
                [
                    .int32(environmentID.rawValue), .uuid(high: clock.id.high, low: clock.id.low),
                    .timestamp(microseconds: clock.now.microseconds),
                    .timestamp(microseconds: clock.createdAt.microseconds),
                    .timestamp(microseconds: clock.updatedAt.microseconds),
                ]))
    }

    /// Lets a clock that is there show another instant.
    package static func set(
        _ id: Bits128, to instant: Instant, environmentID: EnvironmentID, now: Instant,
        on connection: PostgresConnection
    ) async throws -> TestClockRecord {
        let result = try await connection.run(
            PostgresQuery(
                """
                update test_clocks set shows = $3, updated_at = $4 where environment_id = $1 and clock_id = $2
                returning clock_id, shows, created_at, updated_at
                """,
                [
                    .int32(environmentID.rawValue), .uuid(high: id.high, low: id.low),
                    .timestamp(microseconds: instant.microseconds), .timestamp(microseconds: now.microseconds),
                ]))
        guard let row = result.first else { throw StorageError.missingRow("the test clock that was just read") }
        return try decode(row)
    }

    private static func decode(_ row: PostgresRow) throws -> TestClockRecord {
        TestClockRecord(
            id: Bits128(try row.uuid(0)), now: Instant(microseconds: try row.timestamp(1)),
            createdAt: Instant(microseconds: try row.timestamp(2)),
            updatedAt: Instant(microseconds: try row.timestamp(3)))
    }
}
