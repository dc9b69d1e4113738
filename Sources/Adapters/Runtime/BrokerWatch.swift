package import RabbitMQ

/// Measures how long a process has been without its broker, so that it can leave its work to a process that has one.
package struct BrokerWatch: Sendable {
    private static let patience = Duration.seconds(5)
    private var lastConnected = ContinuousClock.now

    package init() {}

    /// - Parameter state: The present state of the connection.
    /// - Throws: `BrokerUnreachable` once the connection has been missing for 5 seconds.
    package mutating func require(_ state: AMQPConnectionState) throws(BrokerUnreachable) {
        let now = ContinuousClock.now
        if state == .connected { lastConnected = now }
        guard now - lastConnected < Self.patience else { throw BrokerUnreachable() }
    }
}

/// The process has no connection to the broker.
package struct BrokerUnreachable: Error, CustomStringConvertible {
    package var description: String { "this process has no connection to the broker" }
}
