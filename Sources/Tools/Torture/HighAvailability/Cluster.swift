import ChildProcesses
import Glibc

/// The servers of a highly available installation, which `ops/ha/up` has started and `ops/ha/servers` controls.
struct Cluster: Sendable {
    /// The folder in which `ops/ha/up` keeps the servers.
    let home: String
    /// The path of `ops/ha/servers`.
    let script: String

    /// The machines with PostgreSQL, by number.
    private static let databases = ["1", "2"]
    private static let brokers = ["1", "2", "3"]

    /// The machine of PostgreSQL's primary.
    func primary() async throws -> String { try await call("leader", "postgres") }

    /// The machine of PostgreSQL's standby.
    func standby() async throws -> String {
        let primary = try await primary()
        return Self.databases.first { $0 != primary } ?? primary
    }

    /// The machine of the RabbitMQ node that leads a queue.
    func leader(of queue: String) async throws -> String { try await call("leader", queue) }

    /// The RabbitMQ machines, those that follow in a queue first.
    func followersFirst(of queue: String) async throws -> [String] {
        let leader = try await leader(of: queue)
        return Self.brokers.filter { $0 != leader } + [leader]
    }

    /// Runs a command of `ops/ha/servers`.
    ///
    /// - Returns: Its output without the last line break.
    @discardableResult
    func call(_ arguments: String...) async throws -> String {
        let log = "\(home)/log/\(arguments[0]).\(UInt32.random(in: 0...UInt32.max))"
        defer { _ = unlink(log) }
        let result = try await ChildProcess.run(
            ["/bin/bash", script, home] + arguments,
            environment: ["PATH": environmentVariable("PATH") ?? "/usr/bin:/bin", "LANG": "C.UTF-8"], logPath: log)
        guard result.status == 0 else {
            throw TortureError("\(arguments.joined(separator: " ")) failed: \(result.output.suffix(2_000))")
        }
        return String(result.output.drop { $0.isNewline }.prefix { !$0.isNewline })
    }
}
