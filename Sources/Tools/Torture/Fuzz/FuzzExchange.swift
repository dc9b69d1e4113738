import SeededRandom

/// Requests that are sent one after another without waiting for answers, and the way in which they are sent.
struct FuzzExchange {
    /// The client's last step.
    enum Ending: Equatable {
        /// The client takes the answers, and sends the next exchange on the same connection.
        case kept
        /// The client closes its sending side, so that the node waits for nothing more.
        case halfClosed
        /// The client sends nothing more, and closes the connection when no more bytes come for a moment.
        case leftOpen
        /// The client closes or resets the connection without taking an answer.
        case cutOff(isReset: Bool)
    }

    let requests: [FuzzRequest]
    let bytes: [UInt8]
    /// The sizes of the pieces in which the bytes are sent.
    let pieces: [Int]
    let ending: Ending
    /// Whether the node is certain to see where each request ends.
    let isSound: Bool
    /// The names of everything that differs from valid requests sent one by one.
    let mutations: [String]
}

/// Makes the exchanges of a thread. The same seed makes the same exchanges, except for the key of the tenant.
struct ExchangeMaker {
    private let thread: Int
    private let apiKey: String
    private var generator: SeededGenerator
    private var number = 0

    /// One in so many exchanges whose end is in doubt is left open. Each of them costs a wait.
    private static let exchangesPerOpenOne = 80
    private static let mostPieces = 40
    /// The bytes of pipelined requests above which a node may close the connection without an answer.
    private static let mostPipelined = 200 << 10

    init(seed: UInt64, thread: Int, apiKey: String) {
        self.thread = thread
        self.apiKey = apiKey
        generator = SeededGenerator(seed: seed)
    }

    /// Makes the next exchange.
    ///
    /// - Parameter most: The largest number of requests.
    mutating func next(most: Int) -> FuzzExchange {
        var count = 1
        if most > 1, generator.chance(10) { count = min(most, Int.random(in: 2...4, using: &generator)) }
        var requests: [FuzzRequest] = []
        for _ in 0..<count {
            let isMutated = count == 1 || generator.chance(60)
            requests.append(makeRequest(isMutated: isMutated))
        }
        var deliveries = count > 1 ? ["delivery: pipelined"] : []
        var bytes: [UInt8] = []
        for request in requests { bytes += request.bytes }
        var isSound = requests.allSatisfy(\.isSound) && (count == 1 || bytes.count <= Self.mostPipelined)
        if generator.chance(2) {
            bytes += utf8(generator.pick(Self.afterTheEnd))
            isSound = false
            deliveries.append("delivery: bytes after the end")
        }
        let ending = makeEnding(isSound: isSound)
        switch ending {
        case .kept: break
        case .halfClosed: deliveries.append("delivery: half closed")
        case .leftOpen: deliveries.append("delivery: left open")
        case .cutOff:
            bytes = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &generator)))
            deliveries.append("delivery: cut off")
        }
        var pieces = [bytes.count]
        if generator.chance(5) {
            pieces = makePieces(of: bytes.count)
            deliveries.append("delivery: in pieces")
        }
        return FuzzExchange(
            requests: requests, bytes: bytes, pieces: pieces, ending: ending, isSound: isSound,
            mutations: requests.flatMap(\.mutations) + deliveries)
    }

    private static let afterTheEnd = [
        "\r\n", "\r\n\r\n", "x", "GET ", "GET / HTTP/1.1\r\n", "\u{0}\u{0}\u{0}", "{}", "0\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}",
    ]

    private mutating func makeRequest(isMutated: Bool) -> FuzzRequest {
        number += 1
        let base = generator.pick(BaseRequest.drawn)
        let content = Int.random(in: 0..<base.contents, using: &generator)
        let isBearer = generator.chance(70)
        let isChunked = generator.chance(30)
        var request = base.request(
            content, apiKey: apiKey, requestID: "fuzz-\(thread)-\(number)", isBearer: isBearer, isChunked: isChunked)
        guard isMutated else { return request }
        var mutations: [Mutation] = []
        repeat {
            let group = generator.pick(Mutation.drawn)
            mutations.append(generator.pick(group))
        } while mutations.count < 5 && generator.chance(45)
        mutations.sort { $0.stage.rawValue < $1.stage.rawValue }
        for mutation in mutations { mutation.apply(to: &request, &generator) }
        return request
    }

    private mutating func makeEnding(isSound: Bool) -> FuzzExchange.Ending {
        if generator.chance(2) { return .cutOff(isReset: generator.chance(50)) }
        if isSound { return generator.chance(3) ? .halfClosed : .kept }
        return Int.random(in: 0..<Self.exchangesPerOpenOne, using: &generator) == 0 ? .leftOpen : .halfClosed
    }

    private mutating func makePieces(of count: Int) -> [Int] {
        var pieces: [Int] = []
        var left = count
        let largest = generator.pick([1, 3, 50, 400])
        while left > 0, pieces.count < Self.mostPieces {
            let size = min(left, Int.random(in: 1...largest, using: &generator))
            pieces.append(size)
            left -= size
        }
        if left > 0 { pieces.append(left) }
        return pieces
    }
}
