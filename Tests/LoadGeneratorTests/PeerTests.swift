import NIOCore
import Testing

@testable import LoadGenerator

@Suite("The results of peers and the facts of the machine are read correctly")
struct PeerTests {
    @Test("The rate is read from what pgbench prints, and failures are not overlooked")
    func pgbenchOutput() throws {
        let output = """
            pgbench (15.20 (Debian 15.20-0+deb12u1))
            transaction type: /tmp/transaction.sql
            scaling factor: 1
            query mode: prepared
            number of clients: 16
            number of threads: 2
            maximum number of tries: 1
            duration: 10 s
            number of transactions actually processed: 98123
            number of failed transactions: 0 (0.000%)
            latency average = 1.630 ms
            initial connection time = 20.101 ms
            tps = 9814.215061 (without initial connection time)
            """
        #expect(try RollYourOwnSQL.transactionsPerSecond(output) == 9_814.215061)
        let failed = output.replacing("transactions: 0 (0.000%)", with: "transactions: 3 (0.003%)")
        #expect(throws: PeerError.self) { try RollYourOwnSQL.transactionsPerSecond(failed) }
        #expect(throws: PeerError.self) { try RollYourOwnSQL.transactionsPerSecond("") }
    }

    @Test("Latencies are read from the transaction log")
    func pgbenchLog() {
        var histogram = LatencyHistogram()
        RollYourOwnSQL.readLog(
            "0 199 2241 0 1175850568 995598 11\n3 1 1759 0 1175850568 998079 0\n\n", into: &histogram)
        #expect(histogram.count == 2)
        #expect(histogram.percentile(100) / 10_000 == 224)
    }

    @Test(
        "The database is replaced in a URL",
        arguments: [
            ("postgres://user@127.0.0.1:5432/postgres", "postgres://user@127.0.0.1:5432/peer"),
            ("postgresql://127.0.0.1", "postgresql://127.0.0.1/peer"),
            ("postgres://u:p@host/db?sslmode=disable", "postgres://u:p@host/peer?sslmode=disable"),
            ("postgres://host?sslmode=disable", "postgres://host/peer?sslmode=disable"),
        ])
    func databaseURL(url: String, expected: String) {
        #expect(RollYourOwnSQL.url(url, withDatabase: "peer") == expected)
    }

    @Test("The table of redis-benchmark is read by its columns")
    func redisOutput() throws {
        let output = """
            "test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p99_latency_ms","max_latency_ms"
            "GET","82644.62","0.409","0.096","0.399","0.951","4.855"
            """
        let result = try RedisPeer.result(output)
        #expect(result.perSecond == 82_644.62)
        #expect(result.latency == LatencySummary(p50: 399_000, p99: 951_000, p999: nil, maximum: 4_855_000))
        #expect(throws: PeerError.self) { try RedisPeer.result("Could not connect") }
    }

    @Test("The peak of memory is read from the status of a process")
    func peakMemory() {
        #expect(
            MachineFacts.peakMemory(inStatus: "VmPeak:\t  999 kB\nVmHWM:\t   12345 kB\nVmRSS:\t 1 kB\n") == 12_345
                * 1_024)
        #expect(MachineFacts.peakMemory(inStatus: "Name:\tgone\n") == nil)
        #expect(MachineFacts.peakMemory(ofProcess: 0) == nil)
    }

    @Test("The bare server answers every request")
    func bareServer() async throws {
        let server = try await BareHTTPServer.start(answer: .init(string: "{\"ok\":true}"))
        let target = LoadTarget(port: server.port)
        let result = try await ClosedLoop(target: target, connections: 2, limit: .requests(50)).run(
            LoadScript(
                request: { _, _ in target.get("/any") },
                check: { $0.body == Array("{\"ok\":true}".utf8) ? nil : "another body" }))
        try await server.stop()
        #expect(result.countByStatus == [200: 50])
        #expect(result.isClean)
    }
}
