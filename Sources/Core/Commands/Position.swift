package import Credits

/// A point in the history of one account or one catalogue. A reader that has reached it sees the effect of the command that
/// it came with. Unlike a WAL position it survives a failover.
package enum Position: Hashable, Sendable {
    /// Nothing happened that a reader could miss.
    case none
    case account(AccountID, revision: Int64)
    case catalogue(EnvironmentID, version: Int64)
}
