import AsyncHTTPClient
import JSON
package import Logging
import Messaging
import NIOCore
import Postgres
import RabbitMQ
package import Runtime
package import Storage

/// Checks every part of an installation, and changes nothing.
package struct Examination {
    private let settings: Settings
    private let migrator: Migrator
    private let nodeURL: String?
    private let logger: Logger

    /// - Parameters:
    /// - migrator: Holds the migrations of this release.
    /// - nodeURL: The node that is asked whether it is ready; nil asks none.
    package init(settings: Settings, migrator: Migrator, nodeURL: String?, logger: Logger) {
        self.settings = settings
        self.migrator = migrator
        self.nodeURL = nodeURL
        self.logger = logger
    }

    /// Runs all checks. A server that cannot be reached becomes a finding, which takes a few seconds.
    package func run() async -> Diagnosis {
        var findings = Finding.about(settings)
        var shardCount: Int32?
        if var postgres = try? settings.postgres() {
            findings += await examineHosts(postgres)
            // With one host the doctor also looks at a standby, to say that it is one.
            postgres.takesAnyServer = postgres.eachHost.count == 1
            let server = await examineServer(postgres, shardCount: &shardCount)
            findings += server
            if !server.contains(where: { $0.level == .problem }) { findings += await examineOperation(postgres) }
        }
        if let amqp = try? settings.amqp() {
            findings += await examineHosts(amqp)
            findings += await examineBroker(amqp, shardCount: shardCount)
        }
        if let nodeURL { findings += await examineNode(nodeURL) }
        return Diagnosis(findings)
    }

    // MARK: - Several hosts

    private func examineHosts(_ postgres: PostgresConfiguration) async -> [Finding] {
        var facts: [HostFacts] = []
        for var host in postgres.eachHost {
            host.takesAnyServer = true
            do {
                let isStandby = try await PostgresConnection.lent(host, logger: logger) {
                    try await ServerFacts.read(on: $0).isStandby
                }
                facts.append(HostFacts(host: "\(host)", answer: isStandby ? .standby : .primary))
            } catch {
                facts.append(HostFacts(host: "\(host)", answer: .silent("\(error)")))
            }
        }
        return Finding.about(facts, of: .postgresql)
    }

    private func examineHosts(_ amqp: AMQPConfiguration) async -> [Finding] {
        var facts: [HostFacts] = []
        for node in amqp.eachEndpoint {
            let name = "\(node.endpoints[0])"
            do throws(AMQPError) {
                try await AMQPTopology.check([], configuration: node)
                facts.append(HostFacts(host: name, answer: .broker))
            } catch {
                facts.append(HostFacts(host: name, answer: .silent("\(error)")))
            }
        }
        return Finding.about(facts, of: .rabbitmq)
    }

    // MARK: - PostgreSQL

    /// Uses the login's own rights, because the roles may be missing.
    private func examineServer(_ postgres: PostgresConfiguration, shardCount: inout Int32?) async -> [Finding] {
        do {
            let (findings, count) = try await PostgresConnection.lent(postgres, logger: logger) { connection in
                let facts = try await ServerFacts.read(on: connection)
                let missing = try await migrator.missing(connection)
                let count = missing.isEmpty ? try await InstallationStore.shardCount(on: connection) : nil
                return (Finding.about(facts, missingMigrations: missing), count)
            }
            shardCount = count
            return findings
        } catch let error as PostgresError where error.sqlState == "42501" {
            return [
                .problem(
                    .postgresql, Finding.singleLine("\(error)"),
                    remedy: "Log in as the owner or as a member of \(DatabaseRole.operator.rawValue).")
            ]
        } catch {
            return [
                .problem(
                    .postgresql, Finding.singleLine("\(postgres): \(error)"),
                    remedy: "Start the server, or correct DATABASE_URL.")
            ]
        }
    }

    private func examineOperation(_ postgres: PostgresConfiguration) async -> [Finding] {
        do {
            return try await PostgresConnection.lent(postgres.acting(as: .operator), logger: logger) { connection in
                let facts = try await OperationFacts.read(on: connection)
                let overdue = try? await OperationFacts.overdueAccounts(within: .seconds(10), on: connection)
                return Finding.about(facts, overdueAccounts: overdue)
            }
        } catch {
            return [
                .problem(
                    .commands, Finding.singleLine("the installation's tables cannot be read: \(error)"),
                    remedy: "Log in as the owner or as a member of \(DatabaseRole.operator.rawValue).")
            ]
        }
    }

    // MARK: - RabbitMQ

    private func examineBroker(_ amqp: AMQPConfiguration, shardCount: Int32?) async -> [Finding] {
        let topology = Topology(prefix: settings.queuePrefix, shardCount: shardCount ?? 0)
        var queues: [BrokerFacts.Queue] = []
        for name in topology.commandQueues {
            do throws(AMQPError) {
                let counts = try await AMQPTopology.messageCount(queue: name, configuration: amqp)
                queues.append(.init(name: name, state: .there(ready: counts.ready, consumers: counts.consumers)))
            } catch {
                switch error.kind {
                case .channelClosed(404, _): queues.append(.init(name: name, state: .missing))
                case .channelClosed(_, let text): queues.append(.init(name: name, state: .refused(text)))
                default:
                    return [
                        .problem(
                            .rabbitmq, Finding.singleLine("\(amqp): \(error)"),
                            remedy: "Start the broker, or correct AMQP_URL.")
                    ]
                }
            }
        }
        return Finding.about(BrokerFacts(queues: queues, alarm: await alarm(amqp)))
    }

    /// Publishes a message that no queue takes: a healthy broker returns it, a broker with an alarm blocks the
    /// publisher.
    ///
    /// - Returns: The reason why the broker accepts no messages; nil when it accepts them.
    private func alarm(_ amqp: AMQPConfiguration) async -> String? {
        var configuration = amqp
        configuration.connectionName = "quotastack doctor"
        var quiet = logger
        quiet.logLevel = .critical
        let publisher: AMQPPublisher
        do throws(AMQPError) {
            publisher = try AMQPPublisher(configuration: configuration, confirmDeadline: .seconds(3), logger: quiet)
        } catch {
            return Finding.singleLine("\(error)")
        }
        let running = Task { await publisher.run() }
        var words: String?
        for _ in 0..<100 where publisher.state != .connected { try? await Task.sleep(for: .milliseconds(50)) }
        do throws(AMQPError) {
            let name = "\(settings.queuePrefix)doctor.\(UInt64.random(in: 0...UInt64.max))"
            try await publisher.publish(AMQPMessage(routingKey: name, body: []))
        } catch {
            if case .blocked(let reason) = publisher.state {
                words = "blocked, \(reason)"
            } else if case .returned = error.kind {
                words = nil
            } else {
                words = "\(error)"
            }
        }
        await publisher.close()
        await running.value
        return words.map(Finding.singleLine)
    }

    // MARK: - Nodes

    private func examineNode(_ url: String) async -> [Finding] {
        do {
            let response = try await HTTPClient.shared.execute(
                HTTPClientRequest(url: "\(url)/readyz"), timeout: .seconds(5))
            let body = try await response.body.collect(upTo: 1 << 16)
            let parts = try JSONParser.parse(body.readableBytesView)
            return Finding.about(node: url, readiness: parts)
        } catch {
            return [
                .problem(
                    .nodes, Finding.singleLine("\(url) does not answer: \(error)"),
                    remedy: "Start it, or correct QUOTASTACK_URL.")
            ]
        }
    }
}
