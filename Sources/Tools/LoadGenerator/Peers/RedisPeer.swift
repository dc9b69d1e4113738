import ChildProcesses
import Glibc

/// Measures a cache as the peer: `redis-benchmark -t get` against a private `redis-server` without persistence, on a
/// free loopback port.
package struct RedisPeer: Sendable {
    package let connections: Int
    /// The directory of `redis-server` and `redis-benchmark`; nil looks in `PATH`.
    package let programs: String?

    package init(connections: Int = 64, programs: String? = nil) {
        self.connections = connections
        self.programs = programs
    }

    /// Starts the server, measures, and stops it, also after an error.
    package func run(requests: Int = 1_000_000) async throws -> PeerResult {
        let port = try LoopbackPorts.next()
        return try await withTemporaryDirectory { directory in
            let server = try await ChildProcess.start(
                [
                    program("redis-server"), "--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--appendonly",
                    "no", "--daemonize", "no", "--dir", "/",
                ], environment: ChildProcess.inheritedEnvironment, logPath: "\(directory)/redis.log")
            let result: Result<PeerResult, any Error>
            do {
                try await waitUntil("redis-server is ready; its log: \(server.log.suffix(500))") {
                    if server.hasEnded { throw PeerError(description: "redis-server ended: \(server.log.suffix(500))") }
                    return server.log.contains("Ready to accept connections")
                }
                // Creates the key that the gets ask for: an answer with a value is more work than one without.
                _ = try await benchmark("set", port: port, requests: 1_000)
                result = .success(try Self.result(try await benchmark("get", port: port, requests: requests)))
            } catch {
                result = .failure(error)
            }
            server.signal(SIGTERM)
            _ = await server.ended()
            return try result.get()
        }
    }

    private func benchmark(_ test: String, port: Int, requests: Int) async throws -> String {
        try await ChildProcess.output(of: [
            program("redis-benchmark"), "-h", "127.0.0.1", "-p", "\(port)", "-t", test, "-c", "\(connections)", "-n",
            "\(requests)", "--csv",
        ])
    }

    private func program(_ name: String) -> String {
        programs.map { "\($0)/\(name)" } ?? name
    }

    /// Reads the table that `redis-benchmark --csv` prints, by its column names.
    static func result(_ output: String) throws(PeerError) -> PeerResult {
        let rows = output.split(separator: "\n").filter { $0.hasPrefix("\"") }.map { line in
            line.split(separator: ",").map { String($0.filter { $0 != "\"" && $0 != "\r" }) }
        }
        guard rows.count == 2, rows[0].count == rows[1].count else {
            throw PeerError(description: "redis-benchmark printed no table: \(output.suffix(500))")
        }
        let columns = Dictionary(zip(rows[0], rows[1])) { first, _ in first }
        guard let perSecond = columns["rps"].flatMap(Double.init) else {
            throw PeerError(description: "redis-benchmark printed no rate: \(output.suffix(500))")
        }
        var latency: LatencySummary?
        if let p50 = nanoseconds(columns["p50_latency_ms"]), let p99 = nanoseconds(columns["p99_latency_ms"]),
            let maximum = nanoseconds(columns["max_latency_ms"])
        {
            latency = LatencySummary(p50: p50, p99: p99, p999: nil, maximum: maximum)
        }
        return PeerResult(name: "Redis GET", perSecond: perSecond, latency: latency)
    }

    private static func nanoseconds(_ milliseconds: String?) -> UInt64? {
        milliseconds.flatMap(Double.init).map { UInt64($0 * 1e6) }
    }
}
