import ArgumentParser
import Nodes

/// `quotastack-entitlements`.
@main
struct EntitlementNodeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quotastack-entitlements",
        abstract: "Answer entitlement checks from memory until SIGTERM or SIGINT; needs PostgreSQL only.",
        discussion: "Configured by the environment or the file that QUOTASTACK_CONFIG names: see `quotastack config`.")

    func run() async throws {
        try await Node.run([.entitlements], defaultPort: 8082)
    }
}
