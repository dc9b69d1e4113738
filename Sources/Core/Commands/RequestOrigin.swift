package import Credits

/// The origin of a command: the environment that it acts on, the request that carries it, and the sender of that
/// request.
package struct RequestOrigin: Hashable, Sendable {
    /// The scope of idempotency keys; `.installation` for the root key.
    package let environmentID: EnvironmentID
    package let actor: Actor
    /// The id of the request in answers and in every log line about it.
    package let requestID: String
    /// The W3C trace context that the client sent.
    package let traceParent: String?
    /// The random number of this sending; nil for the scheduler and for a sender of an earlier release. Unlike the
    /// request's id, no client chooses it.
    package var attempt: UInt64?

    package init(
        environmentID: EnvironmentID, actor: Actor, requestID: String, traceParent: String? = nil,
        attempt: UInt64? = nil
    ) {
        self.environmentID = environmentID
        self.actor = actor
        self.requestID = requestID
        self.traceParent = traceParent
        self.attempt = attempt
    }
}

/// The sender of a request.
package struct Actor: Hashable, Sendable {
    /// Nil for the root key and for the scheduler.
    package let keyID: Bits128?
    /// The peer address of the connection, which may be a proxy's; nil without a connection.
    package let address: String?

    package init(keyID: Bits128?, address: String?) {
        self.keyID = keyID
        self.address = address
    }
}
