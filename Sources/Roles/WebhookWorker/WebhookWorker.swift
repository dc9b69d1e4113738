package import Logging
package import Postgres
package import Runtime
import Credits
import ServiceLifecycle
import Storage
import Synchronization
package import Webhooks

/// The webhook worker: it delivers the events of all environments to their endpoints.
///
/// It takes the leases of endpoints that have something to deliver, and a courier works on each for a turn. Any number of
/// workers share the endpoints. A worker that has crashed, or has lost the database, loses its leases after a minute, and
/// others take them.
///
/// On failure: a round that fails is tried again after a pause, and a courier that fails leaves its endpoint to the end of the
/// lease. Nothing is lost, because deliveries are rows; an attempt whose outcome was not recorded is repeated.
package final class WebhookWorker: Service {
    private static let connections = 6
    /// The pause between two looks for endpoints. It is longer when a look costs much, so that looking takes a tenth of one
    /// processor at most.
    private static let pause = Duration.milliseconds(100)
    /// The health check wants to hear of the database every 3 seconds.
    private static let longestPause = Duration.seconds(2)

    private struct State {
        var isStopping = false
        var endpoints = 0
        var lastSeen: ContinuousClock.Instant?
    }

    private let state = Mutex(State())
    private let database: PostgresConfiguration
    private let sender: Sender
    private let seal: SecretSeal
    private let schedule: RetrySchedule
    private let retentionDays: Int
    private let metrics: MetricsRegistry
    private let logger: Logger

    /// - Parameters:
    ///   - key: QUOTASTACK_WEBHOOK_KEY.
    ///   - retentionDays: The days for which finished deliveries are kept.
    package init(
        postgres: PostgresConfiguration, key: String, rules: TargetRules, retentionDays: Int,
        schedule: RetrySchedule = RetrySchedule(), metrics: MetricsRegistry, logger: Logger
    ) {
        var database = postgres.acting(as: .webhooks)
        database.applicationName = "quotastack-webhooks"
        database.settings = WebhookLeases.sessionSettings
        self.database = database
        sender = Sender(rules: rules)
        seal = SecretSeal(key: key)
        self.schedule = schedule
        self.retentionDays = retentionDays
        self.metrics = metrics
        self.logger = logger
    }

    /// The instant at which the database has last answered.
    package var lastSeen: ContinuousClock.Instant? { state.withLock { $0.lastSeen } }

    /// Delivers until a graceful shutdown. Attempts under way are then finished and recorded.
    package func run() async throws {
        await withGracefulShutdownHandler {
            await work()
        } onGracefulShutdown: { [self] in
            state.withLock { $0.isStopping = true }
        }
    }

    private func work() async {
        let pool = PostgresPool(
            configuration: database, size: Self.connections, longSize: Self.connections, logger: logger)
        let metrics = WebhookMetrics(metrics, logger: logger) { [self] in state.withLock { $0.endpoints } }
        let setup = CourierSetup(
            pool: pool, sender: sender, seal: seal, schedule: schedule, metrics: metrics, logger: logger,
            isStopping: { [self] in state.withLock { $0.isStopping } })
        await withDiscardingTaskGroup { group in
            let sweeper = WebhookSweeper(
                database: database, retentionDays: retentionDays, sender: sender, metrics: metrics, logger: logger)
            group.addTask { await cancelWhenGracefulShutdown { await sweeper.run() } }
            let (leases, taken) = AsyncStream<WebhookLease>.makeStream()
            group.addTask { [self] in
                await cancelWhenGracefulShutdown { await self.takeLeases(setup, into: taken) }
                taken.finish()
            }
            // The couriers are not cancelled: they finish what is under way.
            for await lease in leases {
                group.addTask { [self] in
                    await EndpointCourier(lease: lease, setup: setup).run()
                    state.withLock { $0.endpoints -= 1 }
                }
            }
        }
        await sender.close()
        await pool.close()
    }

    private func takeLeases(_ setup: CourierSetup, into taken: AsyncStream<WebhookLease>.Continuation) async {
        let retry = Retry(
            pause: .seconds(1), logger: logger, failure: "no webhooks are delivered at the moment",
            recovery: "webhooks are delivered again")
        await retry.untilCancelled { succeeded in
            while !Task.isCancelled {
                let pause = try await look(setup, taken)
                succeeded()
                try await Task.sleep(for: pause)
            }
        }
    }

    /// Takes endpoints for which there is room. Without room it only asks whether the database answers.
    ///
    /// - Returns: The pause before the next look.
    private func look(
        _ setup: CourierSetup, _ taken: AsyncStream<WebhookLease>.Continuation
    ) async throws -> Duration {
        let room = WebhookLimits.endpointsAtOnce - state.withLock { $0.endpoints }
        let begun = ContinuousClock.now
        let leases = try await setup.database(of: .installation) { connection in
            try await WebhookLeases.take(room, id: .random(), on: connection)
        }
        state.withLock { state in
            state.lastSeen = .now
            state.endpoints += leases.count
        }
        for lease in leases { taken.yield(lease) }
        return min(max(Self.pause, (ContinuousClock.now - begun) * 10), Self.longestPause)
    }
}

extension Bits128 {
    fileprivate static func random() -> Bits128 {
        Bits128(high: .random(in: 0...UInt64.max), low: .random(in: 0...UInt64.max))
    }
}
