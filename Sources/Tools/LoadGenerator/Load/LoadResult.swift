import Histogram
package import NIOCore

/// A histogram of latencies in nanoseconds, with three significant digits.
package struct LatencyHistogram: Sendable {
    /// One hour. Longer latencies are counted as one hour.
    private static let longest: UInt64 = 3_600_000_000_000

    private var histogram = Histogram<UInt64>(highestTrackableValue: Self.longest)

    package init() {}

    package mutating func record(nanoseconds: UInt64) {
        histogram.record(min(nanoseconds, Self.longest))
    }

    package mutating func add(_ other: LatencyHistogram) {
        histogram.add(other.histogram)
    }

    package var count: Int { Int(histogram.totalCount) }

    /// The latency that the given percentage of all latencies does not exceed; 0 when there are none.
    package func percentile(_ percent: Double) -> UInt64 {
        count == 0 ? 0 : histogram.valueAtPercentile(percent)
    }

    package var maximum: UInt64 { count == 0 ? 0 : histogram.max }

    /// The number of latencies of at least the given length.
    package func count(from nanoseconds: UInt64) -> Int {
        Int(histogram.count(within: min(nanoseconds, Self.longest)...Self.longest))
    }

    /// The percentiles that the tables show.
    package var summary: LatencySummary {
        LatencySummary(
            p50: percentile(50), p99: percentile(99), p999: percentile(99.9), maximum: maximum)
    }
}

/// The percentiles of a latency, in nanoseconds.
package struct LatencySummary: Sendable, Equatable {
    package let p50: UInt64
    package let p99: UInt64
    /// Nil where the measuring program does not report it.
    package let p999: UInt64?
    package let maximum: UInt64

    package init(p50: UInt64, p99: UInt64, p999: UInt64?, maximum: UInt64) {
        self.p50 = p50
        self.p99 = p99
        self.p999 = p999
        self.maximum = maximum
    }
}

/// The result of a run of load.
package struct LoadResult: Sendable {
    /// The number of measured requests that were answered, without the warm-up.
    package internal(set) var requests = 0
    /// The seconds from the start of the measurement to the last answer.
    package internal(set) var seconds = 0.0
    /// The number of answers by status.
    package internal(set) var countByStatus: [Int: Int] = [:]
    package internal(set) var latency = LatencyHistogram()
    /// Open loop only: the delay that the generator itself caused while a connection was free. Latencies near it say
    /// little.
    package internal(set) var sendDelay = LatencyHistogram()
    /// Open loop only: requests that were due but had no answer when the run was aborted. `latency` includes the time
    /// that they had waited by then.
    package internal(set) var unanswered = 0
    /// The complaints of the scenario's check, at most one per connection.
    package internal(set) var complaints: [String] = []
    /// The beginning of the body of the first answer that was not 2xx.
    package internal(set) var firstFailure: String?

    package init() {}

    /// Answers per second, of any status.
    package var throughput: Double { seconds > 0 ? Double(requests) / seconds : 0 }

    /// The number of answers that were not 2xx.
    package var failures: Int {
        countByStatus.reduce(0) { (200...299).contains($1.key) ? $0 : $0 + $1.value }
    }

    /// Whether every request was answered as the scenario expects.
    package var isClean: Bool { failures == 0 && unanswered == 0 && complaints.isEmpty }
}

/// The response that a scenario's check receives.
package struct LoadResponse: Sendable {
    package let status: Int
    /// The body, cut after one megabyte.
    package let body: [UInt8]
}

/// The requests of a scenario, and the check of its answers.
package struct LoadScript: Sendable {
    /// The bytes of the request of a connection with a sequence number. Called once for each, on the event loops.
    ///
    /// In a closed loop every connection counts from 0; in an open loop the numbers run through all connections.
    package typealias Request = @Sendable (_ connection: Int, _ sequence: Int) -> ByteBuffer
    /// The complaint about the first response of a connection; nil when it is as expected.
    package typealias Check = @Sendable (LoadResponse) -> String?

    /// Receives every answer, on the event loops. The bodies of all answers are kept for it, which costs time.
    package typealias Answered = @Sendable (LoadResponse) -> Void

    package let request: Request
    package let check: Check?
    package let answered: Answered?

    package init(request: @escaping Request, check: Check? = nil, answered: Answered? = nil) {
        self.request = request
        self.check = check
        self.answered = answered
    }
}

/// Counts the answers of one event loop.
struct LoadRecorder {
    private(set) var result = LoadResult()
    /// The number of answers by status, for the statuses 0 to 599.
    private var statusCounts = [Int](repeating: 0, count: 600)
    private let script: LoadScript

    init(_ script: LoadScript) {
        self.script = script
    }

    /// Checks the first response of each connection and keeps the first failure, during the warm-up as well.
    mutating func inspect(_ connection: LoadConnection) {
        if let answered = script.answered {
            answered(LoadResponse(status: connection.scanner.status, body: connection.scanner.captured))
            connection.scanner.capturesAll = true
        }
        guard connection.scanner.capturesNext || connection.scanner.capturesFailures else { return }
        if connection.scanner.capturesNext {
            connection.scanner.capturesNext = false
            let response = LoadResponse(status: connection.scanner.status, body: connection.scanner.captured)
            if let complaint = script.check?(response) { result.complaints.append(complaint) }
        }
        if !(200...299).contains(connection.scanner.status) {
            connection.scanner.capturesFailures = false
            if result.firstFailure == nil {
                result.firstFailure = String(decoding: connection.scanner.captured.prefix(500), as: UTF8.self)
            }
        }
    }

    mutating func record(_ connection: LoadConnection, answeredAt now: UInt64) {
        result.requests += 1
        statusCounts[min(connection.scanner.status, 599)] += 1
        result.latency.record(nanoseconds: now &- connection.startedAt)
    }

    mutating func recordSendDelay(nanoseconds: UInt64) {
        result.sendDelay.record(nanoseconds: nanoseconds)
    }

    mutating func recordUnanswered(waited nanoseconds: UInt64) {
        result.unanswered += 1
        result.latency.record(nanoseconds: nanoseconds)
    }

    /// Returns the result with its counts by status and starts counting anew. Complaints and the first failure are
    /// kept.
    mutating func takeResult() -> LoadResult {
        var taken = result
        for (status, count) in statusCounts.enumerated() where count > 0 { taken.countByStatus[status] = count }
        result = LoadResult()
        result.complaints = taken.complaints
        result.firstFailure = taken.firstFailure
        statusCounts = [Int](repeating: 0, count: 600)
        return taken
    }
}

extension LoadResult {
    /// Adds the result of another event loop for the same time.
    mutating func add(_ other: LoadResult) {
        requests += other.requests
        seconds = max(seconds, other.seconds)
        countByStatus.merge(other.countByStatus, uniquingKeysWith: +)
        latency.add(other.latency)
        sendDelay.add(other.sendDelay)
        unanswered += other.unanswered
        complaints += other.complaints
        firstFailure = firstFailure ?? other.firstFailure
    }
}
