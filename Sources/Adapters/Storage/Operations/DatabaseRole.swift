package import Postgres

/// The database roles of QuotaStack's processes. A process takes one of them when it connects, with any login that is a
/// member. Migrations grant each role what its statements need.
package enum DatabaseRole: String, CaseIterable, Sendable {
    /// Applies commands.
    case ledger = "quotastack_ledger"
    /// Reads one environment at a time.
    case api = "quotastack_api"
    /// Finds the accounts that are due.
    case scheduler = "quotastack_scheduler"
    /// Delivers webhooks.
    case webhooks = "quotastack_webhooks"
    /// Reads what replicas keep in memory.
    case replica = "quotastack_replica"
    /// Reads everything, for `verify` and `doctor`.
    case `operator` = "quotastack_operator"
}

extension PostgresConfiguration {
    /// The same server and login, acting as a role. The login must be a member of the role.
    package func acting(as role: DatabaseRole) -> PostgresConfiguration {
        var copy = self
        copy.role = role.rawValue
        return copy
    }
}
