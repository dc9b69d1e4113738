import Glibc
import Synchronization

/// The traffic of tenant B and of its load balancer. Every request is due at a fixed instant, and its latency counts
/// from that instant, whether or not earlier requests are answered (no coordinated omission).
struct Bystander: Sendable {
    enum Kind: String, CaseIterable, Sendable {
        case usage, check, healthz, readyz

        /// Requests per second.
        var rate: Int {
            switch self {
            case .usage: 50
            case .check: 200
            case .healthz, .readyz: 2
            }
        }

        /// Connections that stay open, as a client's pool has them. A load balancer's probe makes a new connection each
        /// time.
        var connections: Int {
            switch self {
            case .usage, .check: 24
            case .healthz, .readyz: 1
            }
        }

        var keepsConnections: Bool { connections > 1 }

        var expectedStatus: Int { self == .usage ? 201 : 200 }
    }

    /// The latencies and errors of one kind of request.
    struct Figures: Sendable {
        fileprivate(set) var latencies: [Duration] = []
        /// The number of requests without the expected answer, by the answer's status or the reason why there is none.
        fileprivate(set) var errors: [String: Int] = [:]

        /// The latency that a share of all requests does not exceed; zero when there are none.
        func percentile(_ share: Double) -> Duration {
            let sorted = latencies.sorted()
            return sorted.isEmpty ? .zero : sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
        }
    }

    /// The time for which a request waits for its answer.
    private static let patience = Duration.seconds(10)
    private static let endUsers = 200
    static let credits: Int64 = 1_000_000_000_000

    let port: Int
    let key: String

    /// Gives B's end users credits.
    func prepare() async throws {
        for number in 0..<Self.endUsers {
            let body = #"{"end_user_id": "neighbour-\#(number)", "credits": \#(Self.credits)}"#
            let request = requestBytes("POST", "/v1/credits/grant", key: key, body: Array(body.utf8))
            let response = try await onThread { () throws(Wire.Failure) in try once(request) }
            guard response.status == 201 else {
                throw TortureError(
                    "a grant to tenant B: \(response.status) \(String(decoding: response.body, as: UTF8.self))")
            }
        }
    }

    /// Sends B's traffic for some seconds, and waits for all answers.
    func watch(seconds: Int) async -> [Kind: Figures] {
        let start = ContinuousClock.now + .milliseconds(50)
        let streams = Kind.allCases.map { Stream(bystander: self, kind: $0, seconds: seconds, start: start) }
        await onThreads(
            streams.flatMap { stream in (0..<stream.kind.connections).map { _ in { @Sendable in stream.run() } } })
        return Dictionary(uniqueKeysWithValues: streams.map { ($0.kind, $0.figures) })
    }

    /// Whether 20 requests of each kind are answered as they are without neighbours.
    func isUndisturbed() async -> Bool {
        let begin = ContinuousClock.now
        return await onThread {
            for number in 0..<20 {
                for kind in Kind.allCases {
                    guard let response = try? once(request(kind, number)), response.status == kind.expectedStatus,
                        ContinuousClock.now - begin < .seconds(8)
                    else { return false }
                }
            }
            return true
        }
    }

    fileprivate func request(_ kind: Kind, _ number: Int) -> [UInt8] {
        let endUser = "neighbour-\(number % Self.endUsers)"
        switch kind {
        case .usage:
            let body = #"{"end_user_id": "\#(endUser)", "feature_key": "flat", "units": 1}"#
            return requestBytes("POST", "/v1/usage", key: key, body: Array(body.utf8))
        case .check:
            return requestBytes(
                "GET", "/v1/entitlements/check?end_user_id=\(endUser)&feature_key=flat", key: key)
        case .healthz, .readyz: return requestBytes("GET", "/\(kind.rawValue)", key: nil)
        }
    }

    private func once(_ request: [UInt8]) throws(Wire.Failure) -> Wire.Response {
        var wire: Wire?
        return try ask(&wire, request)
    }

    fileprivate func ask(_ wire: inout Wire?, _ request: [UInt8]) throws(Wire.Failure) -> Wire.Response {
        let deadline = ContinuousClock.now + Self.patience
        let isOver = { ContinuousClock.now >= deadline }
        do throws(Wire.Failure) {
            let used = if let wire { wire } else { try Wire(port: port, from: .bystander, until: isOver) }
            wire = used
            try used.send(request, until: isOver)
            let response = try used.response(until: isOver)
            if response.isLast { wire = nil }
            return response
        } catch {
            wire = nil
            throw error
        }
    }
}

/// The requests of one kind, which several threads share: each takes the next one when its last one is answered.
private final class Stream: Sendable {
    let kind: Bystander.Kind
    private let bystander: Bystander
    private let count: Int
    private let start: ContinuousClock.Instant
    private let state = Mutex((next: 0, figures: Bystander.Figures()))

    init(bystander: Bystander, kind: Bystander.Kind, seconds: Int, start: ContinuousClock.Instant) {
        self.bystander = bystander
        self.kind = kind
        self.start = start
        count = seconds * kind.rate
    }

    var figures: Bystander.Figures { state.withLock { $0.figures } }

    func run() {
        // A node that answers nothing any more does not keep the run for longer than this.
        let deadline = start + .seconds(count / kind.rate + 15)
        var wire: Wire?
        while let number = take() {
            let due = start + .microseconds(number * 1_000_000 / kind.rate)
            let early = due - ContinuousClock.now
            if early > .zero { usleep(useconds_t(early / .microseconds(1))) }
            var error: String?
            if ContinuousClock.now >= deadline {
                error = "never sent"
            } else {
                do throws(Wire.Failure) {
                    if !kind.keepsConnections { wire = nil }
                    let response = try bystander.ask(&wire, bystander.request(kind, number))
                    if response.status != kind.expectedStatus { error = "\(response.status)" }
                } catch let failure {
                    error = failure.rawValue
                }
            }
            let latency = ContinuousClock.now - due
            state.withLock { state in
                state.figures.latencies.append(latency)
                if let error { state.figures.errors[error, default: 0] += 1 }
            }
        }
    }

    private func take() -> Int? {
        state.withLock { state in
            guard state.next < count else { return nil }
            state.next += 1
            return state.next - 1
        }
    }
}
