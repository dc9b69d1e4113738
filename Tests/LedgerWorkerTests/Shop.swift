import Answers
import Catalogue
import Commands
import Credits
import JSON
import Ledger
import Messaging
import Metering
import Postgres
import RabbitMQ
import Runtime
import Storage
import TestDatabases
import Testing

@testable import LedgerWorker

/// An environment whose commands are applied by as many workers as a test needs, without a broker.
struct Shop {
    let environmentID = EnvironmentID(1)
    let calls: FeatureKey
    let configuration: PostgresConfiguration
    let connection: PostgresConnection

    init(_ connection: PostgresConnection, _ configuration: PostgresConfiguration) async throws {
        self.connection = connection
        self.configuration = configuration
        calls = try #require(FeatureKey("calls"))
        try await connection.script(
            "insert into tenants values ('00000000-0000-0000-0000-000000000001', 'Acme', now());"
                + "insert into environments (tenant_id, kind) values ('00000000-0000-0000-0000-000000000001', 'live')")
        let feature = Feature(key: calls, name: "Calls")
        try await FeatureStore.insert(feature, environmentID: environmentID, on: connection)
        let rule = MeteringRule(
            id: PublicID(.rule, Bits128(high: 1, low: 1)), featureKey: calls, version: 1,
            price: Price(.perUnit(unitCost: try Millicredits(Int64(10)), perUnits: 1)), effectiveFrom: .epoch)
        try await RuleStore.insert(rule, environmentID: environmentID, on: connection)
        // The tests are about the events of top-ups.
        try await connection.script(
            "update environments set catalogue_version = 1, "
                + "recorded_event_types = 'topup.requested,topup.failed,topup.suspended'")
    }

    /// A worker's lane with its own connection; the test supplies its commands.
    func lane() throws -> (loop: BatchLoop, metrics: MetricsRegistry) {
        let amqp = try AMQPConfiguration(url: "amqp://127.0.0.1")
        let metrics = MetricsRegistry()
        let inbox = DeliveryInbox(catalogueQueue: "catalogue")
        let loop = BatchLoop(
            .accounts, inbox: inbox,
            consumer: try AMQPConsumer(
                configuration: amqp, queues: [], prefetch: 1, acknowledges: true, logger: quietLogger
            ) { _ in },
            publisher: try AMQPPublisher(configuration: amqp, logger: quietLogger),
            database: configuration.acting(as: .ledger), catalogues: CatalogueCache(),
            metrics: LedgerMetrics(metrics), logger: quietLogger)
        return (loop, metrics)
    }

    /// A command with an id that no other command has, unless an id is given.
    func item(
        _ endUser: String, _ action: AccountAction, id: UInt64? = nil, attempt: UInt64? = nil
    ) throws -> AccountItem {
        AccountItem(
            origin: RequestOrigin(
                environmentID: environmentID, actor: Actor(keyID: nil, address: nil), requestID: "req_1",
                attempt: attempt),
            wantsBody: true,
            command: AccountCommand(
                identity: CommandIdentity(
                    id: Bits128(high: 7, low: id ?? .random(in: 1_000_000 ... .max)), idempotencyKey: nil),
                endUserID: try #require(EndUserID(endUser)), action: action))
    }

    func grant(_ credits: Int64) throws -> AccountAction { .grant(Grant(credits: try Millicredits(credits))) }

    func topUp(_ credits: Int64, _ payment: String, fingerprint: UInt64) throws -> AccountAction {
        .topUp(
            TopUp(
                credits: .amount(try Millicredits(credits)), payment: Payment(price: 999, externalID: payment),
                fingerprint: Bits128(high: 0, low: fingerprint)))
    }

    func transfer(_ credits: Int64, to receiver: String) throws -> AccountAction {
        .transfer(Transfer(receiver: try #require(EndUserID(receiver)), credits: try Millicredits(credits)))
    }

    func number(_ sql: String) async throws -> Int64 {
        try #require(try await connection.run(PostgresQuery(PostgresStatement(sql))).first).int64(0)
    }

    /// Expects that the books are clean and that no command is parked.
    func expectCleanBooks() async throws {
        let verifier = try await PostgresConnection.connect(configuration)
        defer { verifier.close() }
        let report = try await BookVerifier.verify(on: verifier) { _ in }
        #expect(report.isClean, "\(report.violations) \(report.findings)")
        #expect(report.parkedCommands == 0)
    }
}

extension CommandResult {
    /// The code of a problem.
    var code: String? { string("code") }

    func string(_ member: String) -> String? {
        guard case .object(let object) = try? JSONParser.parse(json), case .string(let text) = object[member] else {
            return nil
        }
        return text
    }

    func integer(_ member: String) -> Int64? {
        guard case .object(let object) = try? JSONParser.parse(json), case .integer(let integer) = object[member] else {
            return nil
        }
        return integer
    }
}
