import Catalogue
package import Credits
package import Postgres

extension TestClockStore {
    /// A page of the end users who are attached to a clock, in the order of their accounts.
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
                [.id(environmentID), .bits(clock), .int64(after?.rawValue ?? 0), .int64(Int64(limit))]))
        return try result.map { row in
            var fields = RowFields(row)
            return (accountID: try fields.accountID(), endUserID: try fields.endUserID())
        }
    }
}
