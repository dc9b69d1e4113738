import ArgumentParser

/// `quotastack`: runs and administers an installation.
@main
struct QuotaStackCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quotastack",
        abstract: "Credit-native billing on PostgreSQL and RabbitMQ.",
        discussion: """
            The configuration comes from environment variables or from the file that QUOTASTACK_CONFIG names; \
            `quotastack config` lists it.
            """,
        subcommands: [
            UpCommand.self, MigrateCommand.self, TenantCommand.self, KeyCommand.self, VerifyCommand.self,
            DoctorCommand.self, IngestCommand.self, ListenCommand.self, MCPCommand.self,
            BenchCommand.self, BenchCountersCommand.self, BenchDocsCommand.self, BenchRenewalsCommand.self,
            BenchStreamsCommand.self,
            BenchWebhooksCommand.self,
            ConfigCommand.self, DocsCommand.self,
            FailpointsCommand.self,
        ])
}
