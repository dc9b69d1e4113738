package import Credits

/// A point in the history of one account or one catalogue, which position tokens carry. A replica that has reached the
/// position of a command shows the command's effect. Unlike a WAL position, it survives a failover.
package enum Position: Hashable, Sendable {
    /// The command changed nothing that a reader could miss.
    case none
    case account(AccountID, revision: Int64)
    case catalogue(EnvironmentID, version: Int64)
}
