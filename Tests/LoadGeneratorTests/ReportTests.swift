import Testing

@testable import LoadGenerator

@Suite("Results are shown correctly")
struct ReportTests {
    private let report = BenchmarkReport(
        revision: "abc123",
        rows: [
            BenchmarkRow(
                scenario: "check", ours: .perSecond(120_345.6), peerName: "Redis GET", peer: .perSecond(100_288),
                goal: .atLeast(1.2),
                latency: LatencySummary(p50: 412_345, p99: 1_234_567, p999: 20_000_000, maximum: 2_000_000_000),
                peakMemory: 104_857_600),
            BenchmarkRow(
                scenario: "check-latency", ours: .nanoseconds(900_000), peerName: "bare NIO",
                peer: .nanoseconds(500_000), goal: .atMost(1.5)),
            BenchmarkRow(scenario: "usage", ours: .perSecond(950), goal: .atLeast(1), balances: true),
            BenchmarkRow(
                scenario: "usage-hot", ours: .perSecond(2), peerName: "usage", peer: .perSecond(1), goal: .atLeast(1),
                balances: false),
        ])

    @Test("The table shows the figures and which goals are met")
    func table() {
        let lines = report.table.split(separator: "\n").map { line in
            line.split(separator: "  ").map { $0.drop(while: { $0 == " " }) }.joined(separator: "|")
        }
        #expect(
            lines == [
                "revision abc123",
                "scenario|ours|peer|ratio|goal|p50|p99|p99.9|peak memory|books|spread",
                "check|120,346/s|Redis GET|100,288/s|1.20|≥ 1.20 met|412 µs|1.23 ms|20.00 ms|100.0 MiB",
                "check-latency|900 µs|bare NIO|500 µs|1.80|≤ 1.50 missed",
                "usage|950/s|≥ 1.00|balance",
                "usage-hot|2/s|usage|1/s|2.00|≥ 1.00 missed|DIFFER",
            ])
    }

    @Test("The table lines its columns up: names at the left, figures at the right")
    func alignment() {
        let lines = report.table.split(separator: "\n").map(Array.init)
        let peerColumns = [(1, "peer"), (2, "Redis GET"), (3, "bare NIO"), (5, "usage")].map { line, name in
            lines[line].indices.last { lines[line][$0...].starts(with: "  \(name)") }
        }
        #expect(Set(peerColumns).count == 1)
        let goalEnds = [(1, "goal"), (2, "met"), (3, "missed"), (4, "1.00")].map { line, text in
            lines[line].indices.last { lines[line][...$0].reversed().starts(with: text.reversed()) }
        }
        #expect(Set(goalEnds).count == 1)
    }

    @Test("The JSON has the same figures")
    func json() {
        let text = String(decoding: report.json, as: UTF8.self)
        #expect(
            text.hasPrefix(
                #"{"revision":"abc123","rows":[{"scenario":"check","unit":"per_second","ours":120346,"#
                    + #""lowest":null,"highest":null,"#
                    + #""peer_name":"Redis GET","peer":100288,"ratio":1.200,"meets_goal":true,"p50_ns":412345,"#
                    + #""p99_ns":1234567,"p999_ns":20000000,"max_ns":2000000000,"peak_memory_bytes":104857600,"#
                    + #""balances":null},"#))
        #expect(
            text.contains(
                #""ours":900000,"lowest":null,"highest":null,"peer_name":"bare NIO","peer":500000,"ratio":1.800,"meets_goal":false"#
            ))
    }

    @Test("Several rounds give the median with the peer of its round, the spread, and books that all balance")
    func rounds() {
        let rows = [(3, 30, true), (1, 10, true), (2, 20, false)].map { ours, peer, balances in
            BenchmarkRow(
                scenario: "usage", ours: .perSecond(ours), peerName: "SQL", peer: .perSecond(peer), goal: .atLeast(0.1),
                peakMemory: Int(ours), balances: balances)
        }
        let row = BenchmarkRow.median(of: rows)
        #expect(row.ours == .perSecond(2))
        #expect(row.peer == .perSecond(20))
        #expect(row.spread?.lowest == .perSecond(1))
        #expect(row.spread?.highest == .perSecond(3))
        #expect(row.peakMemory == 3)
        #expect(row.balances == false)
        #expect(BenchmarkRow.median(of: [rows[0]]).spread == nil)
        #expect(BenchmarkReport(revision: "a", rows: [row]).table.contains("1/s to 3/s"))
    }

    @Test("Numbers are written as people read them")
    func figures() {
        #expect(Figure.grouped(0) == "0")
        #expect(Figure.grouped(999) == "999")
        #expect(Figure.grouped(-1_000) == "-1,000")
        #expect(Figure.grouped(1_234_567) == "1,234,567")
        #expect(Figure.decimal(1.005, places: 1) == "1.0")
        #expect(Figure.decimal(0.999, places: 2) == "1.00")
        #expect(Figure.decimal(-0.001, places: 2) == "0.00")
        #expect(Figure.decimal(-1.25, places: 1) == "-1.3")
        #expect(Figure.decimal(2.5, places: 0) == "3")
        #expect(Figure.duration(999) == "999 ns")
        #expect(Figure.duration(1_500) == "1.5 µs")
        #expect(Figure.duration(3_000_000_000) == "3.00 s")
    }

    @Test("Percentiles are right to three digits, and longer latencies are kept as the longest")
    func histogram() {
        var histogram = LatencyHistogram()
        #expect(histogram.percentile(99) == 0)
        #expect(histogram.maximum == 0)
        for value in 1...1_000 { histogram.record(nanoseconds: UInt64(value) * 1_000) }
        #expect(abs(Int(histogram.percentile(50)) - 500_000) <= 500)
        #expect(abs(Int(histogram.percentile(99)) - 990_000) <= 1_000)
        #expect(histogram.count(from: 900_001) <= 101)
        var other = LatencyHistogram()
        other.record(nanoseconds: .max)
        histogram.add(other)
        #expect(histogram.count == 1_001)
        #expect(histogram.maximum >= 3_600_000_000_000)
    }
}
