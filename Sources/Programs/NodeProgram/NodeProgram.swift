import ArgumentParser
import Nodes

/// The executable of every role. The name that it is started under says which role that is.
@main
struct NodeProgram: AsyncParsableCommand {
    private static let role = NodeRole(program: CommandLine.arguments.first ?? "")

    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: role?.executableName,
            abstract: role?.abstract ?? "Start this program by the name of a role: \(names).",
            discussion:
                "Configured by the environment or the file that QUOTASTACK_CONFIG names: see `quotastack config`.")
    }

    private static var names: String { NodeRole.allCases.map(\.executableName).joined(separator: ", ") }

    func run() async throws {
        guard let role = Self.role else { throw ValidationError("This program is started as one of \(Self.names).") }
        try await Node.run([role], defaultPort: role.defaultPort)
    }
}
