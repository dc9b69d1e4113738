import Commands
import Failpoints
package import Logging
package import Messaging
package import Postgres
package import RabbitMQ
package import Runtime
import ServiceLifecycle
import Storage

/// Applies commands: takes what waits in the queues, applies it in one transaction, replies, acknowledges.
///
/// Correctness rests on the row locks and the table of decided commands alone; any number of workers may run. What the
/// queues add is order (one active consumer each) and freedom from contention.
package struct LedgerWorker: Service {
    /// Batches that may be under way at once, each with a connection of its own. A commit waits for the disk, and
    /// PostgreSQL lets several commits share one wait.
    private static let laneCount = 4

    private let consumer: AMQPConsumer
    private let publisher: AMQPPublisher
    private let inbox: DeliveryInbox
    private let lanes: [BatchLoop]
    private let keeper: ShardKeeper
    private let logger: Logger

    package init(
        postgres: PostgresConfiguration, amqp: AMQPConfiguration, topology: Topology, metrics: MetricsRegistry,
        logger: Logger
    ) {
        var database = postgres.acting(as: .ledger)
        database.applicationName = "quotastack-ledger"
        var consuming = amqp
        consuming.connectionName = "quotastack-ledger consume"
        var publishing = amqp
        publishing.connectionName = "quotastack-ledger reply"
        let inbox = DeliveryInbox()
        self.inbox = inbox
        self.logger = logger
        publisher = AMQPPublisher(configuration: publishing, logger: logger)
        consumer = AMQPConsumer(
            configuration: consuming, queues: topology.commandQueues, consumesAtOnce: false,
            prefetch: UInt16(CommandLimits.messagesInHand),
            acknowledges: !KnownBug.acknowledgeBeforeCommit.isActive, logger: logger
        ) { deliveries in
            inbox.put(deliveries)
        }
        keeper = ShardKeeper(
            queues: topology.commandQueues, consumer: consumer, inbox: inbox, database: database, logger: logger)
        metrics.gauge("quotastack_ledger_queues", "Queues that are this worker's.") { [keeper] in
            Double(keeper.heldCount)
        }
        let ledgerMetrics = LedgerMetrics(metrics)
        lanes = (0..<Self.laneCount).map { [consumer, publisher] _ in
            BatchLoop(
                inbox: inbox, consumer: consumer, publisher: publisher, database: database, metrics: ledgerMetrics,
                logger: logger)
        }
    }

    /// Whether commands are being received; a reason when not.
    package var state: AMQPConnectionState { consumer.state }

    /// When PostgreSQL last heard from this worker; nil before the first time.
    package var lastSeen: ContinuousClock.Instant? { keeper.lastBeat }

    /// Runs until a graceful shutdown: the batches under way are committed, replied to and acknowledged, and only then the
    /// channel is closed, which hands what is left to the next worker in order.
    package func run() async throws {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await consumer.run() }
            group.addTask { await publisher.run() }
            let keeping = Task { await keeper.run() }
            // Cancelled when another part of the process has failed: it must not stay among the workers half alive.
            await withTaskCancellationHandler {
                await withGracefulShutdownHandler {
                    await withTaskGroup(of: Void.self) { group in
                        for lane in lanes { group.addTask { await lane.run() } }
                    }
                } onGracefulShutdown: {
                    keeping.cancel()
                    inbox.close()
                }
            } onCancel: {
                keeping.cancel()
                inbox.close()
            }
            await keeping.value
            await consumer.stop()
            await publisher.close()
            group.cancelAll()
        }
        logger.info("the ledger worker has stopped")
    }
}
