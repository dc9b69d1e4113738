import ArgumentParser
import JSON
import LoadGenerator
import Logging
import Runtime

/// Measures uses while many watchers follow the live ledger on the same node.
struct BenchStreamsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench-streams",
        abstract: "Measure usage while many watchers follow the live ledger; ./ops/bench streams.",
        discussion: """
            The command needs an installation on this machine and its root key. One watcher reads nothing. A tenth of the \
            others is cut halfway and goes on with Last-Event-ID. At the end each must have seen every entry once.
            """)

    @Option(help: "Watchers of one environment on one node.") var watchers = 1_000
    @Option(help: "Uses per second.") var rate = 20.0
    @Option(help: "Seconds of each measurement.") var seconds = 10.0
    @Option(help: "Id of the process whose memory is shown.") var pid: Int32?

    func run() async throws {
        try LogSetup.start(level: try await Settings.load().logLevel)
        let target = try await BenchCommand.parse([]).tenant().target
        _ = try await Preparation(target: target, endUsers: 1_000).run()
        writeError("measuring \(Int(rate)) uses/s without watchers\n")
        let alone = try await usage(target)
        let streams = StreamWatchers(target: target, count: watchers)
        writeError("starting \(watchers) watchers\n")
        for number in 0..<watchers { try await streams.start(number, reads: number > 0) }
        try await Task.sleep(for: .seconds(2))
        let first = streams.state
        writeError("measuring \(Int(rate)) uses/s with them\n")
        async let used = usage(target)
        try await Task.sleep(for: .seconds(seconds / 2))
        let refusals = try await cutSome(of: streams)
        let beside = try await used
        // All requests of the run are in the ledger, those of its warm-up too.
        let expected = Int((rate * (seconds + 1)).rounded())
        let deadline = ContinuousClock.now + .seconds(30)
        func missing() -> Int {
            streams.state.enumerated().count { number, seen in
                number > 0 && seen.entries - first[number].entries < expected
            }
        }
        while missing() > 0, ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(50)) }
        let behind = missing()
        let doubled = streams.state.enumerated().count { number, seen in
            number > 0 && seen.entries - first[number].entries > expected
        }
        let memory = pid.flatMap { MachineFacts.peakMemory(ofProcess: $0) } ?? 0
        try await streams.close()
        print(
            """
            | \(Int(rate)) uses/s | p50 | p99 | worst | failed |
            |---|---|---|---|---|
            \(line("without watchers", alone))
            \(line("with \(watchers), one of them not reading", beside))

            \(expected) entries; refused and started again: \(refusals); watchers that miss one: \(behind), that saw one twice: \(doubled); \
            peak memory \(memory >> 20) MiB
            """)
        if behind + doubled > 0 { throw ExitCode(1) }
    }

    /// Cuts a tenth of the watchers and starts them again.
    ///
    /// - Returns: The number of refused starts, which were repeated: the node has as many streams as it takes, and counts one
    ///   that was cut until it writes to it.
    private func cutSome(of streams: StreamWatchers) async throws -> Int {
        let some = Array(stride(from: 1, to: watchers, by: 10))
        for number in some { await streams.cut(number) }
        for number in some { try await streams.start(number) }
        var refusals = 0
        for _ in 0..<50 {
            try await Task.sleep(for: .milliseconds(100))
            for number in some where streams.state[number].isRefused {
                refusals += 1
                await streams.cut(number)
                try await streams.start(number)
            }
        }
        return refusals
    }

    private func usage(_ target: LoadTarget) async throws -> LoadResult {
        try await OpenLoop(target: target, connections: 32, rate: rate, warmUp: 1, seconds: seconds).run(
            Scenario.usage(target, endUsers: 1_000).script)
    }

    private func line(_ name: String, _ result: LoadResult) -> String {
        let latency = result.latency.summary
        let figures = [latency.p50, latency.p99, latency.maximum].map { Figure.duration($0) }
        return "| \(name) | \(figures.joined(separator: " | ")) | \(result.failures + result.unanswered) |"
    }
}
