/// Queries that go to the server together in one round trip, each with the decoder of its rows.
///
///     var group = QueryGroup()
///     let blocks = group.add(loadBlocks) { rows in try rows.map { try Block($0) } }
///     let results = try await group.run(on: connection)
///     results[blocks]
package struct QueryGroup {
    /// Identifies the result of one query of a group.
    package struct Key<Value> {
        fileprivate let index: Int
    }

    /// The decoded results of a group.
    package struct Results {
        fileprivate let values: [Any]

        /// - Precondition: The key comes from the group that was run.
        package subscript<Value>(key: Key<Value>) -> Value {
            guard let value = values[key.index] as? Value else {
                preconditionFailure("the key belongs to another group of queries")
            }
            return value
        }
    }

    private var queries: [PostgresQuery] = []
    private var decoders: [(PostgresResult) throws -> Any] = []

    package init() {}

    /// Adds a query.
    ///
    /// - Parameter decode: Turns the query's rows into a value. Called after the whole group has been answered.
    package mutating func add<Value>(
        _ query: PostgresQuery, _ decode: @escaping (PostgresResult) throws -> Value
    ) -> Key<Value> {
        queries.append(query)
        decoders.append(decode)
        return Key(index: queries.count - 1)
    }

    /// Adds a command whose result is not used.
    package mutating func add(_ query: PostgresQuery) {
        queries.append(query)
        decoders.append { _ in () }
    }

    /// Runs the queries in the order in which they were added, in one round trip.
    ///
    /// - Parameter before: Commands that run before the queries, in the same round trip. Their results are dropped.
    package func run(after before: [PostgresQuery] = [], on connection: PostgresConnection) async throws -> Results {
        let results = try await connection.run(before + queries)
        return Results(values: try zip(decoders, results.dropFirst(before.count)).map { try $0($1) })
    }
}
