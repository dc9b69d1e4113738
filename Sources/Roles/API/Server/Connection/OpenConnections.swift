import CoreMetrics
import Logging
import NIOCore
import Runtime
import Synchronization

/// One open connection of a client.
final class OpenConnection: Sendable {
    let address: ClientAddress
    /// The address as text, for the audit log.
    let addressText: String?
    /// Whether it is open only to be told that there are too many connections, and to answer health checks.
    let isOverflow: Bool
    /// Whether a request of it is being worked on. Such a connection is never closed for another.
    let isServing = Atomic<Bool>(false)
    fileprivate let number: UInt64
    fileprivate let channel: any Channel

    fileprivate init(_ channel: any Channel, _ address: ClientAddress, number: UInt64, isOverflow: Bool) {
        self.channel = channel
        self.address = address
        self.number = number
        self.isOverflow = isOverflow
        addressText = channel.remoteAddress?.ipAddress
    }
}

/// All open connections of a server.
///
/// `ConnectionShares` decides who may connect. A connection that may not, because the connections in its way all have
/// requests, goes to the overflow: it gets a moment to send its request, which is answered with 503 unless it is a
/// health check. The overflow has few places, and the newest connection gets the place of the oldest, so that a client
/// that opens connections without end does not keep a health check out.
final class OpenConnections: Sendable {
    fileprivate struct State {
        var shares: ConnectionShares
        var nextNumber: UInt64 = 0
        var connections: [ClientAddress: ConnectionLine<OpenConnection>] = [:]
        /// The oldest first.
        var overflow: [OpenConnection] = []
        var isClosing = false
        var emptied: [CheckedContinuation<Void, Never>] = []

        var isEmpty: Bool { shares.total == 0 && overflow.isEmpty }
    }

    private let state: Mutex<State>
    private let metrics: ConnectionMetrics
    private let log: SparseLog

    init(_ limits: ConnectionLimits, metrics: ConnectionMetrics, log: SparseLog) {
        state = Mutex(
            State(shares: ConnectionShares(places: limits.connections, perAddress: limits.perAddress)))
        self.metrics = metrics
        self.log = log
    }

    /// The number of open connections, without the overflow.
    var count: Int { state.withLock { $0.shares.total } }

    /// Adds a connection that was accepted. `remove` must follow.
    func add(_ channel: any Channel) -> OpenConnection {
        let address = ClientAddress(channel.remoteAddress)
        let (added, displaced, isClosing) = state.withLock { state in
            let (hasPlace, idle) = state.place(for: address)
            let added = OpenConnection(channel, address, number: state.nextNumber, isOverflow: !hasPlace)
            state.nextNumber += 1
            if let idle { state.remove(idle) }
            let oldest = state.insert(added)
            return (added, idle ?? oldest, state.isClosing)
        }
        if added.isOverflow {
            metrics.refused.increment()
            log.write(
                .notice, "connections are refused, because there are too many",
                ", the latest from \(added.addressText ?? "a client without an address")")
        } else if displaced != nil {
            metrics.displaced.increment()
        }
        displaced?.channel.close(mode: .all, promise: nil)
        if isClosing { channel.close(mode: .all, promise: nil) }
        return added
    }

    /// Removes a closed connection. Further calls have no effect.
    func remove(_ connection: OpenConnection) {
        let emptied = state.withLock { state in
            state.remove(connection)
            guard state.isEmpty else { return [CheckedContinuation<Void, Never>]() }
            defer { state.emptied = [] }
            return state.emptied
        }
        for continuation in emptied { continuation.resume() }
    }

    /// Closes every connection, and returns when all are closed.
    ///
    /// - Parameter afterAnswers: Whether requests under way are answered first.
    func close(afterAnswers: Bool) async {
        let open = state.withLock { state in
            state.isClosing = true
            return state.connections.values.flatMap(\.connections) + state.overflow
        }
        for connection in open {
            if afterAnswers {
                connection.channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
            } else {
                connection.channel.close(mode: .all, promise: nil)
            }
        }
        await withCheckedContinuation { continuation in
            let isEmpty = state.withLock { state in
                if !state.isEmpty { state.emptied.append(continuation) }
                return state.isEmpty
            }
            if isEmpty { continuation.resume() }
        }
    }
}

extension OpenConnections.State {
    /// Looks for a place in the shares: a free one, or that of an idle connection of an address, which must be closed then.
    fileprivate mutating func place(for address: ClientAddress) -> (isThere: Bool, idle: OpenConnection?) {
        switch shares.decision(for: address) {
        case .open: return (true, nil)
        case .openInPlaceOf(let other):
            let idle = connections[other]?.firstIdle { !$0.isServing.load(ordering: .relaxed) }
            return (idle != nil, idle)
        }
    }

    /// - Returns: The connection of the overflow that must be closed for it.
    fileprivate mutating func insert(_ connection: OpenConnection) -> OpenConnection? {
        guard connection.isOverflow else {
            shares.add(connection.address)
            connections[connection.address, default: ConnectionLine()].add(connection, number: connection.number)
            return nil
        }
        overflow.append(connection)
        return overflow.count > ConnectionLimits.overflow ? overflow.removeFirst() : nil
    }

    fileprivate mutating func remove(_ connection: OpenConnection) {
        if connection.isOverflow {
            overflow.removeAll { $0 === connection }
        } else if connections[connection.address]?.remove(connection.number) == true {
            if connections[connection.address]?.isEmpty == true { connections[connection.address] = nil }
            shares.remove(connection.address)
        }
    }
}
