import NIOCore
package import Runtime

/// The bounds of everything that HTTP clients can make a node hold: connections, time and memory.
///
/// **Descriptors.** Each connection takes one. `descriptorsForItself` are kept for the node: event loops take three
/// each, connections to PostgreSQL and RabbitMQ two each (the socket, and the eventfd of its thread), and a node of all
/// roles has fewer than sixty of them beside its pool for reads.
///
///     connections ≤ limit of descriptors − descriptorsForItself − 2 × reads − overflow
///
/// **Memory before a key is known.** A connection holds at most one head (24 KiB) and one read (64 KiB) of its client,
/// and 16 KiB of an answer that the client does not take: 104 KiB. The 2,048 connections of one address hold at most
/// 208 MiB while every one of them sends as much as it can, and an idle connection holds about 10 KiB.
///
/// **Memory after that.** The bodies that are being read or worked on, and the answers that clients have not taken, are
/// counted for the process and for each environment (`MemoryShares`). A share of bodies is two of the largest ones, and
/// a read more, so that a body beyond its limit is refused for its size. Nearly four environments must use up their
/// whole share before another one waits. The parsed values of a body are beside that: see `BodyLimit`.
package struct ConnectionLimits: Sendable, CustomStringConvertible {
    /// The largest number of open connections.
    let connections: Int
    /// The largest number of open connections from one address.
    let perAddress: Int
    /// How long a connection without a request stays open.
    let idle: TimeAmount

    /// The descriptors that the node itself may take, beside those of the pool for reads.
    static let descriptorsForItself = 256
    /// The connections beyond the limit that are held for a moment, to be told that they are too many. Health checks
    /// are answered on them.
    static let overflow = 64
    /// How long such a connection may take to send its request.
    static let overflowHead = TimeAmount.milliseconds(250)
    /// The default of `connections`, when there are descriptors enough.
    private static let defaultConnections = 8_192
    /// Fewer connections than this are of no use, so the node does not start.
    private static let fewestConnections = 64

    /// - Parameters:
    ///   - descriptors: The limit of file descriptors of this process.
    ///   - reads: The number of connections in the pool for reads.
    ///   - connections: The configured number; nil for the default.
    ///   - perAddress: The configured number; nil for a quarter, so that four addresses together cannot keep out a
    ///     fifth before the eviction of idle connections begins.
    /// - Throws: `SettingsError` when the descriptors are too few for the limits.
    package init(
        descriptors: Int, reads: Int, connections: Int?, perAddress: Int?, idle: Duration
    ) throws(SettingsError) {
        let own = Self.descriptorsForItself + 2 * reads + Self.overflow
        let room = descriptors - own
        guard room >= connections ?? Self.fewestConnections else {
            throw SettingsError(
                """
                this process may open \(descriptors) files, and \(own) of them are for itself: that is too few for \
                \(connections ?? Self.fewestConnections) connections. Raise the limit (ulimit -Hn) to at least \
                \(own + (connections ?? Self.fewestConnections))\(connections == nil ? "" : ", or lower QUOTASTACK_MAX_CONNECTIONS")
                """)
        }
        let total = connections ?? min(room, Self.defaultConnections)
        self.connections = total
        self.perAddress = min(perAddress ?? max(total / 4, 1), total)
        self.idle = TimeAmount(idle)
    }

    package var description: String {
        "at most \(connections) connections of clients, \(perAddress) of them from one address"
    }

    // MARK: - Time

    /// How long a head may take, from the opening of the connection or from its first byte.
    static let head = TimeAmount.seconds(10)
    /// How long a body may take to arrive, and a client to take an answer, beside the time for its bytes.
    static let transfer = TimeAmount.seconds(30)
    /// The bytes for which a body or an answer gets a second more: the least rate is 64 KiB a second.
    static let leastRate = 64 << 10
    /// How long a connection that this node closes may stay half open, so that its client reads the last answer.
    static let lingering = TimeAmount.seconds(5)
    /// How long a request whose body or reader is slow delays the stop of the node.
    static let stopping = TimeAmount.seconds(5)
    /// How long a request waits for its share of memory.
    static let memoryWait = Duration.seconds(5)

    /// The deadline of a transfer that began at an instant and has moved this many bytes, or will have to.
    static func transferDeadline(since start: NIODeadline, bytes: Int) -> NIODeadline {
        start + transfer + .nanoseconds(Int64(bytes) * (1_000_000_000 / Int64(leastRate)))
    }

    // MARK: - Sizes

    /// The longest request line, in bytes without its end.
    static let requestLine = 8 << 10
    /// The largest header section, in bytes with its line ends.
    static let headers = 16 << 10
    /// The largest number of header lines.
    static let headerLines = 100
    /// The largest number of bytes that one read takes from a socket.
    static let read = 64 << 10
    /// The largest answer that is not counted while its client has not taken it.
    static let smallAnswer = 16 << 10
    /// The bodies that are read or worked on, for the process and for one environment.
    static let bodies = MemoryShares.Bounds(total: 64 << 20, share: 2 * BodyLimit.batch.bytes + read)
    /// The answers that clients have not taken yet, for the process and for one environment.
    static let answers = MemoryShares.Bounds(total: 128 << 20, share: 16 << 20)
}
