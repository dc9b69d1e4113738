/// Queries that go to the server together in one round trip, each with the decoder of its rows.
///
///     var group = QueryGroup()
///     let blocks = group.add(loadBlocks) { rows in try rows.map { try Block($0) } }
///     let results = try await group.run(on: connection)
///     results[blocks]
package struct QueryGroup {
    /// Stands for the result of one query of a group.
    package struct Key<Value> {
        fileprivate let index: Int
    }

    /// The decoded results of a group.
    package struct Results {
        fileprivate let values: [Any]

        /// - Precondition: The key is of the group that was run.
        package subscript<Value>(key: Key<Value>) -> Value {
            guard let value = values[key.index] as? Value else {
                preconditionFailure("a key of another group of queries")
            }
            return value
        }
    }

    private var queries: [PostgresQuery] = []
    private var decoders: [(PostgresResult) throws -> Any] = []

    package init() {}

    /// Adds a query.
    ///
    /// - Parameter decode: Turns its rows into a value; called once the whole group has been answered.
    package mutating func add<Value>(
        _ query: PostgresQuery, _ decode: @escaping (PostgresResult) throws -> Value
    ) -> Key<Value> {
        queries.append(query)
        decoders.append(decode)
        return Key(index: queries.count - 1)
    }

    /// Adds a command whose result does not matter.
    package mutating func add(_ query: PostgresQuery) {
        queries.append(query)
        decoders.append { _ in () }
    }

    /// Runs the queries in their order.
    ///
    /// - Parameter before: Commands to run in the same round trip before them.
    package func run(after before: [PostgresQuery] = [], on connection: PostgresConnection) async throws -> Results {
        let results = try await connection.run(before + queries)
        return Results(values: try zip(decoders, results.dropFirst(before.count)).map { try $0($1) })
    }
}
