import SeededRandom

/// Mutations of the headers that tell the end of a body.
extension Mutation {
    static let lengths: [Mutation] = wrongLengths + wrongCodings

    private static let wrongLengths: [Mutation] = [
        length("two equal") { ["\($0)", "\($0)"] },
        length("two different") { ["\($0)", "\($0 + 1)"] },
        length("negative") { ["-\($0)"] },
        length("plus sign") { ["+\($0)"] },
        length("beyond 64 bits") { _ in ["99999999999999999999"] },
        length("largest of 64 bits") { _ in ["9223372036854775807"] },
        length("hexadecimal") { ["0x" + String($0, radix: 16)] },
        length("list") { ["\($0), \($0)"] },
        length("list of different ones") { ["\($0), \($0 + 3)"] },
        length("fraction") { ["\($0).0"] },
        length("empty") { _ in [""] },
        length("a word") { _ in ["five"] },
        length("blank inside") { ["\($0) 0"] },
        length("NUL") { ["\($0)\u{0}"] },
        length("zeros before") { ["000\($0)"] },
        length("zero") { _ in ["0"] },
        length("too small") { ["\(max(0, $0 - 3))"] },
        length("too large") { ["\($0 + 7)"] },
        length("beyond the limit") { _ in ["8388609"] },
        length("missing") { _ in [] },
    ]

    private static let wrongCodings: [Mutation] = [
        coding("chunked twice", ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"]),
        coding("chunked twice in a list", ["Transfer-Encoding: chunked, chunked"]),
        coding("unknown", ["Transfer-Encoding: gzip"]),
        coding("identity", ["Transfer-Encoding: identity"]),
        coding("unknown before chunked", ["Transfer-Encoding: gzip, chunked"]),
        coding("unknown after chunked", ["Transfer-Encoding: chunked, gzip"]),
        coding("in another case", ["Transfer-Encoding: CHUNKED"]),
        coding("empty", ["Transfer-Encoding:"]),
        coding("empty elements", ["Transfer-Encoding: , chunked,"]),
        coding("vertical tab", ["Transfer-Encoding: \u{B}chunked"]),
        coding("blank before the colon", ["Transfer-Encoding : chunked"]),
        coding("folded", ["Transfer-Encoding:\r\n chunked"]),
        coding("quoted", ["Transfer-Encoding: \"chunked\""]),
        coding("letter more", ["Transfer-Encoding: xchunked"]),
        coding("beside a length", ["Transfer-Encoding: chunked", "Content-Length: 5"]),
        coding("behind a length", ["Content-Length: 5", "Transfer-Encoding: chunked"]),
        Mutation("coding: hidden request", .framing, keepsFraming: false) { request, generator in
            request.requireBody()
            let hidden = utf8("GET /v1/features HTTP/1.1\r\nHost: h\r\n\r\n")
            request.sentBody = utf8("0\r\n\r\n") + hidden
            let length = utf8("Content-Length: \(5 + hidden.count)")
            request.framingLines = [length, FuzzRequest.chunkedLine].shuffled(using: &generator)
        },
    ]

    /// - Parameter values: The values of `Content-Length`, one for each line, from the right length.
    private static func length(_ name: String, _ values: @escaping @Sendable (Int) -> [String]) -> Mutation {
        Mutation("length: \(name)", .framing, keepsFraming: false) { request, _ in
            request.requireBody()
            request.framingLines = values(request.body.count).map { utf8("Content-Length: \($0)") }
            request.sentBody = request.body
        }
    }

    private static func coding(_ name: String, _ lines: [String]) -> Mutation {
        Mutation("coding: \(name)", .framing, keepsFraming: false) { request, generator in
            request.requireBody()
            request.framingLines = lines.map { utf8($0) }
            request.sentBody = generator.chance(70) ? FuzzRequest.chunked([request.body]) : request.body
        }
    }
}

/// Mutations of bodies in chunks.
extension Mutation {
    static let chunks: [Mutation] = [
        Mutation("chunks: cut again", .framing) { request, generator in
            request.requireBody()
            let pieces = request.bodyPieces(&generator)
            request.send(FuzzRequest.chunked(pieces))
        },
        Mutation("chunks: extensions", .framing) { request, generator in
            request.requireBody()
            let pieces = request.bodyPieces(&generator)
            let text = generator.pick([";x=y", ";x", ";x=\"y z\"", "; x = y", ";;", ";x=y;z", ";\u{EB}=1", "\t;x"])
            request.send(FuzzRequest.chunked(pieces, size: { String($0, radix: 16) + text }))
        },
        Mutation("chunks: long extension", .framing) { request, generator in
            request.requireBody()
            let text = ";x=" + String(repeating: "e", count: generator.pick([200, 5_000, 17_000, 70_000]))
            request.send(FuzzRequest.chunked([request.body], size: { String($0, radix: 16) + text }))
        },
        Mutation("chunks: trailers", .framing) { request, generator in
            request.requireBody()
            let lines = generator.pick(["X-A: b\r\n", "X-A: b\r\nX-C: d\r\n", "Content-Length: 7\r\n", "X-A:\r\n"])
            request.send(FuzzRequest.chunked([request.body], trailers: utf8(lines)))
        },
        Mutation("chunks: many trailers", .framing) { request, generator in
            request.requireBody()
            let count = generator.pick([50, 101, 1_000])
            let lines = Array(repeatElement(utf8("X-Trailer: y\r\n"), count: count).joined())
            request.send(FuzzRequest.chunked([request.body], trailers: lines))
        },
        Mutation("chunks: upper case and zeros", .framing) { request, generator in
            request.requireBody()
            let zeros = String(repeating: "0", count: generator.pick([0, 1, 7, 15, 30]))
            let pieces = request.bodyPieces(&generator)
            request.send(FuzzRequest.chunked(pieces, size: { zeros + String($0, radix: 16, uppercase: true) }))
        },
        Mutation("chunks: bad size", .framing, keepsFraming: false) { request, generator in
            request.requireBody()
            let size = generator.pick(badSizes)
            let pieces = request.bodyPieces(&generator)
            request.send(FuzzRequest.chunked(pieces, size: { $0 == 0 ? "0" : size }))
        },
        Mutation("chunks: wrong size", .framing, keepsFraming: false) { request, generator in
            request.requireBody()
            let difference = generator.pick([-2, -1, 1, 2, 100])
            let pieces = request.bodyPieces(&generator)
            request.send(
                FuzzRequest.chunked(pieces, size: { $0 == 0 ? "0" : String(max(0, $0 + difference), radix: 16) }))
        },
        Mutation("chunks: bad last size", .framing, keepsFraming: false) { request, generator in
            request.requireBody()
            let size = generator.pick(["", "00", "-0", "0x0", "0;", "0 ", " 0", "g", "1"])
            request.send(FuzzRequest.chunked([request.body], size: { $0 == 0 ? size : String($0, radix: 16) }))
        },
        Mutation("chunks: no line end", .framing, keepsFraming: false) { request, _ in
            request.requireBody()
            let size = utf8(String(request.body.count, radix: 16))
            request.send(size + FuzzRequest.lineEnd + request.body + utf8("0\r\n\r\n"))
        },
        Mutation("chunks: bare LF", .framing, keepsFraming: false) { request, generator in
            request.requireBody()
            let pieces = request.bodyPieces(&generator)
            request.send(FuzzRequest.chunked(pieces).filter { $0 != 13 })
        },
        Mutation("chunks: bare CR", .framing, keepsFraming: false) { request, generator in
            request.requireBody()
            let pieces = request.bodyPieces(&generator)
            request.send(FuzzRequest.chunked(pieces).filter { $0 != 10 })
        },
        Mutation("chunks: early end", .framing, keepsFraming: false) { request, _ in
            request.requireBody()
            request.send(utf8("0\r\n\r\n") + FuzzRequest.chunked([request.body]))
        },
        Mutation("chunks: no end", .framing, keepsFraming: false) { request, generator in
            request.requireBody()
            let bytes = FuzzRequest.chunked([request.body])
            request.send(Array(bytes.dropLast(generator.pick([1, 2, 3, 5, 7]))))
        },
        Mutation("chunks: bad trailer", .framing, keepsFraming: false) { request, generator in
            request.requireBody()
            let lines = generator.pick(["bad trailer\r\n", ": x\r\n", "X-A: \u{0}\r\n", "X A: b\r\n", " x\r\n", "\n"])
            request.send(FuzzRequest.chunked([request.body], trailers: utf8(lines)))
        },
        Mutation("chunks: not in chunks", .framing, keepsFraming: false) { request, _ in
            request.requireBody()
            request.send(request.body)
        },
    ]

    private static let badSizes = [
        "", " ", "g", "-1", "+5", " 5", "5 ", "0x5", "5,", "5.0", "\u{0}5", "FFFFFFFFFFFFFFFFF", "FFFFFFFFFFFFFFFF",
        "7FFFFFFFFFFFFFFF", "8000000000000000", "80000000", "FFFFFFFF", "\u{EB}", ";", "\"5\"", "5\n",
        String(repeating: "0", count: 5_000),
    ]
}

extension FuzzRequest {
    /// Sends these bytes as a body in chunks, whether or not they are one.
    fileprivate mutating func send(_ chunks: [UInt8]) {
        framingLines = [Self.chunkedLine]
        sentBody = chunks
    }
}
