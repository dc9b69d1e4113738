import ArgumentParser
import Nodes

/// `quotastack-scheduler`.
@main
struct SchedulerNodeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quotastack-scheduler",
        abstract:
            "Write down in time what time does to accounts, until SIGTERM or SIGINT; one works, the others stand by.",
        discussion: "Configured by the environment or the file that QUOTASTACK_CONFIG names: see `quotastack config`.")

    func run() async throws {
        try await Node.run([.scheduler], defaultPort: 8083)
    }
}
