package import Credits
package import Ledger

/// A decided command, as it is remembered for ever: what a repetition of the command is answered from.
package struct DecidedCommand: Hashable, Sendable {
    package enum Content: Hashable, Sendable {
        /// A successful use: its answer is made again from its entry.
        case use(AccountName, Entry)
        /// The JSON of the first answer.
        case body([UInt8])
    }

    package let key: CommandKey
    /// The digest of the request; nil when the client gave no idempotency key.
    package let fingerprint: Bits128?
    /// The HTTP status of the answer.
    package let status: UInt16
    package let position: Position
    package let content: Content
    /// Nil for an action that this release does not know, and for one that was decided before actions were recorded.
    package let action: AuditAction?
    package let actor: Actor
    /// The request that was the first to ask.
    package let requestID: String
    package let decidedAt: Instant

    package init(
        key: CommandKey, fingerprint: Bits128?, status: UInt16, position: Position, content: Content,
        action: AuditAction?, actor: Actor, requestID: String, decidedAt: Instant
    ) {
        self.key = key
        self.fingerprint = fingerprint
        self.status = status
        self.position = position
        self.content = content
        self.action = action
        self.actor = actor
        self.requestID = requestID
        self.decidedAt = decidedAt
    }

    /// What the decision means for a request that comes with the same command id.
    package func verdict(for fingerprint: Bits128?) -> IdempotencyVerdict {
        if self.fingerprint == fingerprint { return .replay }
        // A malformed request is not remembered (RULES.md, section 11): its key is free for the corrected one.
        return status == 400 ? .free : .conflict
    }
}

/// The meaning of an earlier decision for a request with the same command id: the rule "a command is decided once".
package enum IdempotencyVerdict: Hashable, Sendable {
    /// The same request: it gets the first answer again.
    case replay
    /// Another request under a key that was used: 422, and nothing is done.
    case conflict
    /// The key may be used again: the request is decided, and its decision takes the place of the earlier one.
    case free
}
