import SeededRandom

/// A request in its parts, so that a mutation can break one part and leave the others whole.
struct FuzzRequest {
    /// The way in which a request tells the end of its body.
    enum Framing {
        case none, length, chunks
    }

    var method: [UInt8]
    var target: [UInt8]
    /// The header lines without their ends, and without the lines of the framing.
    var headers: [[UInt8]]
    var framing: Framing
    var body: [UInt8]
    /// The value of `X-Request-Id`.
    let requestID: String

    var version = utf8("HTTP/1.1")
    /// Empty lines before the request line.
    var emptyLines: [UInt8] = []
    /// The request line without its end, in place of the method, the target and the version.
    var requestLine: [UInt8]?
    /// The header lines of the framing, in place of the right ones.
    var framingLines: [[UInt8]]?
    /// The bytes after the head, in place of the body in its framing.
    var sentBody: [UInt8]?
    /// All bytes, in place of everything above.
    var raw: [UInt8]?
    /// Whether the node is certain to see where the request ends.
    var isSound = true
    /// The names of the mutations of this request.
    var mutations: [String] = []

    static let lineEnd = utf8("\r\n")

    /// The bytes that are sent.
    var bytes: [UInt8] {
        if let raw { return raw }
        var bytes = emptyLines
        bytes += requestLine ?? line(separator: utf8(" "))
        bytes += Self.lineEnd
        for line in headers + (framingLines ?? rightFramingLines) {
            bytes += line
            bytes += Self.lineEnd
        }
        bytes += Self.lineEnd
        bytes += sentBody ?? rightBody
        return bytes
    }

    /// The method, the target and the version with something between them.
    func line(separator: [UInt8]) -> [UInt8] {
        Array([method, target, version].joined(separator: separator))
    }

    /// Whether the answer has no body.
    var isHead: Bool { method == utf8("HEAD") }

    /// The request's id that its answer shows, unless the node makes another one; nil when a mutation has changed it.
    var expectedID: String? {
        let lines = headers.filter { Self.hasName($0, "x-request-id") }
        return lines == [utf8("X-Request-Id: \(requestID)")] ? requestID : nil
    }

    private var rightFramingLines: [[UInt8]] {
        switch framing {
        case .none: []
        case .length: [utf8("Content-Length: \(body.count)")]
        case .chunks: [Self.chunkedLine]
        }
    }

    private var rightBody: [UInt8] {
        framing == .chunks ? Self.chunked([body]) : body
    }

    // MARK: - Parts

    /// Gives the request a body when it has none, for mutations of bodies.
    mutating func requireBody() {
        if body.isEmpty { body = utf8("{}") }
        if framing == .none { framing = .length }
    }

    /// Replaces all header lines of a name by one.
    mutating func setHeader(_ name: String, _ value: [UInt8]) {
        removeHeader(name)
        headers.append(utf8("\(name): ") + value)
    }

    mutating func removeHeader(_ name: String) {
        headers.removeAll { Self.hasName($0, name.lowercased()) }
    }

    /// Changes a random header line.
    mutating func changeHeader(
        _ generator: inout SeededGenerator, _ change: (inout [UInt8], inout SeededGenerator) -> Void
    ) {
        guard !headers.isEmpty else { return }
        let index = Int.random(in: 0..<headers.count, using: &generator)
        change(&headers[index], &generator)
    }

    /// - Parameter name: The name in lower case.
    private static func hasName(_ line: [UInt8], _ name: String) -> Bool {
        String(decoding: line.prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self).lowercased() == name
    }

    // MARK: - Chunks

    static let chunkedLine = utf8("Transfer-Encoding: chunked")

    /// A body in chunks.
    ///
    /// - Parameters:
    ///   - size: The text of a chunk's size, with its extensions.
    ///   - trailers: The lines after the last chunk, with their ends.
    static func chunked(
        _ pieces: [[UInt8]], size: (Int) -> String = { String($0, radix: 16) }, trailers: [UInt8] = []
    ) -> [UInt8] {
        var bytes: [UInt8] = []
        for piece in pieces where !piece.isEmpty {
            bytes += utf8(size(piece.count))
            bytes += lineEnd
            bytes += piece
            bytes += lineEnd
        }
        bytes += utf8(size(0))
        bytes += lineEnd
        bytes += trailers
        bytes += lineEnd
        return bytes
    }

    /// The body in pieces of random sizes, at most 64 of them.
    func bodyPieces(_ generator: inout SeededGenerator) -> [[UInt8]] {
        var pieces: [[UInt8]] = []
        let largest = generator.pick([1, 5, 40, 1_000])
        var rest = body[...]
        while !rest.isEmpty, pieces.count < 63 {
            let size = Int.random(in: 1...largest, using: &generator)
            pieces.append(Array(rest.prefix(size)))
            rest = rest.dropFirst(size)
        }
        if !rest.isEmpty { pieces.append(Array(rest)) }
        return pieces
    }
}
