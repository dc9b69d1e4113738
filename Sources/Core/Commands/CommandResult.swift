package import Credits

/// The result of one command: the HTTP answer, and the position from which readers see its effect.
package struct CommandResult: Hashable, Sendable {
    package enum Body: Hashable, Sendable {
        /// A JSON document; empty for an answer without a body.
        case json([UInt8])
        /// The id of a successful use, if the sender did not ask for the body.
        case id(PublicID)
    }

    /// The HTTP status.
    package let status: UInt16
    /// True if the command was decided earlier and this is its first answer again.
    package var isReplay: Bool
    package var position: Position
    package let body: Body
    /// The instant of the decision by the database's clock. Only the result of a command whose answer shows a secret has
    /// it, because a replay shows the secret for some minutes only.
    package let decidedAt: Instant?

    package init(status: UInt16, isReplay: Bool, position: Position, body: Body, decidedAt: Instant? = nil) {
        self.status = status
        self.isReplay = isReplay
        self.position = position
        self.body = body
        self.decidedAt = decidedAt
    }

    package var isSuccess: Bool { (200..<300).contains(status) }

    /// The JSON body; empty if there is none or only an id.
    package var json: [UInt8] {
        if case .json(let bytes) = body { bytes } else { [] }
    }
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
