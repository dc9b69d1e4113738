package import Postgres

/// What a session may do. A process takes one of the roles as it connects, whoever it logs in as; migrations grant
/// each what its statements need.
package enum DatabaseRole: String, CaseIterable, Sendable {
    /// Applies commands.
    case ledger = "quotastack_ledger"
    /// Reads one environment at a time.
    case api = "quotastack_api"
    /// Finds the accounts that are due.
    case scheduler = "quotastack_scheduler"
    /// Reads what replicas keep in memory.
    case replica = "quotastack_replica"
    /// Reads everything, for `verify` and `doctor`.
    case `operator` = "quotastack_operator"
}

extension PostgresConfiguration {
    /// The same server and login in a role, which the login must be a member of.
    package func acting(as role: DatabaseRole) -> PostgresConfiguration {
        var copy = self
        copy.role = role.rawValue
        return copy
    }
}
