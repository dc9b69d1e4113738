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

/// The books in memory: accounts, catalogues and keys, kept up to date from PostgreSQL's write-ahead log.
///
/// It loads a snapshot that a replication slot exported and then follows the slot's stream, so nothing is missed and
/// nothing needs to be invalidated. When the connection is lost it goes on answering from what it has, says so in
/// `state`, and loads anew; the new map takes over when it is whole.
package final class Replica: Service {
    /// How the replica stands to the database.
    package enum State: Hashable, Sendable {
        /// Nothing has been loaded yet: there is nothing to answer from.
        case loading
        case live
        /// The database was last heard from then; answers are as old as that.
        case disconnected(since: ContinuousClock.Instant)
    }

    /// Every second the database is asked for a sign of life; without one for this long the answers count as old.
    private static let patience = Duration.seconds(3)

    private struct Current {
        var map: ReplicaMap?
        var state = State.loading
        var lastHeard = ContinuousClock.now
    }

    private let configuration: PostgresConfiguration
    private let logger: Logger
    private let current = Mutex(Current())
    private let waiters = PositionWaiters()
    private static let maximumKeyWaiters = 64
    private let unauthenticatedWaiters = Atomic<Int>(0)
    private let metrics: ReplicaMetrics

    package init(postgres: PostgresConfiguration, metrics: MetricsRegistry, logger: Logger) {
        var configuration = postgres
        configuration.applicationName = "quotastack-replica"
        self.configuration = configuration
        self.logger = logger
        self.metrics = ReplicaMetrics(metrics)
        metrics.gauge("quotastack_replica_age_seconds", "How old the answers may be; 0 while the database is followed.")
        {
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

    /// How old the answers may be: zero while the replica follows the database, and while it has loaded nothing.
    package var age: Duration {
        if case .disconnected(let since) = state { ContinuousClock.now - since } else { .zero }
    }

    private var map: ReplicaMap? { current.withLock { $0.map } }

    // MARK: - Reading

    /// An account as the database had it when the stream last spoke of it; nil for an end user who has none, and while
    /// nothing is loaded. Time has to be brought forward by the caller.
    package func account(_ key: AccountKey) -> Account? {
        map?.account(key)
    }

    /// The end user whose account has a number; nil for an account of another environment, and for one that is not known.
    package func endUserID(of account: AccountID, in environmentID: EnvironmentID) -> EndUserID? {
        map?.endUserID(of: account, in: environmentID)
    }

    /// What an environment sells.
    package func catalogue(_ environmentID: EnvironmentID) -> Catalogue? {
        map?.catalogue(environmentID)
    }

    /// The holder of an API key that is not revoked, by the SHA-256 of its text.
    package func keyHolder(_ hash: KeyHash) -> KeyHolder? {
        map?.keyHolder(hash)
    }

    /// Waits until the replica has reached a position.
    ///
    /// - Parameter environmentID: Set for positions that come from a client: the position must belong to this environment. Nil
    ///   for positions made by this process.
    /// - Returns: False when it had not by the deadline.
    package func reaches(
        _ position: Position, in environmentID: EnvironmentID? = nil, by deadline: ContinuousClock.Instant
    ) async -> Bool {
        let isReached = { @Sendable [self] in
            position == .none || map?.hasReached(position, in: environmentID) == true
        }
        if isReached() { return true }
        return await waiters.wait(until: deadline, isReached: isReached)
    }

    /// Waits for a key to become known, or for the deadline. Callers are unauthenticated, so at most `maximumKeyWaiters` wait at
    /// once; further callers return immediately.
    package func learns(_ key: KeyHash, by deadline: ContinuousClock.Instant) async {
        guard unauthenticatedWaiters.wrappingAdd(1, ordering: .relaxed).newValue <= Self.maximumKeyWaiters else {
            unauthenticatedWaiters.wrappingSubtract(1, ordering: .relaxed)
            return
        }
        _ = await waiters.wait(until: deadline) { [self] in keyHolder(key) != nil }
        unauthenticatedWaiters.wrappingSubtract(1, ordering: .relaxed)
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
            pause: .milliseconds(100), longestPause: .seconds(5), logger: logger,
            failure: "the replica lost the database and will load again")
        await retry.untilCancelled {
            try await loadAndStream($0)
        } afterFailure: {
            current.withLock { current in
                if current.state == .live { current.state = .disconnected(since: current.lastHeard) }
            }
        }
    }

    private func loadAndStream(_ onLive: () -> Void) async throws {
        let start = ContinuousClock.now
        let replication = try await PostgresReplication.connect(configuration, logger: logger)
        defer { replication.close() }
        let slotName = "quotastack_\(UInt64.random(in: 0..<1 << 60))"
        let slot = try await replication.createTemporarySlot(named: slotName)
        Failpoint.replicaAfterSlot.hit()
        let map = ReplicaMap()
        try await ReplicaSnapshot.load(slot.snapshot, into: map, configuration: configuration, logger: logger)
        Failpoint.replicaBeforeLive.hit()
        current.withLock { $0 = Current(map: map, state: .live) }
        waiters.recheck()
        onLive()
        logger.info("the replica has loaded \(map.accountCount) accounts in \((ContinuousClock.now - start).seconds) s")
        let stream = ReplicaStream(map: map, metrics: metrics) { [waiters] in waiters.recheck() }
        try await replication.start(slot: slotName, publication: "quotastack", from: slot.consistentPoint) { message in
            self.current.withLock { $0.lastHeard = .now }
            do {
                if let applied = try stream.apply(message) { replication.confirm(applied) }
            } catch {
                self.logger.error("the stream cannot be followed: \(error)")
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

    /// Compared without a shortcut at the first difference.
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

/// Whose requests an API key makes, what they may be, and what their environment is set to.
package struct KeyHolder: Hashable, Sendable {
    package let keyID: Bits128
    package let environmentID: EnvironmentID
    package let kind: EnvironmentKind
    /// Whether the key has expired is for the caller to see, by the clock.
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
