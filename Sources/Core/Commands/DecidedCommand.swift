package import Credits
package import Ledger

/// A decided command. It is stored, and every repetition of the command is answered from it: for ever, or until the
/// window ends that refused it.
package struct DecidedCommand: Hashable, Sendable {
    package enum Content: Hashable, Sendable {
        /// A successful use. Its answer is made again from its entry.
        case use(AccountName, Entry)
        /// The JSON body of the first answer.
        case body([UInt8])
        /// The answer was removed when its end user was erased.
        case erased
    }

    package let key: CommandKey
    /// The fingerprint of the request; nil if the client sent no idempotency key.
    package let fingerprint: Bits128?
    /// The HTTP status of the answer.
    package let status: UInt16
    package let position: Position
    package let content: Content
    /// The account of the receiver of a transfer, whose erasure removes the answer too.
    package let receiver: AccountID?
    /// Nil for an action that this release does not know, and for commands decided before actions were recorded.
    package let action: AuditAction?
    package let actor: Actor
    /// The id of the first request that sent the command.
    package let requestID: String
    /// The number of the sending that decided the command; nil when it is not known.
    package let attempt: UInt64?
    package let decidedAt: Instant
    /// The end of the window that refused the command, by the end user's clock. The decision is remembered until then;
    /// nil means for ever.
    package let rememberedUntil: Instant?

    package init(
        key: CommandKey, fingerprint: Bits128?, status: UInt16, position: Position, content: Content,
        receiver: AccountID? = nil, action: AuditAction?, actor: Actor, requestID: String, attempt: UInt64?,
        decidedAt: Instant,
        rememberedUntil: Instant? = nil
    ) {
        self.key = key
        self.fingerprint = fingerprint
        self.status = status
        self.position = position
        self.content = content
        self.receiver = receiver
        self.action = action
        self.actor = actor
        self.requestID = requestID
        self.attempt = attempt
        self.decidedAt = decidedAt
        self.rememberedUntil = rememberedUntil
    }

    /// The same decision in the log of another environment, for a command of the installation that changes it.
    package func recorded(in environmentID: EnvironmentID) -> DecidedCommand {
        DecidedCommand(
            key: CommandKey(environmentID: environmentID, id: key.id), fingerprint: fingerprint, status: status,
            position: position, content: content, receiver: receiver, action: action, actor: actor,
            requestID: requestID,
            attempt: attempt, decidedAt: decidedAt, rememberedUntil: rememberedUntil)
    }

    /// Whether the answer to a sending with the same command id is a replay: another sending decided the command.
    package func isReplay(for origin: RequestOrigin) -> Bool {
        origin.attempt == nil || attempt != origin.attempt
    }

    /// Compares the command with a request that has the same command id.
    ///
    /// - Parameter now: The end user's instant. Nil means that it is not known: a decision that may be forgotten by then
    ///   is no answer.
    package func verdict(
        for fingerprint: Bits128?, from origin: RequestOrigin, now: Instant?
    ) -> IdempotencyVerdict {
        // A message that is delivered again is the same sending, whose client may have the answer already.
        if let rememberedUntil, attempt != origin.attempt, now.map({ $0 >= rememberedUntil }) ?? true { return .free }
        if content == .erased { return status == 400 ? .free : .erased }
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
    /// The end user was erased, and with it the answer and the fingerprint: the answer is 409 and nothing changes.
    case erased
    /// The earlier decision is forgotten: the request is decided, and its decision replaces the earlier one.
    case free
}
