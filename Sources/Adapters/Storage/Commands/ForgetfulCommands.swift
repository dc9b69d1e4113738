import Failpoints
import Postgres

/// The known bug `no_idempotency_check`: decided commands are not found again. Conflicting inserts are ignored, because
/// the key of the table would otherwise refuse the second decision that the bug is meant to cause.
struct ForgetfulCommands {
    let findStatement = PostgresStatement("\(CommandStore.findStatement.sql) where false")
    let insertSuffix = "on conflict do nothing"
}

extension CommandStore {
    /// Nil unless the bug is active in this process.
    static var knownBug: ForgetfulCommands? {
        KnownBug.noIdempotencyCheck.isActive ? ForgetfulCommands() : nil
    }
}
