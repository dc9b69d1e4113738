import NIOCore
import NIOPosix

/// Load at a fixed rate, whether or not the server keeps up.
///
/// Request `i` is due at `start + i / rate`, and its latency counts from then: when every connection is busy, the wait
/// for a free one is part of the latency. A server that stalls is therefore charged for every request that became due
/// meanwhile (no coordinated omission).
package struct OpenLoop: Sendable {
    package let target: LoadTarget
    package let connections: Int
    /// Requests per second.
    package let rate: Double
    /// The seconds at the same rate before measuring.
    package let warmUp: Double
    /// The seconds that are measured.
    package let seconds: Double
    /// The seconds after the last request was due, after which the run is aborted.
    package let patience: Double
    package let threads: Int

    package init(
        target: LoadTarget, connections: Int = 64, rate: Double, warmUp: Double = 0, seconds: Double,
        patience: Double = 10, threads: Int = 1
    ) {
        precondition(connections > 0 && threads > 0, "a run needs at least one connection and one thread")
        precondition(rate > 0, "the rate must be above zero")
        self.target = target
        self.connections = connections
        self.rate = rate
        self.warmUp = warmUp
        self.seconds = seconds
        self.patience = patience
        self.threads = threads
    }

    /// Runs the load. Sequence numbers run through all connections. Throws as `ClosedLoop.run` does.
    package func run(_ script: LoadScript) async throws -> LoadResult {
        let loopCount = min(threads, connections)
        return try await LoadConnections<OpenLoopDriver>.with(
            target: target, connections: connections, threads: threads,
            makeDriver: { OpenLoopDriver(script: script) },
            body: { loops in
                // The start is 1 ms ahead, so that every event loop has its schedule before the first request is due.
                let start = NIODeadline.now().uptimeNanoseconds + 1_000_000
                let results = loops.enumerated().map { index, loop in
                    let schedule = schedule(from: start, loop: index, of: loopCount)
                    return loop.run { driver, eventLoop, promise in driver.start(schedule, on: eventLoop, promise) }
                }
                return try await LoadConnections<OpenLoopDriver>.sum(results)
            })
    }

    private func schedule(from start: UInt64, loop: Int, of loopCount: Int) -> OpenLoopSchedule {
        OpenLoopSchedule(
            start: start, interval: 1e9 / rate, first: loop, stride: loopCount,
            count: Int(((warmUp + seconds) * rate).rounded()), measured: Int((warmUp * rate).rounded()),
            patience: UInt64(patience * 1e9))
    }
}
