import HandleThread
import Logging

/// A connection that is re-established automatically. It is part of an owner and lives on the handle thread.
///
/// Each attempt goes to the next node of the broker, also the one after a loss: the node may be alone in a partition, or
/// about to end. The first node is chosen at random, so that many processes spread over the nodes.
final class Link {
    private let configuration: AMQPConfiguration
    private let logger: Logger
    private let announce: (AMQPConnectionState) -> Void
    private var schedule = ReconnectSchedule()
    private var nextAttempt: UInt64 = 0
    private var endpoint: Int
    private(set) var connection: Connection?

    /// - Parameter announce: Called on the handle thread with every change of the state.
    init(configuration: AMQPConfiguration, logger: Logger, announce: @escaping (AMQPConnectionState) -> Void) {
        self.configuration = configuration
        self.logger = logger
        self.announce = announce
        endpoint = Int.random(in: 0..<configuration.endpoints.count)
    }

    /// The latest instant at which the thread must take a turn: for the next attempt, or for the next heartbeat check.
    var wakeAt: UInt64 {
        connection == nil ? nextAttempt : monotonicNanoseconds() + 1_000_000_000
    }

    /// Connects if there is no connection and the pause is over.
    ///
    /// - Parameter prepare: Opens the channels. If it throws, the connection is closed and tried again later.
    func connectIfDue(_ prepare: (Connection) throws(ConnectionLoss) -> Void) {
        guard connection == nil, monotonicNanoseconds() >= nextAttempt else { return }
        do throws(ConnectionLoss) {
            let node = configuration.endpoints[endpoint]
            endpoint = (endpoint + 1) % configuration.endpoints.count
            let fresh = try Connection(configuration, at: node)
            do throws(ConnectionLoss) {
                try prepare(fresh)
            } catch {
                fresh.close()
                throw error
            }
            connection = fresh
            schedule.succeeded(now: monotonicNanoseconds())
            announce(.connected)
            logger.info("connected to the broker", metadata: ["broker": "\(configuration)"])
        } catch {
            lose(error.reason)
        }
    }

    func lose(_ reason: String) {
        connection?.destroy()
        connection = nil
        let now = monotonicNanoseconds()
        let pause = schedule.nextPause(now: now, random: UInt64.random(in: .min ... .max))
        nextAttempt = now + pause
        announce(.disconnected(reason))
        logger.warning(
            "no connection to the broker",
            metadata: ["reason": "\(reason)", "retry_ms": "\(pause / 1_000_000)", "broker": "\(configuration)"])
    }

    func note(_ text: Logger.Message) {
        logger.info(text, metadata: ["broker": "\(configuration)"])
    }

    /// Closes the connection for good and announces that to the broker.
    func close() {
        connection?.close()
        connection = nil
        announce(.disconnected("closed"))
    }
}

/// The pauses between attempts to connect: doubling from 0.1 s to 5 s, each shortened at random by up to a half, so
/// that many nodes do not return to a broker at the same instant.
struct ReconnectSchedule {
    private static let shortest: UInt64 = 100_000_000
    private static let longest: UInt64 = 5_000_000_000

    private var pause = Self.shortest
    private var connectedAt: UInt64?

    mutating func succeeded(now: UInt64) { connectedAt = now }

    /// A connection that lasted five seconds starts the schedule again. A connection that is lost at once does not.
    mutating func nextPause(now: UInt64, random: UInt64) -> UInt64 {
        if let connectedAt, now - connectedAt >= Self.longest { pause = Self.shortest }
        connectedAt = nil
        defer { pause = min(pause * 2, Self.longest) }
        return pause - random % (pause / 2 + 1)
    }
}
