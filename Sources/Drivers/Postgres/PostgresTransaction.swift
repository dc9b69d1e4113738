extension PostgresConnection {
    /// Runs the body between BEGIN and COMMIT. If the body throws, ROLLBACK is sent and the body's error is thrown.
    ///
    /// Nobody else may use the connection meanwhile: everything that runs on it becomes part of the transaction.
    ///
    /// - Parameter begin: The opening statement, with isolation level and other options.
    /// - Throws: The body's error, or an error of BEGIN or COMMIT. A COMMIT whose error says `outcomeIsUnknown` may
    ///   have been carried out. A COMMIT that the server turned into a rollback, because the body ignored an error,
    ///   throws SQLSTATE 25P02.
    package func withTransaction<Value: Sendable>(
        _ begin: PostgresStatement = "BEGIN", _ body: @Sendable (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        _ = try await run(PostgresQuery(begin))
        let value: Value
        do {
            value = try await body(self)
        } catch {
            if isUsable { _ = try? await run(PostgresQuery("ROLLBACK"), within: .seconds(5)) }
            throw error
        }
        let commit = try await run(PostgresQuery("COMMIT"))
        guard commit.commandTag == "COMMIT" else {
            let message = "an earlier statement had failed, so COMMIT rolled back"
            throw PostgresError(.server(sqlState: "25P02", message: message, constraint: nil, table: nil))
        }
        return value
    }
}
