import ArgumentParser
import Nodes

/// `quotastack-ledger`.
@main
struct LedgerNodeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quotastack-ledger",
        abstract: "Apply commands until SIGTERM or SIGINT; any number of them share the shards.",
        discussion: "Configured by the environment or the file that QUOTASTACK_CONFIG names: see `quotastack config`.")

    func run() async throws {
        try await Node.run([.ledger], defaultPort: 8081)
    }
}
