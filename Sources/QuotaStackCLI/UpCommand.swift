import ArgumentParser
import Nodes

/// Every role in one process.
struct UpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up", abstract: "Run the API and the ledger worker in this process until SIGTERM or SIGINT.")

    func run() async throws {
        try await Node.run([.api, .ledger], defaultPort: 8080)
    }
}
