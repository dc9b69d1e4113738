import ArgumentParser
import Glibc

/// `quotastack-torture`: what `ops/torture` runs once private servers are there.
@main
struct TortureCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quotastack-torture",
        abstract: "Prove by faults that nothing is lost, doubled or mixed up; ./ops/torture runs it.",
        subcommands: [StormCommand.self], defaultSubcommand: StormCommand.self)
}

struct StormCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "storm",
        abstract: "Kill, stop and freeze everything under load, heal, and compare everything with an independent model."
    )

    @Option(help: "Repeat the faults and requests of an earlier run.") var seed: UInt64?
    @Option(help: "Mutations that there must have been.") var mutations = 200_000
    @Option(help: "SIGKILLs that there must have been.") var kills = 300
    @Option(help: "End the storm after so many seconds, whatever it has reached.") var seconds: Int?
    @Option(help: "Clients at once.") var connections = 32
    @Option(help: "Mutations per second at most.") var rate = 400
    @Option(help: "Milliseconds from one fault to the next, on average.") var pause = 1_100

    func run() async throws {
        let plan = Storm.Plan(
            seed: seed ?? UInt64.random(in: 0...UInt64.max), mutations: mutations, kills: kills, seconds: seconds,
            connections: connections, rate: rate, meanPause: pause)
        let installation = try await Installation(
            home: try needed("QUOTASTACK_TORTURE_HOME"), script: try needed("QUOTASTACK_TORTURE_SERVERS"),
            programs: try needed("QUOTASTACK_TORTURE_PROGRAMS"), databaseURL: try needed("DATABASE_URL"),
            booksURL: try needed("QUOTASTACK_TORTURE_BOOKS_URL"),
            amqpURL: try needed("AMQP_URL"))
        let report = try await Storm(plan: plan, installation: installation).run()
        await installation.http.shutDown()
        writeOut(report.table(revision: environmentVariable("QUOTASTACK_TORTURE_REVISION") ?? "unknown") + "\n")
        if report.violations.count > 0 { throw ExitCode(1) }
    }

    private func needed(_ name: String) throws -> String {
        guard let value = environmentVariable(name) else {
            throw ValidationError("\(name) is not set: run ./ops/torture.")
        }
        return value
    }

    private func writeOut(_ text: String) {
        var text = text
        text.withUTF8 { bytes in _ = write(STDOUT_FILENO, bytes.baseAddress, bytes.count) }
    }
}
