import Glibc
import JSON
import Synchronization

/// The answers that an abuser received, and the end of its abuse.
final class AbuseTally: Sendable {
    private let counts = Mutex<[String: Int]>([:])
    private let hasEnded = Atomic(false)

    var isOver: Bool { hasEnded.load(ordering: .relaxed) }
    /// The number of answers by status or failure.
    var answers: [String: Int] { counts.withLock { $0 } }

    func end() { hasEnded.store(true, ordering: .relaxed) }
    func count(_ answer: String) { counts.withLock { $0[answer, default: 0] += 1 } }
}

/// Tenant A, made for one abuse, or a caller without a key.
struct Abuser: Sendable {
    /// The work of one thread, which ends soon after the tally is over.
    typealias Work = @Sendable (AbuseTally) -> Void

    /// A request of a flood in its place.
    struct Turn {
        /// The number of the connection, and of the request on it.
        let member: Int
        let number: Int
        /// The body of the previous response on this connection.
        let previous: [UInt8]
    }

    /// The number of open blocks that a heavy account gets.
    static let blocks = 5_000

    let port: Int
    let key: String
    let testKey: String

    /// The bytes of a call with A's key.
    func call(_ method: String, _ path: String, _ body: String? = nil, key: String? = nil, headers: [String] = [])
        -> [UInt8]
    {
        requestBytes(method, path, key: key ?? self.key, body: body.map { Array($0.utf8) }, headers: headers)
    }

    // MARK: - Preparation

    /// Sends one request and returns its response.
    ///
    /// - Throws: When there is no answer within a minute, or the status is 500 or more.
    @discardableResult
    func send(_ request: [UInt8]) async throws -> Wire.Response {
        let response = try await onThread {
            let deadline = ContinuousClock.now + .seconds(60)
            let isOver = { ContinuousClock.now >= deadline }
            let wire = try Wire(port: port, from: .abuser, until: isOver)
            try wire.send(request, until: isOver)
            return try wire.response(until: isOver)
        }
        guard response.status < 500 else {
            throw TortureError("a preparation was answered \(String(decoding: response.body, as: UTF8.self))")
        }
        return response
    }

    /// Sends the requests 0 to `count - 1` over several connections. A node may refuse them: the abuse then runs with
    /// less.
    func sendAll(_ count: Int, connections: Int = 48, _ request: @escaping @Sendable (Int) -> [UInt8]) async {
        let tally = AbuseTally()
        let numbers = Numbers(count: count)
        let works = flood(connections) { _ in numbers.take().map(request) }
        await onThreads(works.map { work in { @Sendable in work(tally) } })
        let refused = tally.answers.filter { $0.key > "299" }
        if !refused.isEmpty { progress("refused preparations: \(refused)") }
    }

    /// Creates the features `calls` and the given number of others, and a price of 1 millicredit for `calls`.
    ///
    /// - Returns: The keys of all features; `calls` is the last.
    @discardableResult
    func sell(features: Int = 0, key: String? = nil) async throws -> [String] {
        // A key of 64 bytes, as long as one can be.
        let keys = (0..<features).map { number in
            let digits = String(number)
            return String(repeating: "k", count: 64 - digits.count) + digits
        }
        // An environment may have few changes of its catalogue under way.
        await sendAll(features, connections: 8) { [keys] in feature(keys[$0], key: key) }
        try await send(feature("calls", key: key))
        try await send(
            call("POST", "/v1/metering-rules", #"{"feature_key":"calls","model":"per_unit","unit_cost":1}"#, key: key))
        return keys + ["calls"]
    }

    func feature(_ name: String, key: String? = nil) -> [UInt8] {
        call("POST", "/v1/features", #"{"key":"\#(name)","name":"\#(name)","type":"metered"}"#, key: key)
    }

    /// Gives an end user one block.
    func grant(_ endUser: String, credits: Int = 1_000) -> [UInt8] {
        call("POST", "/v1/credits/grant", #"{"end_user_id":"\#(endUser)","credits":\#(credits)}"#)
    }

    /// A list of equal JSON values in a member.
    static func list(_ member: String, _ count: Int, of value: String) -> String {
        #"{"\#(member)":["# + Array(repeating: value, count: count).joined(separator: ",") + "]}"
    }

    // MARK: - Abuse

    /// Requests over several connections, each sent when the previous one is answered. A closed connection is replaced.
    ///
    /// - Parameters:
    ///   - responses: The number of responses to a request, which may be several pipelined ones.
    ///   - halfCloses: Whether the connection's sending side is closed after each request.
    ///   - request: The bytes of the next request; nil ends the connection's flood.
    func flood(
        _ members: Int, responses: Int = 1, halfCloses: Bool = false,
        _ request: @escaping @Sendable (Turn) -> [UInt8]?
    ) -> [Work] {
        (0..<members).map { member in
            { tally in
                giveWay()
                var wire: Wire?
                var previous: [UInt8] = []
                var number = 0
                while !tally.isOver,
                    let bytes = request(Turn(member: member, number: number, previous: previous))
                {
                    number += 1
                    do throws(Wire.Failure) {
                        let used =
                            if let wire { wire } else {
                                try Wire(port: port, from: .abuser, until: { tally.isOver })
                            }
                        wire = used
                        // A node may answer before it has read everything, and close.
                        try? used.send(bytes, until: { tally.isOver })
                        if halfCloses { used.finishSending() }
                        for _ in 0..<responses {
                            let response = try used.response(until: { tally.isOver })
                            tally.count("\(response.status)")
                            previous = response.body
                            if response.isLast { wire = nil }
                        }
                        if halfCloses { wire = nil }
                    } catch {
                        wire = nil
                        previous = []
                        if !tally.isOver { tally.count(error.rawValue) }
                        if error == .unconnected { usleep(10_000) }
                    }
                }
            }
        }
    }

    /// Connections that never read. Each sends some bytes, then one further byte per second, if there are any. A
    /// connection that the node closes is replaced.
    func hold(_ connections: Int, first: [UInt8] = [], drip: [UInt8] = []) -> [Work] {
        let work: Work = { tally in
            giveWay()
            var held: [Held] = []
            while !tally.isOver {
                for index in held.indices.reversed() {
                    held[index].proceed(first: first, drip: drip)
                    guard held[index].wire.isClosed else { continue }
                    tally.count("closed")
                    held.remove(at: index)
                }
                // At most 200 connections are made at once, so that the connections that exist get their bytes in time.
                for _ in 0..<min(200, connections - held.count) {
                    guard
                        let wire = try? Wire(
                            port: port, from: .abuser, receiveBuffer: 4_096, until: { tally.isOver })
                    else {
                        tally.count(Wire.Failure.unconnected.rawValue)
                        break
                    }
                    tally.count("opened")
                    held.append(Held(wire: wire))
                }
                usleep(100_000)
            }
        }
        return [work]
    }
}

/// A connection that is kept, and the bytes that were sent on it.
private struct Held {
    let wire: Wire
    private var sent = 0
    private var dripped = 0
    private let begin = ContinuousClock.now

    init(wire: Wire) {
        self.wire = wire
    }

    /// Sends what is left of the first bytes, then one byte for each second since the connection was made.
    mutating func proceed(first: [UInt8], drip: [UInt8]) {
        if sent < first.count { sent += wire.sendSome(first, from: sent) }
        guard sent == first.count, !drip.isEmpty else { return }
        if dripped < (ContinuousClock.now - begin).components.seconds {
            dripped += wire.sendSome([drip[dripped % drip.count]], from: 0)
        }
    }
}

/// The numbers of a list of requests, which several threads take.
private final class Numbers: Sendable {
    private let next = Atomic(0)
    private let count: Int

    init(count: Int) {
        self.count = count
    }

    /// The next number; nil when all were taken.
    func take() -> Int? {
        let number = next.wrappingAdd(1, ordering: .relaxed).oldValue
        return number < count ? number : nil
    }
}
