import ArgumentParser
import Glibc

/// `quotastack-torture`, which `ops/torture` runs once private servers are started.
@main
struct TortureCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quotastack-torture",
        abstract: "Inject faults and check that no command is lost, doubled or mixed up; ./ops/torture runs it.",
        subcommands: [
            StormCommand.self, FailpointsCommand.self, RollingCommand.self, PairsCommand.self, NeighboursCommand.self,
            FuzzCommand.self, LimitsCommand.self, CarryCommand.self, HighAvailabilityCommand.self,
        ],
        defaultSubcommand: StormCommand.self)
}

struct StormCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "storm",
        abstract: "Kill, stop and freeze processes under load, then compare the books with an independent model."
    )

    @Option(help: "Repeat the faults and requests of an earlier run.") var seed: UInt64?
    @Option(help: "Storm at least until this many mutations.") var mutations = 200_000
    @Option(help: "Storm at least until this many SIGKILLs.") var kills = 300
    @Option(help: "End the storm after this many seconds in any case.") var seconds: Int?
    @Option(help: "Number of concurrent clients.") var connections = 32
    @Option(help: "Maximum number of mutations per second.") var rate = 400
    @Option(help: "Average time from one fault to the next, in milliseconds.") var pause = 1_100
    @Option(help: "A known bug that all processes have; the storm must find it.") var bug: String?
    @Option(help: "A failpoint with its action and trigger, such as worker.after_load:kill:p=0.02.") var fail: String?

    func run() async throws {
        var plan = Storm.Plan(
            seed: seed ?? UInt64.random(in: 0...UInt64.max), mutations: mutations, kills: kills, seconds: seconds,
            connections: connections, rate: rate, meanPause: pause)
        plan.knownBug = bug
        plan.failpointOrder = fail
        try await plan.run()
    }
}

struct FailpointsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "failpoints",
        abstract: "Let processes end themselves at every given failpoint under load, then compare the books.")

    @Option(help: "Number of hits that each failpoint needs.") var hits = 20
    @Option(help: "Number of concurrent clients.") var connections = 32
    @Option(help: "Maximum number of mutations per second.") var rate = 200
    @Argument(help: "The failpoints, as `quotastack failpoints` lists them.") var failpoints: [String]

    func run() async throws {
        var plan = Storm.Plan(
            seed: UInt64.random(in: 0...UInt64.max), mutations: 0, kills: 0, seconds: nil, connections: connections,
            rate: rate, meanPause: 0)
        plan.failpoints = failpoints
        plan.hits = hits
        try await plan.run()
    }
}

struct RollingCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rolling",
        abstract: "Update an installation process by process under load, and compare everything.")

    @Option(help: "Seconds between two steps of the update.") var pause = 5
    @Option(help: "Clients at once.") var connections = 32
    @Option(help: "Mutations per second at most.") var rate = 400

    func run() async throws {
        var plan = Storm.Plan(
            seed: UInt64.random(in: 0...UInt64.max), mutations: 0, kills: 0, seconds: pause, connections: connections,
            rate: rate, meanPause: 0)
        plan.isRollingUpdate = true
        try await plan.run()
    }
}

struct PairsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pairs",
        abstract: "Write on one node and check on another, with the write's token and without.")

    @Option(help: "Number of writes, each followed by a check.") var pairs = 1_000_000
    @Option(help: "End after this many seconds in any case.") var seconds: Int?
    @Option(help: "Number of concurrent clients.") var connections = 64

    func run() async throws {
        let installation = try await Installation.onPrivateServers()
        let begin = ContinuousClock.now
        let deadline = begin + .seconds(seconds ?? 86_400)
        let result = try await Pairs(
            installation: installation, pairs: pairs, connections: connections, deadline: deadline
        ).run()
        await installation.fleet.stop()
        await installation.http.shutDown()
        writeOut(result.table(took: ContinuousClock.now - begin) + "\n")
        for sentence in result.stale.prefix(20) { writeOut("! \(sentence)\n") }
        if !result.stale.isEmpty { throw ExitCode(1) }
    }
}

struct NeighboursCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "neighbours",
        abstract: "Abuse an installation as a tenant or without a key, and measure another tenant meanwhile.")

    @Option(help: "Seconds of each abuse.") var seconds = 20
    @Option(help: "An abuse to run in place of all; repeatable.") var only: [String] = []
    @Option(help: "Multiply the bounds of time, for debug builds and busy machines.") var slack = 1
    @Option(help: "A known bug that all processes have; an abuse must show it.") var bug: String?
    @Flag(help: "Print the abuses and their reasons, and run nothing.") var list = false

    func validate() throws {
        let unknown = only.filter { name in !Abuse.all.contains { $0.name == name } }
        guard unknown.isEmpty else { throw ValidationError("no abuse is named \(unknown[0]); see --list") }
        guard seconds > 0, slack > 0 else { throw ValidationError("--seconds and --slack must be above 0") }
    }

    func run() async throws {
        guard !list else {
            for abuse in Abuse.all { writeOut("\(abuse.name): \(abuse.reason)\n") }
            return
        }
        let installation = try await Installation.onPrivateServers(Installation.smallest)
        try await installation.give(bug)
        let abuses = Abuse.all.filter { only.isEmpty || only.contains($0.name) }
        let report = try await Neighbours(
            installation: installation, abuses: abuses, seconds: seconds, bounds: NeighboursReport.Bounds(slack: slack)
        ).run()
        await installation.http.shutDown()
        writeOut(report.table + "\n")
        for sentence in report.broken { writeOut("! \(sentence)\n") }
        if !report.broken.isEmpty { throw ExitCode(1) }
    }
}

struct FuzzCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fuzz",
        abstract: "Send mutated requests to an API node, and check the answers, the node and the books.")

    @Option(help: "Repeat the requests of an earlier run with as many threads.") var seed: UInt64?
    @Option(help: "Number of requests.") var requests = 1_000_000
    @Option(help: "Number of threads, each with one connection.") var threads = 8

    func validate() throws {
        guard requests > 0, (1...200).contains(threads) else {
            throw ValidationError("--requests must be above 0, and --threads 1 to 200")
        }
    }

    func run() async throws {
        let installation = try await Installation.onPrivateServers(Installation.smallest)
        let report = try await Fuzzing(
            installation: installation, seed: seed ?? UInt64.random(in: 0...UInt64.max), requests: requests,
            threads: threads
        ).run()
        await installation.http.shutDown()
        writeOut(report.table + "\n")
        for sentence in report.violations.sentences.prefix(20) { writeOut("! \(sentence)\n") }
        if report.violations.count > 0 { throw ExitCode(1) }
    }
}

struct LimitsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "limits",
        abstract: "Race many callers on two nodes against the limits of one end user, while workers are killed.")

    @Option(help: "Seconds of races.") var seconds = 60
    @Option(help: "Number of concurrent callers.") var callers = 64

    func run() async throws {
        try await race { installation in
            let result = try await LimitRace(installation: installation, callers: callers, seconds: seconds).run()
            return (result.violations, { result.table(took: $0) })
        }
    }
}

struct CarryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "carry",
        abstract: """
            Charge many small events by prices that carry fractions, while workers are killed and all processes are \
            restarted, to exact sums.
            """)

    @Option(help: "Number of events.") var events = 1_000_000
    @Option(help: "Repeat the events of an earlier run.") var seed: UInt64?

    func run() async throws {
        let seed = seed ?? UInt64.random(in: 0...UInt64.max)
        try await race { installation in
            let result = try await CarriedSums(installation: installation, seed: seed, events: events).run()
            return (result.violations, { result.table(seed: seed, took: $0) })
        }
    }
}

/// Runs callers against an installation, verifies its books, and prints the table and the violations.
///
/// - Parameter body: Returns the violations that it has seen, and the table for the time that everything took.
/// - Throws: `ExitCode` 1 when there was a violation.
private func race(
    _ body: (Installation) async throws -> (violations: [String], table: (Duration) -> String)
) async throws {
    let installation = try await Installation.onPrivateServers()
    let begin = ContinuousClock.now
    let (seen, table) = try await body(installation)
    let violations = Violations()
    try await installation.verify(violations)
    await installation.fleet.stop()
    await installation.http.shutDown()
    writeOut(table(ContinuousClock.now - begin) + "\n")
    let all = seen + violations.sentences
    for sentence in all.prefix(20) { writeOut("! \(sentence)\n") }
    if !all.isEmpty { throw ExitCode(1) }
}

struct HighAvailabilityCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ha",
        abstract: "Break a highly available installation, one fault after another, and compare everything.")

    @Option(help: "Repeat the requests of an earlier run.") var seed: UInt64?
    @Option(help: "A fault to inject in place of all; repeatable.") var only: [String] = []
    @Option(help: "Number of concurrent clients beside the probes.") var connections = 24
    @Option(help: "Maximum number of mutations per second of these clients; the probes send 20 more.") var rate = 180
    @Option(help: "Seconds between two steps of an update, if an earlier release is given.") var pause = 5
    @Option(help: "Number of RabbitMQ nodes that keep each queue.") var queueMembers = 3
    @Flag(help: "Print the faults, and run nothing.") var list = false

    func validate() throws {
        let unknown = only.filter { name in !ClusterFault.all.contains { $0.name == name } }
        guard unknown.isEmpty else { throw ValidationError("no fault is named \(unknown[0]); see --list") }
    }

    func run() async throws {
        guard !list else {
            for fault in ClusterFault.all { writeOut("\(fault.name)\n") }
            return
        }
        let cluster = ClusterDriver(
            faults: ClusterFault.all.filter { only.isEmpty || only.contains($0.name) },
            cluster: try Installation.cluster())
        var plan = Storm.Plan(
            seed: seed ?? UInt64.random(in: 0...UInt64.max), mutations: 0, kills: 0, seconds: pause,
            connections: connections, rate: rate, meanPause: 0)
        plan.cluster = cluster
        plan.isRollingUpdate = environmentVariable("QUOTASTACK_TORTURE_PROGRAMS_BEFORE") != nil
        defer { writeOut("\(ClusterDriver.Row.heading)\n\(cluster.rows.map(\.text).joined(separator: "\n"))\n") }
        try await plan.run(Installation.pairs, ["QUOTASTACK_QUEUE_MEMBERS": "\(queueMembers)"])
    }
}

extension Storm.Plan {
    /// Runs the plan on the servers that `ops/torture` has started, and prints its table.
    ///
    /// - Throws: `ExitCode` 1 when there was a violation.
    fileprivate func run(
        _ size: Installation.Size = Installation.redundant, _ settings: [String: String] = [:]
    ) async throws {
        let installation = try await Installation.onPrivateServers(size, settings)
        let report = try await Storm(plan: self, installation: installation).run()
        await installation.http.shutDown()
        writeOut(report.table(revision: environmentVariable("QUOTASTACK_TORTURE_REVISION") ?? "unknown") + "\n")
        if report.violations.count > 0 { throw ExitCode(1) }
    }
}

extension Installation {
    /// An installation on the servers that `ops/torture` has started.
    fileprivate static func onPrivateServers(
        _ size: Size = redundant, _ settings: [String: String] = [:]
    ) async throws -> Installation {
        try await Installation(
            size: size, home: try needed("QUOTASTACK_TORTURE_HOME"), script: try needed("QUOTASTACK_TORTURE_SERVERS"),
            programs: try needed("QUOTASTACK_TORTURE_PROGRAMS"),
            programsBefore: environmentVariable("QUOTASTACK_TORTURE_PROGRAMS_BEFORE"),
            databaseURL: try needed("DATABASE_URL"),
            booksURL: try needed("QUOTASTACK_TORTURE_BOOKS_URL"), amqpURL: try needed("AMQP_URL"), settings: settings)
    }

    /// The servers of a highly available installation, which `ops/ha/up` has started.
    fileprivate static func cluster() throws -> Cluster {
        Cluster(home: try needed("QUOTASTACK_TORTURE_HOME"), script: try needed("QUOTASTACK_TORTURE_SERVERS"))
    }

    private static func needed(_ name: String) throws -> String {
        guard let value = environmentVariable(name) else {
            throw ValidationError("\(name) is not set: run ./ops/torture.")
        }
        return value
    }
}

private func writeOut(_ text: String) {
    var text = text
    text.withUTF8 { bytes in _ = write(STDOUT_FILENO, bytes.baseAddress, bytes.count) }
}
