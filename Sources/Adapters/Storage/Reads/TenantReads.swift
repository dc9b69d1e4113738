package import Credits
package import Logging
package import Postgres
import Synchronization

/// The API's only access to the database. Every read concerns one environment, and row-level security hides all others.
///
/// The statements name their environment too. A statement that forgot it would still see no other environment.
///
/// Tenants' reads share one pool of connections, by `ReadLimits`. Five kinds of work never wait for them and have
/// connections of their own: exports, streams of the ledger, the look-ups that mutations need, the look-up of lost replies, and the readiness
/// check. Keys and the catalogue come from memory.
package final class TenantReads: Sendable {
    private let reads: PostgresPool
    private let exportPages: PostgresPool
    private let streams: PostgresPool
    private let missed: PostgresPool
    private let lookUps: PostgresPool
    private let answers: PostgresPool
    private let readiness: PostgresPool
    private let limits: ReadLimits
    private let exports = Mutex<[EnvironmentID: Int]>([:])

    /// Creates the access without opening a connection.
    ///
    /// - Parameter connections: The number of tenants' reads that may be under way at once.
    package init(postgres: PostgresConfiguration, connections: Int, logger: Logger? = nil) {
        var database = postgres.acting(as: .api)
        database.applicationName = "quotastack-api"
        func pool(_ size: Int, large: Int) -> PostgresPool {
            PostgresPool(configuration: database, size: size, longSize: large, logger: logger)
        }
        reads = pool(connections, large: ReadLimits.largeReads(ofConnections: connections))
        exportPages = pool(ReadLimits.exportConnections, large: ReadLimits.exportConnections)
        streams = pool(1, large: 1)
        missed = pool(1, large: 1)
        lookUps = pool(ReadLimits.lookUpConnections, large: 1)
        answers = pool(1, large: 1)
        readiness = pool(1, large: 1)
        limits = ReadLimits(connections: connections)
    }

    /// The limits of an environment: the same for all.
    private func limits(of environmentID: EnvironmentID) -> ReadLimits { limits }

    // MARK: - Reading

    /// Lends a connection inside a read-only transaction that sees only the rows of one environment.
    ///
    /// The connection is lent for the body only. An answer that goes on, such as an export, reads page by page.
    ///
    /// - Parameter environmentID: `.installation` for tenants and for the commands of the root key.
    /// - Throws: The body's error, and the errors of `PostgresPool.withConnection`.
    package func read<Value: Sendable>(
        of environmentID: EnvironmentID, _ size: ReadSize = .small,
        _ body: @Sendable (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        let limits = limits(of: environmentID)
        let claim = PoolClaim(owner: environmentID.rawValue, isLong: size == .large, share: limits.reads)
        return try await read(
            of: environmentID, from: reads, claim,
            within: size == .large ? limits.largeStatement : limits.smallStatement, body)
    }

    /// Like `read`, for a row or a page that a mutation needs before it can be sent.
    package func lookUp<Value: Sendable>(
        of environmentID: EnvironmentID, _ body: @Sendable (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        let limits = limits(of: environmentID)
        let claim = PoolClaim(owner: environmentID.rawValue, isLong: false, share: limits.lookUps)
        return try await read(of: environmentID, from: lookUps, claim, within: limits.smallStatement, body)
    }

    /// Like `read`, for the gateway that looks for lost replies, one environment after another.
    package func findAnswers<Value: Sendable>(
        of environmentID: EnvironmentID, _ body: @Sendable (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        try await read(
            of: environmentID, from: answers, .alone, within: limits(of: environmentID).smallStatement, body)
    }

    private func read<Value: Sendable>(
        of environmentID: EnvironmentID, from pool: PostgresPool, _ claim: PoolClaim, within limit: Duration,
        _ body: @Sendable (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        try await pool.withConnection(claim) { connection in
            // The settings end with the transaction, so the next borrower of the connection starts without them. Every
            // read finds its rows by an index, so the plans that read whole tables are put last.
            _ = try await connection.run([
                PostgresQuery("begin read only"),
                PostgresQuery(
                    """
                    select set_config('quotastack.environment', $1, true), set_config('statement_timeout', $2, true),
                        set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
                        set_config('enable_mergejoin', 'off', true), set_config('jit', 'off', true)
                    """,
                    [.text("\(environmentID.rawValue)"), .text("\(limit.components.seconds)s")]),
            ])
            let value = try await body(connection)
            _ = try await connection.run(PostgresQuery("commit"))
            return value
        }
    }

    /// Checks that the database answers; throws when it does not. One check at a time has the connection; others wait up
    /// to a second.
    package func reachDatabase(within limit: Duration) async throws {
        _ = try await readiness.withConnection(.alone) { try await $0.run(PostgresQuery("select 1"), within: limit) }
    }

    /// Reads a page on a connection of a pool that lists and checks do not wait for.
    private func readPage<Value: Sendable>(
        of environmentID: EnvironmentID, from pool: PostgresPool, share: KeyPath<ReadLimits, PoolShare>,
        within limit: KeyPath<ReadLimits, Duration>, _ body: @Sendable (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        let limits = limits(of: environmentID)
        let claim = PoolClaim(owner: environmentID.rawValue, isLong: false, share: limits[keyPath: share])
        return try await read(of: environmentID, from: pool, claim, within: limits[keyPath: limit], body)
    }

    // MARK: - Streams

    /// Like `read`, for what is new in the ledger of an environment.
    package func readNew<Value: Sendable>(
        of environmentID: EnvironmentID, _ body: @Sendable (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        try await readPage(of: environmentID, from: streams, share: \.streamPages, within: \.smallStatement, body)
    }

    /// Like `read`, for one page of what a watcher of the ledger has missed.
    package func readMissed<Value: Sendable>(
        of environmentID: EnvironmentID, _ body: @Sendable (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        try await readPage(of: environmentID, from: missed, share: \.streamPages, within: \.largeStatement, body)
    }

    // MARK: - Exports

    /// Like `read`, for one page of an export, which waits for the pages of the environment's other exports only.
    package func readExport<Value: Sendable>(
        of environmentID: EnvironmentID, _ body: @Sendable (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        try await readPage(of: environmentID, from: exportPages, share: \.exportPages, within: \.largeStatement, body)
    }

    /// Counts an export of an environment until the permit is released. Nil when as many are under way as may be.
    package func permitExport(of environmentID: EnvironmentID) -> ExportPermit? {
        let isFree = exports.withLock { exports in
            guard exports[environmentID, default: 0] < limits(of: environmentID).exports else { return false }
            exports[environmentID, default: 0] += 1
            return true
        }
        guard isFree else { return nil }
        return ExportPermit { [self] in
            exports.withLock { exports in
                let left = exports[environmentID, default: 1] - 1
                exports[environmentID] = left > 0 ? left : nil
            }
        }
    }

    /// The right to export. It ends with its last reference, whether the export was finished, has failed or was never
    /// begun.
    package final class ExportPermit: Sendable {
        private let end: @Sendable () -> Void

        fileprivate init(end: @escaping @Sendable () -> Void) {
            self.end = end
        }

        deinit {
            end()
        }
    }

    // MARK: - Ending

    /// The use of the connections for tenants' reads and exports.
    package var statistics: PostgresPool.Statistics { reads.statistics + exportPages.statistics }

    /// Waits until every connection is returned and closed.
    package func close() async {
        for pool in [reads, exportPages, streams, missed, lookUps, answers, readiness] { await pool.close() }
    }
}

extension PoolClaim {
    /// The claim of the only user of a pool.
    fileprivate static let alone = PoolClaim(
        owner: 0, isLong: false,
        share: PoolShare(
            atOnce: 1, longAtOnce: 1, waiting: 1_024, patience: .seconds(1), longPatience: .seconds(1)))
}
