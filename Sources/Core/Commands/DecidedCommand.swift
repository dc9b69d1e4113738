package import Credits
package import Ledger

/// A decided command. It is stored for ever, and every repetition of the command is answered from it.
package struct DecidedCommand: Hashable, Sendable {
    package enum Content: Hashable, Sendable {
        /// A successful use. Its answer is made again from its entry.
        case use(AccountName, Entry)
        /// The JSON body of the first answer.
        case body([UInt8])
    }

    package let key: CommandKey
    /// The fingerprint of the request; nil if the client sent no idempotency key.
    package let fingerprint: Bits128?
    /// The HTTP status of the answer.
    package let status: UInt16
    package let position: Position
    package let content: Content
    /// Nil for an action that this release does not know, and for commands decided before actions were recorded.
    package let action: AuditAction?
    package let actor: Actor
    /// The id of the first request that sent the command.
    package let requestID: String
    /// The number of the sending that decided the command; nil when it is not known.
    package let attempt: UInt64?
    package let decidedAt: Instant

    package init(
        key: CommandKey, fingerprint: Bits128?, status: UInt16, position: Position, content: Content,
        action: AuditAction?, actor: Actor, requestID: String, attempt: UInt64?, decidedAt: Instant
    ) {
        self.key = key
        self.fingerprint = fingerprint
        self.status = status
        self.position = position
        self.content = content
        self.action = action
        self.actor = actor
        self.requestID = requestID
        self.attempt = attempt
        self.decidedAt = decidedAt
    }

    /// The same decision in the log of another environment, for a command of the installation that changes it.
    package func recorded(in environmentID: EnvironmentID) -> DecidedCommand {
        DecidedCommand(
            key: CommandKey(environmentID: environmentID, id: key.id), fingerprint: fingerprint, status: status,
            position: position, content: content, action: action, actor: actor, requestID: requestID,
            attempt: attempt, decidedAt: decidedAt)
    }

    /// Whether the answer to a sending with the same command id is a replay: another sending decided the command.
    package func isReplay(for origin: RequestOrigin) -> Bool {
        origin.attempt == nil || attempt != origin.attempt
    }

    /// Compares the command with a request that has the same command id.
    package func verdict(for fingerprint: Bits128?) -> IdempotencyVerdict {
        if self.fingerprint == fingerprint { return .replay }
        // A request rejected with 400 does not use up its idempotency key: the corrected request may use the key again.
        return status == 400 ? .free : .conflict
    }
}

/// The meaning of an earlier decision for a request with the same command id. This enforces the rule "a command is
/// decided once".
package enum IdempotencyVerdict: Hashable, Sendable {
    /// The same request: the client gets the first answer again.
    case replay
    /// Another request under a used key: the answer is 422 and nothing changes.
    case conflict
    /// The key may be used again: the request is decided, and its decision replaces the earlier one.
    case free
}
