package import Credits
package import Ledger
package import Postgres

/// Reads the reservations of accounts, active or ended, as they were last written. A deadline that has passed since may
/// not be applied yet.
package enum ReservationStore {
    package static func find(
        _ number: Int32, accountID: AccountID, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> Reservation? {
        let result = try await connection.run(
            PostgresQuery(findStatement, [.id(environmentID), .id(accountID), .int32(number)]))
        return try ReservationRow.all(result).first?.reservation
    }

    private static let findStatement = ReservationRow.select(
        where: "t.environment_id = $1 and t.account_id = $2 and t.number = $3")

    /// A page of an account's reservations, newest first, with numbers below `before`.
    ///
    /// It costs the rows of the page, for the active ones at most the 10,000 of an account. Another status costs the
    /// reservations with other statuses in between.
    package static func list(
        environmentID: EnvironmentID, accountID: AccountID, status: ReservationStatus?, before: Int32?, limit: Int,
        on connection: PostgresConnection
    ) async throws -> [Reservation] {
        let result = try await connection.run(
            PostgresQuery(
                status == .active ? listActive : listStatement,
                [
                    .id(environmentID), .id(accountID), .optional(status?.rawValue), .int32(before ?? .max),
                    .int64(Int64(limit)),
                ]))
        return try ReservationRow.all(result).map(\.reservation)
    }

    private static let listStatement = list("$3::text is null or t.status = $3")
    /// Names the status as the index of the active reservations does.
    static let listActive = list("t.status = $3 and t.status = 'active'")

    private static func list(_ condition: String) -> PostgresStatement {
        ReservationRow.select(
            where: """
                t.environment_id = $1 and t.account_id = $2 and (\(condition)) and t.number < $4
                order by t.number desc
                limit $5
                """)
    }
}
