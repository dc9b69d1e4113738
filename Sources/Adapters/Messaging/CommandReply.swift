package import Credits

/// What became of one command: the HTTP answer, and the position at which its effect can be seen.
package struct CommandResult: Hashable, Sendable {
    /// The HTTP status.
    package let status: UInt16
    /// True when the command had been decided before and this is the first answer again.
    package var isReplay: Bool
    package let position: Position
    /// The answer's JSON body; for a successful use whose body was not wanted, only its id.
    package let body: [UInt8]

    package init(status: UInt16, isReplay: Bool, position: Position, body: [UInt8]) {
        self.status = status
        self.isReplay = isReplay
        self.position = position
        self.body = body
    }

    package var isSuccess: Bool { (200..<300).contains(status) }
}

/// A point in the history of one account or one catalogue; unlike a WAL position it survives a failover.
package enum Position: Hashable, Sendable {
    /// Nothing happened that a reader could miss.
    case none
    case account(AccountID, revision: Int64)
    case catalogue(EnvironmentID, version: Int64)
}

/// The results of one request, in the order of its commands.
package struct CommandReply: Hashable, Sendable {
    package let token: UInt64
    package let results: [CommandResult]

    package init(token: UInt64, results: [CommandResult]) {
        self.token = token
        self.results = results
    }
}
