import ArgumentParser

/// `quotastack`: runs an installation and looks after it.
@main
struct QuotaStackCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quotastack",
        abstract: "Credit-native billing on PostgreSQL and RabbitMQ.",
        discussion: "Configured by the environment or the file that QUOTASTACK_CONFIG names: see `quotastack config`.",
        subcommands: [
            UpCommand.self, MigrateCommand.self, TenantCommand.self, KeyCommand.self, VerifyCommand.self,
            DoctorCommand.self, IngestCommand.self,
            BenchCommand.self, ConfigCommand.self, FailpointsCommand.self,
        ])
}
