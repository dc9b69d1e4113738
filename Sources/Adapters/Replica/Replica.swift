package import Catalogue
package import Commands
package import Credits
import Failpoints
package import Ledger
package import Logging
package import Postgres
package import Runtime
import ServiceLifecycle
import Storage
import Synchronization

/// The accounts, catalogues and API keys of an installation in memory, kept up to date from PostgreSQL's write-ahead
/// log (WAL).
///
/// Every node with the API or the entitlement role runs one replica. Request handlers answer checks and balances from
/// it and look up catalogues and API keys, without a query to the database. A handler whose command was decided, or
/// that was given a position token, waits with `reaches` until the replica shows that position: clients read their own
/// writes.
///
/// Data flow: `run` creates a temporary replication slot, which exports a snapshot. `ReplicaSnapshot` copies the
/// replicated tables as of that snapshot into a new `ReplicaMap`, which then becomes the current map. `ReplicaStream`
/// follows the WAL from the snapshot on, collects the changes of each transaction and applies them to the map at its
/// commit. Then the waiting tasks are checked, and the position is confirmed to the server.
///
/// Invariants:
/// - Snapshot and stream together contain every committed transaction once: nothing is missed, and nothing must be
///   invalidated.
/// - A map becomes current only when its snapshot is loaded completely.
/// - All changes of a transaction to one account become visible at once. A position of an account counts as reached
///   when its whole transaction is visible.
/// - Accounts stand as they were last written. The caller must apply what has become due since.
///
/// Failure: when the connection is lost, or the stream cannot be applied, the replica answers from the map that it has.
/// `state` and `age` say how old the answers may be; `state` also says so after 3 seconds of silence. A new slot and
/// snapshot are tried after 0.1 s, then after pauses that double up to 0.5 s. Until the first load every look-up returns
/// nil.
package final class Replica: Service {
    /// Whether the replica follows the database.
    package enum State: Hashable, Sendable {
        /// Nothing has been loaded yet, so every look-up returns nil.
        case loading
        case live
        /// The database was last heard from at that instant. The answers are as old as that.
        case disconnected(since: ContinuousClock.Instant)
    }

    /// After a second of silence the database is asked for a reply. After this long the answers count as old.
    private static let patience = Duration.seconds(3)
    /// The time for a slot. PostgreSQL creates one when all transactions have ended that have written something before.
    private static let slotPatience = Duration.seconds(60)

    /// The longest pause between two attempts to follow the database. It is short, because every mutation waits until its
    /// node shows the effect.
    private static let longestPause = Duration.milliseconds(500)

    private struct Current {
        var map: ReplicaMap?
        var state = State.loading
        var lastHeard = ContinuousClock.now
    }

    private let configuration: PostgresConfiguration
    private let logger: Logger
    private let current = Mutex(Current())
    private let waiters = PositionWaiters()
    private let signals = LedgerSignals()
    private static let maximumKeyWaiters = 64
    private let unauthenticatedWaiters = Atomic<Int>(0)
    private let metrics: ReplicaMetrics
    private let generation = CatalogueGeneration()

    package init(postgres: PostgresConfiguration, metrics: MetricsRegistry, logger: Logger) {
        var configuration = postgres
        configuration.applicationName = "quotastack-replica"
        self.configuration = configuration
        self.logger = logger
        self.metrics = ReplicaMetrics(metrics)
        metrics.gauge("quotastack_replica_age_seconds", "Largest age of the answers; 0 while the replica is live.") {
            [weak self] in
            self.map { $0.age.seconds }
        }
        metrics.gauge("quotastack_replica_accounts", "Accounts in memory.") { [weak self] in
            self?.map.map { Double($0.accountCount) }
        }
        metrics.gauge("quotastack_replica_connected", "1 while the replica follows the database.") { [weak self] in
            self?.state == .live ? 1 : 0
        }
    }

    package var state: State {
        let now = ContinuousClock.now
        return current.withLock { current in
            guard current.state == .live, now - current.lastHeard > Self.patience else { return current.state }
            return .disconnected(since: current.lastHeard)
        }
    }

    /// The largest possible age of the answers: zero while the replica follows the database or has loaded nothing.
    package var age: Duration {
        if case .disconnected(let since) = state { ContinuousClock.now - since } else { .zero }
    }

    private var map: ReplicaMap? { current.withLock { $0.map } }

    /// A number that changes whenever anything but accounts changes: catalogues, configurations, keys. What was read
    /// after the number was read is what the map has as long as the number is the same. A position of a catalogue counts
    /// as reached only after the number has changed.
    package var catalogueGeneration: UInt64 { generation.number }

    // MARK: - Reading

    /// An account as of the last transaction that the stream brought; nil for an end user without an account, and while
    /// nothing is loaded. The caller must apply what has become due since.
    ///
    /// - Parameter counters: Names the counters that the caller needs. It is called under a lock, and only for an account
    ///   that has counters.
    package func account(_ key: AccountKey, counters: (Account) -> [CounterID] = { _ in [] }) -> Account? {
        map?.account(key, counters: counters)
    }

    /// The end user who has an account; nil for an account of another environment, and for an unknown one.
    package func endUserID(of account: AccountID, in environmentID: EnvironmentID) -> EndUserID? {
        map?.endUserID(of: account, in: environmentID)
    }

    /// The catalogue of an environment; nil for an unknown environment.
    package func catalogue(_ environmentID: EnvironmentID) -> Catalogue? {
        map?.catalogue(environmentID)
    }

    /// The holder of an API key, by the SHA-256 of its text; nil for an unknown key and for a revoked one.
    package func keyHolder(_ hash: KeyHash) -> KeyHolder? {
        map?.keyHolder(hash)
    }

    /// Waits until the replica has reached a position.
    ///
    /// - Parameter environmentID: Set for positions that come from a client: the position must belong to this
    ///   environment. Nil for positions made by this process.
    /// - Returns: False when the position was not reached by the deadline.
    package func reaches(
        _ position: Position, in environmentID: EnvironmentID? = nil, by deadline: ContinuousClock.Instant
    ) async -> Bool {
        let isReached = { @Sendable [self] in
            position == .none || map?.hasReached(position, in: environmentID) == true
        }
        if isReached() { return true }
        return await waiters.wait(until: deadline, isReached: isReached)
    }

    /// Waits for a key to become known, or for the deadline. Callers are unauthenticated, so at most
    /// `maximumKeyWaiters` wait at once; further callers return immediately.
    package func learns(_ key: KeyHash, by deadline: ContinuousClock.Instant) async {
        guard unauthenticatedWaiters.wrappingAdd(1, ordering: .relaxed).newValue <= Self.maximumKeyWaiters else {
            unauthenticatedWaiters.wrappingSubtract(1, ordering: .relaxed)
            return
        }
        _ = await waiters.wait(until: deadline) { [self] in keyHolder(key) != nil }
        unauthenticatedWaiters.wrappingSubtract(1, ordering: .relaxed)
    }

    /// Calls the body whenever a transaction may have written entries to the ledger of an environment, and after a loss of
    /// the connection. It must return at once.
    ///
    /// - Returns: The body is called as long as the subscription is kept.
    package func followLedger(
        of environmentID: EnvironmentID, _ body: @escaping @Sendable (LedgerSignal) -> Void
    ) -> LedgerSubscription {
        signals.follow(environmentID, body)
    }

    // MARK: - Following

    /// Loads and follows until a graceful shutdown.
    package func run() async throws {
        try await cancelWhenGracefulShutdown { [self] in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await self.waiters.sweep() }
                group.addTask { await self.follow() }
                try await group.waitForAll()
            }
        }
    }

    private func follow() async {
        let retry = Retry(
            pause: .milliseconds(100), longestPause: Self.longestPause, isSpread: true, logger: logger,
            failure: "the replica lost its connection to PostgreSQL and will load again")
        await retry.untilCancelled {
            try await loadAndStream($0)
        } afterFailure: {
            current.withLock { current in
                if current.state == .live { current.state = .disconnected(since: current.lastHeard) }
            }
        }
    }

    /// Runs the body, and calls `onTimeout` when it takes longer than the limit.
    private func withDeadline<Value: Sendable>(
        _ limit: Duration, _ body: () async throws -> Value, onTimeout: @escaping @Sendable () -> Void
    ) async throws -> Value {
        let timer = Task {
            try await Task.sleep(for: limit)
            onTimeout()
        }
        defer { timer.cancel() }
        return try await body()
    }

    private func loadAndStream(_ onLive: () -> Void) async throws {
        let start = ContinuousClock.now
        let replication = try await PostgresReplication.connect(configuration, logger: logger)
        defer { replication.close() }
        let slotName = "quotastack_\(UInt64.random(in: 0..<1 << 60))"
        let slot = try await withDeadline(Self.slotPatience) {
            try await replication.createTemporarySlot(named: slotName)
        } onTimeout: {
            self.logger.warning(
                "PostgreSQL makes no slot for the replica: another transaction of the server does not end")
            replication.close()
        }
        Failpoint.replicaAfterSlot.hit()
        let map = ReplicaMap(generation)
        try await ReplicaSnapshot.load(slot.snapshot, into: map, configuration: configuration, logger: logger)
        Failpoint.replicaBeforeLive.hit()
        current.withLock { current in
            current = Current(map: map, state: .live)
            generation.advance()
        }
        waiters.recheck()
        signals.tellAll(.erased)
        onLive()
        logger.info("the replica has loaded \(map.accountCount) accounts in \((ContinuousClock.now - start).seconds) s")
        let stream = ReplicaStream(map: map, metrics: metrics) { [waiters, signals] changes in
            waiters.recheck()
            signals.tell(changes)
        }
        try await replication.start(slot: slotName, publication: "quotastack", from: slot.consistentPoint) { message in
            self.current.withLock { $0.lastHeard = .now }
            do {
                if let applied = try stream.apply(message) { replication.confirm(applied) }
            } catch {
                self.logger.error("the replica cannot apply the stream and will load again: \(error)")
                replication.close()
            }
        }
    }
}

/// The SHA-256 of an API key's text.
package struct KeyHash: Hashable, Sendable {
    private let bytes: [UInt8]

    /// - Parameter bytes: 32 bytes.
    package init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// Compares all bytes, so that the time taken does not show where the first difference is.
    package static func == (left: KeyHash, right: KeyHash) -> Bool {
        guard left.bytes.count == right.bytes.count else { return false }
        var difference: UInt8 = 0
        for (one, other) in zip(left.bytes, right.bytes) { difference |= one ^ other }
        return difference == 0
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(bytes)
    }
}

/// The holder of an API key: its environment, the key's rights, and the environment's configuration.
package struct KeyHolder: Hashable, Sendable {
    package let keyID: Bits128
    package let environmentID: EnvironmentID
    package let kind: EnvironmentKind
    /// The caller must check by its clock whether the key has expired.
    package let rights: KeyRights
    package let config: EnvironmentConfig

    package init(
        keyID: Bits128, environmentID: EnvironmentID, kind: EnvironmentKind, rights: KeyRights,
        config: EnvironmentConfig
    ) {
        self.keyID = keyID
        self.environmentID = environmentID
        self.kind = kind
        self.rights = rights
        self.config = config
    }
}
