extension PostgresConnection {
    /// Runs the body between BEGIN and COMMIT. If it throws, ROLLBACK is sent and the error is thrown.
    ///
    /// The connection must be borrowed for this alone: whatever else runs on it meanwhile is part of the transaction.
    ///
    /// - Parameter begin: The opening statement, with isolation level and so on.
    /// - Throws: What the body throws. A COMMIT may have been carried out when its error says
    ///   `outcomeIsUnknown`. One that the
    ///   server turned into a rollback, because the body swallowed an error, is SQLSTATE 25P02.
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
            let message = "the transaction had failed before and was rolled back"
            throw PostgresError(.server(sqlState: "25P02", message: message, constraint: nil, table: nil))
        }
        return value
    }
}

extension PostgresPool {
    /// Borrows a connection and runs the body in a transaction on it.
    package func withTransaction<Value: Sendable>(
        _ begin: PostgresStatement = "BEGIN", _ body: @Sendable (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        try await withConnection { connection in
            try await connection.withTransaction(begin, body)
        }
    }
}
