import Commands
import Failpoints
package import Logging
package import Messaging
package import Postgres
package import RabbitMQ
package import Runtime
import ServiceLifecycle
import Storage

/// The role that applies commands: it turns the commands in the queues into rows of PostgreSQL.
///
/// The consumer receives deliveries from the queues that `ShardKeeper` has chosen for this worker and puts them into
/// the `DeliveryInbox`. Four lanes (`BatchLoop`) take batches of account commands from the inbox, one takes
/// the commands of catalogues, and one those of the operator. A lane decodes a batch and applies the account commands, or as many as one short transaction
/// takes, with `AccountBatch`; catalogue commands are applied one by one with `CatalogueChange`. The lane then sends the
/// results to the reply queues of the API nodes, acknowledges the messages that are decided, and gives the others back
/// to the inbox.
///
/// `Node` makes the worker and runs it as a service. The health check of the node reads `state` and `lastSeen`.
///
/// Invariants:
/// - A command takes effect once, however often it is delivered. The row locks and the table of decided commands alone
///   ensure this, so any number of workers may run.
/// - A delivery is acknowledged after its commands are committed or parked, never before.
/// - The commands of an end user are applied in the order of their queue: the broker gives a queue to one consumer at a
///   time, and the inbox gives an environment's messages in it to one lane at a time. This also keeps workers from
///   waiting for each other's locks.
///
/// On failure: while PostgreSQL is unreachable, the lanes try again and the commands wait in their queues. When the
/// worker dies, the broker delivers its unacknowledged messages to the next consumer, which finds the commands that
/// were committed and sends their stored results. A command that the database rejects, or that keeps crashing workers,
/// is parked in `parked_commands` and its operation has failed.
package struct LedgerWorker: Service {
    private let consumer: AMQPConsumer
    let publisher: AMQPPublisher
    let topology: Topology
    private let inbox: DeliveryInbox
    private let lanes: [BatchLoop]
    private let keeper: ShardKeeper
    private let logger: Logger

    /// - Throws: When the system has no free descriptor or thread.
    package init(
        postgres: PostgresConfiguration, amqp: AMQPConfiguration, topology: Topology, metrics: MetricsRegistry,
        logger: Logger
    ) throws(AMQPError) {
        var database = postgres.acting(as: .ledger)
        database.applicationName = "quotastack-ledger"
        // A frozen server is left in seconds. A commit may wait for a standby that is just being lost: for about 10 s with the
        // settings of `ops/ha`, as long as a statement may take.
        database.runLimit = .seconds(12)
        var consuming = amqp
        consuming.connectionName = "quotastack-ledger consume"
        var publishing = amqp
        publishing.connectionName = "quotastack-ledger reply"
        let inbox = DeliveryInbox(catalogueQueue: topology.catalogueQueue)
        self.inbox = inbox
        self.topology = topology
        self.logger = logger
        publisher = try AMQPPublisher(configuration: publishing, logger: logger)
        consumer = try AMQPConsumer(
            configuration: consuming, queues: topology.commandQueues, consumesAtOnce: false,
            prefetch: UInt16(CommandLimits.prefetch),
            acknowledges: !KnownBug.acknowledgeBeforeCommit.isActive, logger: logger
        ) { deliveries in
            inbox.put(deliveries)
        }
        keeper = ShardKeeper(
            queues: topology.commandQueues, consumer: consumer, inbox: inbox, database: database, logger: logger)
        metrics.gauge("quotastack_ledger_queues", "Queues that this worker consumes.") { [keeper] in
            Double(keeper.heldCount)
        }
        metrics.gauge(
            "quotastack_ledger_slow_environments",
            "Environments whose commands are applied alone because they take long."
        ) {
            Double(inbox.slowCount)
        }
        metrics.gauge(
            "quotastack_ledger_heavy_environments",
            "Environments whose commands share no transaction with those of others, because there are many."
        ) {
            Double(inbox.heavyCount)
        }
        let ledgerMetrics = LedgerMetrics(metrics)
        let catalogues = CatalogueCache()
        let kinds =
            Array(repeating: DeliveryInbox.LaneKind.accounts, count: DeliveryInbox.accountLanes) + [
                .catalogues, .installation,
            ]
        lanes = kinds.map { [consumer, publisher] kind in
            BatchLoop(
                kind, inbox: inbox, consumer: consumer, publisher: publisher, database: database,
                catalogues: catalogues, metrics: ledgerMetrics, logger: logger)
        }
    }

    /// Whether commands are being received, or why not.
    package var state: AMQPConnectionState { consumer.state }

    /// The instant of the worker's last heartbeat in PostgreSQL; nil before the first one.
    package var lastSeen: ContinuousClock.Instant? { keeper.lastBeat }

    /// Runs until a graceful shutdown. The batches under way are then committed, answered and acknowledged before the
    /// channels are closed, so that the next workers get the remaining messages in order.
    package func run() async throws {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await consumer.run() }
            group.addTask { await publisher.run() }
            let keeping = Task { await keeper.run() }
            // The task is cancelled when another service of the process has failed. The worker must then leave the
            // registry as well, or it would keep queues that it does not serve.
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
