import Glibc

/// The work of one thread: sends exchange after exchange, and checks every answer.
struct Fuzzer {
    /// The end of the waiting for bytes.
    private enum End {
        case closed, reset, late, tooLong
    }

    /// An answer or the end of a connection that does not come within this time is a fault. A command that is slow waits
    /// for 3 s and is then answered 202.
    private static let patience = Duration.seconds(15)
    /// The time for which a connection that is left open is read after its last byte.
    private static let shortPatience = Duration.milliseconds(300)
    /// The bytes of answers after which a connection is given up, such as those of an export of everything.
    private static let mostReceived = 8 << 20

    private let port: Int
    private let origin: Wire.Origin
    private let check: AnswerCheck
    private let board: FuzzBoard
    private var maker: ExchangeMaker
    private var kept: Wire?
    private(set) var tally = FuzzTally()

    init(port: Int, origin: Wire.Origin, maker: ExchangeMaker, check: AnswerCheck, board: FuzzBoard) {
        self.port = port
        self.origin = origin
        self.maker = maker
        self.check = check
        self.board = board
    }

    /// Sends this many requests, or ends early when the node takes no connection any more.
    mutating func run(requests: Int) {
        while tally.requests < requests {
            let exchange = maker.next(most: requests - tally.requests)
            guard let wire = connection() else {
                board.blame("no connection") { "the node took none for \(Self.patience.components.seconds) s" }
                return
            }
            tally.add(exchange)
            board.count(exchange.requests.count)
            kept = perform(exchange, wire) ? wire : nil
        }
    }

    /// The connection that was kept, or a new one; nil when the node takes none.
    private mutating func connection() -> Wire? {
        if let kept { return kept }
        let deadline = ContinuousClock.now + Self.patience
        while ContinuousClock.now < deadline {
            if let wire = try? Wire(port: port, from: origin, until: { ContinuousClock.now >= deadline }) {
                tally.connections += 1
                return wire
            }
            tally.refusedConnections += 1
            usleep(10_000)
        }
        return nil
    }

    /// - Returns: Whether the connection can be used again.
    private mutating func perform(_ exchange: FuzzExchange, _ wire: Wire) -> Bool {
        send(exchange, wire)
        switch exchange.ending {
        case .kept: return readInOrder(exchange, wire)
        case .halfClosed:
            wire.finishSending()
            if exchange.isSound { return readInOrder(exchange, wire) }
            readToEnd(exchange, wire)
        case .leftOpen: readToEnd(exchange, wire)
        case .cutOff(let isReset):
            if isReset { wire.resetAtEnd() }
            tally.unanswered[.cutOff, default: 0] += exchange.requests.count
        }
        return false
    }

    private func send(_ exchange: FuzzExchange, _ wire: Wire) {
        let deadline = ContinuousClock.now + Self.patience
        var start = 0
        for size in exchange.pieces {
            do throws(Wire.Failure) {
                let piece = Array(exchange.bytes[start..<start + size])
                try wire.send(piece, until: { ContinuousClock.now >= deadline })
            } catch {
                // A node may answer before it has read everything, and close. Its answer can still be read.
                return
            }
            start += size
            if exchange.pieces.count > 1 { usleep(50) }
        }
    }

    // MARK: - Answers

    /// Reads one answer for each request.
    ///
    /// - Returns: Whether the connection can be used again.
    private mutating func readInOrder(_ exchange: FuzzExchange, _ wire: Wire) -> Bool {
        let reader = AnswerReader(sent: exchange.bytes)
        var received: [UInt8] = []
        var (taken, answered) = (0, 0)
        var isLast = false
        var end: End?
        var deadline = ContinuousClock.now + Self.patience
        while answered < exchange.requests.count, !isLast {
            let request = exchange.requests[answered]
            do throws(MalformedAnswer) {
                let found = try reader.read(
                    received, from: taken, isHead: request.isHead, hasEnded: end == .closed)
                if let found {
                    taken = found.end
                    guard !found.answer.isInterim else { continue }
                    answered += 1
                    isLast = found.answer.isLast
                    judge(found.answer, to: request.expectedID, reader, exchange, received)
                    continue
                }
            } catch {
                blame("malformed answer", error.reason, exchange, received)
                return false
            }
            if end != nil { break }
            end = receive(wire, into: &received, patience: Self.patience, &deadline)
        }
        if let leak = check.leak(in: received) { blame(leak.kind, leak.detail, exchange, received) }
        let missing = exchange.requests.count - answered
        if missing > 0 { missed(missing, isLast ? .closed : end ?? .closed) }
        if missing > 0, !isLast { blameMissing(end, isPart: taken < received.count, exchange, received) }
        if taken < received.count, missing == 0 || isLast {
            blame("bytes after the last answer", "\(received.count - taken) bytes follow it", exchange, received)
            return false
        }
        return exchange.ending == .kept && missing == 0 && !isLast
    }

    /// Blames the node for answers that it owes.
    ///
    /// - Parameter isPart: Whether a part of the next answer has come.
    private func blameMissing(_ end: End?, isPart: Bool, _ exchange: FuzzExchange, _ received: [UInt8]) {
        let detail = isPart ? "a part of an answer has come" : "nothing has come"
        switch end {
        case .closed, nil: blame("closed before an answer", detail, exchange, received)
        case .reset: blame("reset before an answer", detail, exchange, received)
        case .late: blame("no answer in time", detail, exchange, received)
        case .tooLong: break
        }
    }

    /// Reads everything until the node closes the connection, because nobody can tell how many requests it has seen.
    private mutating func readToEnd(_ exchange: FuzzExchange, _ wire: Wire) {
        let reader = AnswerReader(sent: exchange.bytes)
        let isOpen = exchange.ending == .leftOpen
        let patience = isOpen ? Self.shortPatience : Self.patience
        var received: [UInt8] = []
        var end: End?
        var deadline = ContinuousClock.now + patience
        while end == nil {
            end = receive(wire, into: &received, patience: patience, &deadline)
            if isOpen, end == nil, Self.isFinished(received, reader) { end = .closed }
        }
        if let leak = check.leak(in: received) { blame(leak.kind, leak.detail, exchange, received) }
        do throws(MalformedAnswer) {
            let answers = try reader.readAll(received, hasEnded: end == .closed, mayBeCut: end != .closed)
            if answers.dropLast().contains(where: { $0.isLast }) {
                blame("bytes after the last answer", "another answer follows it", exchange, received)
            }
            let final = answers.filter { !$0.isInterim }
            for answer in final { judge(answer, to: nil, reader, exchange, received) }
            let missing = exchange.requests.count - final.count
            if missing > 0 { missed(missing, end ?? .closed) }
        } catch {
            blame("malformed answer", error.reason, exchange, received)
        }
        if end == .late, !isOpen {
            blame("connection not closed", "the client has closed its side before", exchange, received)
        }
    }

    /// Whether the bytes are whole answers, after the last of which the node closes the connection.
    private static func isFinished(_ received: [UInt8], _ reader: AnswerReader) -> Bool {
        let answers = try? reader.readAll(received, hasEnded: false, mayBeCut: false)
        return answers?.last?.isLast == true
    }

    /// Waits for bytes.
    ///
    /// - Returns: The reason why no more bytes will come; nil when some have come, or none yet.
    private func receive(
        _ wire: Wire, into received: inout [UInt8], patience: Duration, _ deadline: inout ContinuousClock.Instant
    ) -> End? {
        switch wire.arrival(within: 50) {
        case .bytes(let bytes):
            received += bytes
            deadline = ContinuousClock.now + patience
            return received.count > Self.mostReceived ? .tooLong : nil
        case .end: return .closed
        case .reset: return .reset
        case .nothing: return ContinuousClock.now >= deadline ? .late : nil
        }
    }

    private mutating func missed(_ count: Int, _ end: End) {
        let reason: FuzzTally.Unanswered =
            switch end {
            case .closed, .reset: .closed
            case .late: .late
            case .tooLong: .tooLong
            }
        tally.unanswered[reason, default: 0] += count
    }

    // MARK: - Faults

    /// Counts and checks a final answer.
    ///
    /// - Parameter expectedID: The id of the request that it must belong to; nil when that is not certain.
    private mutating func judge(
        _ answer: RawAnswer, to expectedID: String?, _ reader: AnswerReader, _ exchange: FuzzExchange,
        _ received: [UInt8]
    ) {
        tally.answers[answer.status, default: 0] += 1
        for fault in check.faults(of: answer, reader) { blame(fault.kind, fault.detail, exchange, received) }
        // A node that cannot read a head gives the request an id of its own.
        guard let expectedID, let id = answer.values("x-request-id").first, id.hasPrefix("fuzz-"), id != expectedID
        else { return }
        blame("answer to another request", "\(id) in place of \(expectedID)", exchange, received)
    }

    private func blame(_ kind: String, _ detail: String, _ exchange: FuzzExchange, _ received: [UInt8]) {
        board.blame(kind) {
            """
            \(detail); mutations: \(exchange.mutations.joined(separator: ", ")); ending: \(exchange.ending); \
            request: \(escaped(exchange.bytes)); answer: \(escaped(received))
            """
        }
    }
}
