import ArgumentParser
import Nodes

/// Runs the API, the ledger worker, the scheduler and the webhook worker in one process.
struct UpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up",
        abstract:
            "Run the API, the ledger worker, the scheduler and the webhook worker in this process until SIGTERM or SIGINT."
    )

    func run() async throws {
        try await Node.run([.api, .ledger, .scheduler, .webhooks], defaultPort: 8080)
    }
}
