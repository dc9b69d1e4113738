import NIOCore
import NIOPosix

/// A driver that receives its connections once they are made.
protocol ConnectedLoadDriver: LoadDriver, SendableMetatype {
    var connections: [LoadConnection] { get set }
}

/// The connections of one event loop, and their driver.
struct LoadConnections<Driver: ConnectedLoadDriver>: Sendable {
    private let eventLoop: any EventLoop
    private let driver: NIOLoopBound<Driver>

    /// Starts the event loops, connects, runs the body, and stops everything again, also after an error.
    ///
    /// Connection `c` belongs to event loop `c % threads`.
    static func with(
        target: LoadTarget, connections: Int, threads: Int, makeDriver: @escaping @Sendable () -> Driver,
        body: ([LoadConnections]) async throws -> LoadResult
    ) async throws -> LoadResult {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: min(threads, connections))
        do {
            var loops: [LoadConnections] = []
            for eventLoop in group.makeIterator() {
                let driver = try await eventLoop.submit { NIOLoopBound(makeDriver(), eventLoop: eventLoop) }.get()
                loops.append(LoadConnections(eventLoop: eventLoop, driver: driver))
            }
            for index in 0..<connections { try await loops[index % loops.count].connect(index, to: target) }
            let result = try await body(loops)
            for loop in loops { try await loop.close() }
            try await group.shutdownGracefully()
            return result
        } catch {
            try await group.shutdownGracefully()
            throw error
        }
    }

    /// Runs the closure on the event loop. The driver completes the promise.
    func run(
        _ start: @escaping @Sendable (Driver, any EventLoop, EventLoopPromise<LoadResult>) -> Void
    ) -> EventLoopFuture<LoadResult> {
        let promise = eventLoop.makePromise(of: LoadResult.self)
        eventLoop.execute { start(driver.value, eventLoop, promise) }
        return promise.futureResult
    }

    /// Returns the sum of the results of all event loops.
    static func sum(_ results: [EventLoopFuture<LoadResult>]) async throws -> LoadResult {
        var sum = LoadResult()
        for result in results { sum.add(try await result.get()) }
        return sum
    }

    private func connect(_ index: Int, to target: LoadTarget) async throws {
        _ = try await ClientBootstrap(group: eventLoop)
            .channelOption(.socketOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let connection = LoadConnection(index: index, driver: driver.value)
                    connection.scanner.capturesNext = true
                    connection.scanner.capturesFailures = true
                    try channel.pipeline.syncOperations.addHandler(connection)
                    driver.value.connections.append(connection)
                }
            }
            .connect(host: target.host, port: target.port)
            .get()
    }

    private func close() async throws {
        try await eventLoop.submit {
            for connection in driver.value.connections { connection.close() }
            driver.value.connections = []
        }.get()
    }
}
