import ArgumentParser
import Doctor
import Logging
import Migrations
import Runtime
import Storage

/// Says what is wrong with an installation, and what to do.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Look at the configuration, PostgreSQL, RabbitMQ, a node and parked commands; exits 1 with a problem."
    )

    @Option(help: "A node to ask whether it is ready; default: $QUOTASTACK_URL.") var url: String?
    @Flag(help: "Print JSON.") var json = false

    func run() async throws {
        let diagnosis = await diagnosis()
        print(json ? String(decoding: diagnosis.json, as: UTF8.self) : diagnosis.text)
        if !diagnosis.isHealthy { throw ExitCode(1) }
    }

    private func diagnosis() async -> Diagnosis {
        do {
            let settings = try await Settings.load()
            try LogSetup.start(level: "critical")
            let logger = Logger(label: "quotastack")
            return await Examination(
                settings: settings, migrator: Migrator(migrations: SchemaMigrations.all, logger: logger),
                nodeURL: url ?? environment("QUOTASTACK_URL"), logger: logger
            ).run()
        } catch {
            return Diagnosis([.problem(.configuration, "\(error)", remedy: "See quotastack config.")])
        }
    }
}
