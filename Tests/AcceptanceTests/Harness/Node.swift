import ChildProcesses
import Glibc
import Synchronization

/// One process of an installation with its own role: `quotastack-api`, `quotastack-ledger`, `quotastack-scheduler` or
/// `quotastack-entitlements`.
final class Node: Sendable {
    let port: Int
    let logPath: String
    private let binary: String
    private let environment: [String: String]
    private let process = Mutex<ChildProcess?>(nil)

    var url: String { "http://127.0.0.1:\(port)" }

    /// The log of the node, over all its starts.
    var log: String { process.withLock { $0 }?.log ?? "" }

    init(binary: String, port: Int, environment: [String: String], logPath: String) {
        self.binary = binary
        self.port = port
        self.logPath = logPath
        self.environment = environment.merging(["QUOTASTACK_PORT": "\(port)"]) { $1 }
    }

    /// Starts the process and waits until it is ready.
    ///
    /// - Parameters:
    ///   - extra: Further environment variables for this process only.
    ///   - launcher: A command in front of the program, such as `prlimit` with its options.
    ///   - client: The caller that asks whether the node is ready; nil uses plain HTTP.
    func start(
        _ extra: [String: String] = [:], launcher: [String] = [], readyAt client: Client? = nil
    ) async throws {
        let client = client ?? Client(url: url, key: nil)
        let started = try await begin(extra, launcher: launcher)
        try await waitUntil("\(binary) is ready; its log:\n\(logPath)") {
            if started.hasEnded { throw HarnessError("\(binary) has ended:\n\(started.log.suffix(4_000))") }
            return (try? await client.get("/readyz"))?.status == 200
        }
    }

    /// Starts the process, which may end at once.
    @discardableResult
    func begin(_ extra: [String: String] = [:], launcher: [String] = []) async throws -> ChildProcess {
        PlantedSecrets.remember(passwordsIn: extra)
        let started = try await ChildProcess.start(
            launcher + [binary], environment: environment.merging(extra) { $1 }, logPath: logPath)
        process.withLock { $0 = started }
        return started
    }

    var hasEnded: Bool { process.withLock { $0 }?.hasEnded ?? true }

    /// Ends the process with SIGKILL, at whatever instruction it is.
    func kill() async {
        guard let running = process.withLock({ $0 }) else { return }
        running.signal(SIGKILL)
        _ = await running.ended()
    }

    /// Asks the process to stop, and returns its exit status.
    func stop() async -> Int32? {
        guard let running = process.withLock({ $0 }) else { return nil }
        running.signal(SIGTERM)
        return await running.ended()
    }

    /// Sends a signal: SIGSTOP freezes the process, SIGCONT lets it continue.
    func signal(_ number: Int32) {
        process.withLock { $0 }?.signal(number)
    }

    /// The value of a metric of the node; nil when the node has no such metric.
    func metric(_ name: String) async throws -> Double? {
        let text = String(decoding: try await Client(url: url, key: nil).get("/metrics").bytes, as: UTF8.self)
        let line = text.split(separator: "\n").first { $0.hasPrefix(name + " ") }
        return line.flatMap { Double($0.dropFirst(name.count + 1)) }
    }
}
