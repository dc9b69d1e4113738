import ArgumentParser
import Docs
import LoadGenerator
import Runtime

/// Measures the pages of the documentation at a fixed rate, and checks alone and beside them.
struct BenchDocsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench-docs",
        abstract: "Measure pages of the documentation at a fixed rate, and checks beside them; ./ops/bench docs.",
        discussion: """
            The command needs what `bench` needs. Requests are due at fixed times, and a latency counts from then. Each \
            round measures checks alone, and then checks with pages beside them; the medians of the rounds are printed.
            """)

    @Option(help: "Pages per second. All pages are asked for in turn.") var rate = 1_000.0
    @Option(help: "Checks per second.") var checkRate = 2_000.0
    @Option(help: "Seconds of each measurement, after a warm-up.") var seconds = 10.0
    @Option(help: "Measurements of checks alone, and as many with pages beside them.") var rounds = 3
    @Option(help: "End users with three blocks each.") var endUsers = 1_000

    func run() async throws {
        let settings = try await Settings.load()
        try LogSetup.start(level: settings.logLevel)
        let target = try await BenchCommand.parse([]).tenant().target
        _ = try await Preparation(target: target, endUsers: endUsers).run()
        let addresses = DocsSite.current.contents.pages.map(\.address)
        let checks = Scenario.check(target, endUsers: endUsers)
        let pages = Scenario.pages(LoadTarget(port: target.port), addresses)
        var (alone, beside, shown): ([LoadResult], [LoadResult], [LoadResult]) = ([], [], [])
        for round in 1...rounds {
            writeError("round \(round): checks alone\n")
            alone.append(try await load(checks, target, rate: checkRate))
            writeError("round \(round): checks beside pages\n")
            async let checked = load(checks, target, rate: checkRate)
            shown.append(try await load(pages, target, rate: rate))
            beside.append(try await checked)
        }
        print(
            """
            | open loop | a second | p50 | p99 | p99.9 | longest |
            |---|---|---|---|---|---|
            \(row("pages", shown))
            \(row("checks alone", alone))
            \(row("checks beside pages", beside))
            """)
    }

    private func load(_ scenario: Scenario, _ target: LoadTarget, rate: Double) async throws -> LoadResult {
        let result = try await OpenLoop(target: target, connections: 64, rate: rate, warmUp: 1, seconds: seconds)
            .run(scenario.script)
        guard result.isClean else {
            throw CallError(
                "\(scenario.name): \(result.unanswered) requests were not answered and \(result.failures) were refused; "
                    + "the first: \(result.firstFailure ?? result.complaints.first ?? "?")")
        }
        return result
    }

    /// A row of the medians of several results.
    private func row(_ name: String, _ results: [LoadResult]) -> String {
        func median(_ value: (LoadResult) -> UInt64) -> String {
            let ordered = results.map(value).sorted()
            return Figure.duration(ordered.isEmpty ? 0 : ordered[ordered.count / 2])
        }
        let perSecond = results.map { Int($0.throughput.rounded()) }.sorted()
        return
            "| \(name) | \(perSecond.isEmpty ? 0 : perSecond[perSecond.count / 2]) | \(median { $0.latency.summary.p50 }) | "
            + "\(median { $0.latency.summary.p99 }) | \(median { $0.latency.summary.p999 ?? 0 }) | "
            + "\(median { $0.latency.maximum }) |"
    }
}
