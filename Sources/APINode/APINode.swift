import ArgumentParser
import Nodes

/// `quotastack-api`.
@main
struct APINodeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quotastack-api",
        abstract: "Serve the HTTP API until SIGTERM or SIGINT.",
        discussion: "Configured by the environment or the file that QUOTASTACK_CONFIG names: see `quotastack config`.")

    func run() async throws {
        try await Node.run([.api], defaultPort: 8080)
    }
}
