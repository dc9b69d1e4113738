import NIOCore
import NIOPosix

/// Load at full speed: every connection sends its next request when the previous one is answered.
///
/// It measures throughput. Its latencies are those of a server that never receives more than it can handle.
package struct ClosedLoop: Sendable {
    /// The end of a phase. Requests in flight are awaited and counted.
    package enum Limit: Sendable {
        case seconds(Double)
        /// A number of requests over all connections: connection `c` of `n` sends the sequence numbers `s` with `s × n
        /// + c` below it.
        case requests(Int)
    }

    package let target: LoadTarget
    package let connections: Int
    /// The load that is sent before measuring, over the same connections; nil for none. Sequence numbers continue after
    /// it.
    package let warmUp: Limit?
    package let limit: Limit
    /// The seconds after which an unanswered request on any connection fails the run.
    package let patience: Double
    package let threads: Int

    package init(
        target: LoadTarget, connections: Int = 64, warmUp: Limit? = nil, limit: Limit, patience: Double = 30,
        threads: Int = 1
    ) {
        precondition(connections > 0 && threads > 0, "a run needs at least one connection and one thread")
        self.target = target
        self.connections = connections
        self.warmUp = warmUp
        self.limit = limit
        self.patience = patience
        self.threads = threads
    }

    /// Runs the load.
    ///
    /// - Throws: When a connection cannot be made, is closed by the server, is left without an answer, or carries
    ///   something other than HTTP/1.1 with `Content-Length`. A status other than 2xx is counted, not thrown.
    package func run(_ script: LoadScript) async throws -> LoadResult {
        try await LoadConnections<ClosedLoopDriver>.with(
            target: target, connections: connections, threads: threads,
            makeDriver: {
                ClosedLoopDriver(
                    script: script, connectionCount: connections, patience: UInt64(patience * 1e9))
            },
            body: { loops in
                if let warmUp { _ = try await phase(warmUp, on: loops) }
                return try await phase(limit, on: loops)
            })
    }

    private func phase(_ limit: Limit, on loops: [LoadConnections<ClosedLoopDriver>]) async throws -> LoadResult {
        let start = NIODeadline.now().uptimeNanoseconds
        let results = loops.map { loop in
            loop.run { driver, eventLoop, promise in driver.start(limit, at: start, on: eventLoop, promise) }
        }
        return try await LoadConnections<ClosedLoopDriver>.sum(results)
    }
}

/// The connections of one event loop in a closed loop.
final class ClosedLoopDriver: ConnectedLoadDriver {
    var connections: [LoadConnection] = []

    private let script: LoadScript
    private let connectionCount: Int
    /// In nanoseconds.
    private let patience: UInt64
    private var recorder: LoadRecorder
    private var promise: EventLoopPromise<LoadResult>?
    private var startedAt: UInt64 = 0
    /// For a limit by time: no request is sent from this instant on.
    private var deadline: UInt64 = .max
    /// For a limit by number: the sequence number at which each connection stops, by connection.
    private var sequenceLimits: [Int] = []
    private var busyConnections = 0
    private var failure: (any Error)?

    init(script: LoadScript, connectionCount: Int, patience: UInt64) {
        self.script = script
        self.connectionCount = connectionCount
        self.patience = patience
        self.recorder = LoadRecorder(script)
    }

    func start(
        _ limit: ClosedLoop.Limit, at now: UInt64, on eventLoop: any EventLoop,
        _ promise: EventLoopPromise<LoadResult>
    ) {
        if let failure {
            promise.fail(failure)
            return
        }
        self.promise = promise
        startedAt = now
        sequenceLimits = [Int](repeating: .max, count: connectionCount)
        deadline = .max
        switch limit {
        case .seconds(let seconds):
            deadline = now + UInt64(seconds * 1e9)
        case .requests(let requests):
            for connection in connections {
                let share = requests / connectionCount + (connection.index < requests % connectionCount ? 1 : 0)
                sequenceLimits[connection.index] = connection.sequence + share
            }
        }
        // Counts all connections before the first request: a connection without requests leaves the count at once.
        busyConnections = connections.count
        for connection in connections { sendNext(on: connection, at: now) }
        watch(on: eventLoop)
    }

    /// Fails the phase when a connection has waited too long; otherwise checks again while the phase lasts.
    private func watch(on eventLoop: any EventLoop) {
        guard promise != nil else { return }
        let now = NIODeadline.now().uptimeNanoseconds
        for connection in connections where connection.isAwaitingAnswer && now - connection.startedAt > patience {
            self.connection(
                connection, failed: ResponseError(description: "the server did not answer a request in time"))
            return
        }
        eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(Int64(patience / 4))) { [weak self] in
            self?.watch(on: eventLoop)
        }
    }

    func connection(_ connection: LoadConnection, answeredAt now: UInt64) {
        recorder.inspect(connection)
        recorder.record(connection, answeredAt: now)
        sendNext(on: connection, at: now)
    }

    func connection(_ connection: LoadConnection, failed error: any Error) {
        failure = failure ?? error
        promise?.fail(error)
        promise = nil
    }

    private func sendNext(on connection: LoadConnection, at now: UInt64) {
        if now < deadline, connection.sequence < sequenceLimits[connection.index] {
            connection.send(script.request(connection.index, connection.sequence), countedFrom: now)
            return
        }
        busyConnections -= 1
        guard busyConnections == 0, let promise else { return }
        self.promise = nil
        var result = recorder.takeResult()
        result.seconds = Double(now - startedAt) / 1e9
        promise.succeed(result)
    }
}
