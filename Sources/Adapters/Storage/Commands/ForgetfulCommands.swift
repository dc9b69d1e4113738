import Failpoints
import Postgres

/// The known bug `no_idempotency_check`: decided commands are not found again, and the table of commands, which would
/// otherwise prevent what the bug is to show, takes them twice.
struct ForgetfulCommands {
    let findStatement = PostgresStatement("\(CommandStore.findStatement.sql) where false")
    let insertSuffix = "on conflict do nothing"
}

extension CommandStore {
    /// Nil in every process that was not given the bug.
    static var knownBug: ForgetfulCommands? {
        KnownBug.noIdempotencyCheck.isActive ? ForgetfulCommands() : nil
    }
}
