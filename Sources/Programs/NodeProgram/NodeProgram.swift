import ArgumentParser
import Nodes

/// The executable of every role. The name under which it is started selects the role.
@main
struct NodeProgram: AsyncParsableCommand {
    private static let role = NodeRole(program: CommandLine.arguments.first ?? "")

    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: role?.executableName,
            abstract: role?.abstract ?? "Start this program under the name of a role: \(names).",
            discussion: """
                The configuration comes from environment variables or from the file that QUOTASTACK_CONFIG names; \
                `quotastack config` lists it.
                """)
    }

    private static var names: String { NodeRole.allCases.map(\.executableName).joined(separator: ", ") }

    func run() async throws {
        guard let role = Self.role else {
            throw ValidationError("Start this program under the name of a role: \(Self.names).")
        }
        try await Node.run([role], defaultPort: role.defaultPort)
    }
}
