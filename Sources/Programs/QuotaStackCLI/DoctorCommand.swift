import ArgumentParser
import Doctor
import Logging
import Migrations
import Runtime
import Storage

/// Reports the problems of an installation and their remedies.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check the configuration, PostgreSQL, RabbitMQ, a node and parked commands; exits 1 after a problem."
    )

    @Option(help: "URL of a node whose readiness is checked; default: $QUOTASTACK_URL.") var url: String?
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
