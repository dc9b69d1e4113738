/// An answer as it came over a connection.
struct RawAnswer {
    let status: Int
    /// The header fields in their order. Names are in lower case.
    let fields: [(name: String, value: String)]
    /// Nil for an answer without a body, such as that to HEAD.
    let body: [UInt8]?

    /// Whether a final answer follows this one.
    var isInterim: Bool { status < 200 }

    /// Whether the node closes the connection after this answer.
    var isLast: Bool { values("connection").contains { $0.lowercased() == "close" } }

    /// The values of the fields of a name, which is in lower case.
    func values(_ name: String) -> [String] {
        var values: [String] = []
        for field in fields where field.name == name { values.append(field.value) }
        return values
    }
}

/// The reason why bytes are not an answer of HTTP/1.1.
struct MalformedAnswer: Error {
    let reason: String
}

/// Finds answers in the bytes of a connection, and insists on the grammar of HTTP/1.1.
struct AnswerReader {
    /// An answer with its place in the bytes.
    typealias Found = (answer: RawAnswer, end: Int)

    /// The bytes of the requests. Some forms of answers are allowed for some requests only.
    let sent: [UInt8]

    private static let version = utf8("HTTP/1.1 ")
    private static let largestHead = 64 << 10
    private static let largestLength = 1 << 40

    /// Reads the answer that begins at an index.
    ///
    /// - Parameters:
    ///   - isHead: Whether the request is HEAD: its answer has no body.
    ///   - hasEnded: Whether no more bytes will come.
    /// - Returns: Nil when the answer is incomplete.
    func read(
        _ received: [UInt8], from start: Int, isHead: Bool, hasEnded: Bool
    ) throws(MalformedAnswer) -> Found? {
        let beginning = received[start...].prefix(Self.version.count)
        guard Self.version.starts(with: beginning) else {
            throw MalformedAnswer(reason: "an answer does not begin with HTTP/1.1")
        }
        guard let bodyStart = Self.endOfHead(received, from: start) else {
            guard received.count - start <= Self.largestHead else {
                throw MalformedAnswer(reason: "a head does not end")
            }
            return nil
        }
        let lines = try Self.lines(received[start..<bodyStart - 2])
        guard let first = lines.first else { throw MalformedAnswer(reason: "a head is empty") }
        let status = try Self.status(first)
        var fields: [(name: String, value: String)] = []
        for line in lines.dropFirst() { fields.append(try Self.field(line)) }
        let head = RawAnswer(status: status, fields: fields, body: nil)
        if head.isInterim {
            guard status == 100, fields.isEmpty, mentions("100-continue") else {
                throw MalformedAnswer(reason: "nobody has asked for the interim answer \(status)")
            }
            return (head, bodyStart)
        }
        return try withBody(head, received, from: bodyStart, isHead: isHead, hasEnded: hasEnded)
    }

    /// Reads all answers, for a client that does not know how many requests the node has seen.
    ///
    /// - Parameter mayBeCut: Whether the last answer may be incomplete.
    func readAll(_ received: [UInt8], hasEnded: Bool, mayBeCut: Bool) throws(MalformedAnswer) -> [RawAnswer] {
        do throws(MalformedAnswer) {
            return try readAll(received, from: 0, isHead: [false], hasEnded: hasEnded, mayBeCut: mayBeCut)
        } catch {
            // A broken request may have become HEAD, or may be HEAD no more.
            guard mentions("head") else { throw error }
            return try readAll(received, from: 0, isHead: [false, true], hasEnded: hasEnded, mayBeCut: mayBeCut)
        }
    }

    private func readAll(
        _ received: [UInt8], from start: Int, isHead possibilities: [Bool], hasEnded: Bool, mayBeCut: Bool
    ) throws(MalformedAnswer) -> [RawAnswer] {
        guard start < received.count else { return [] }
        var failure = MalformedAnswer(reason: "the last answer is cut off")
        for isHead in possibilities {
            do throws(MalformedAnswer) {
                if let found = try read(received, from: start, isHead: isHead, hasEnded: hasEnded) {
                    let rest = try readAll(
                        received, from: found.end, isHead: possibilities, hasEnded: hasEnded, mayBeCut: mayBeCut)
                    return [found.answer] + rest
                }
                if mayBeCut { return [] }
            } catch {
                failure = error
            }
        }
        throw failure
    }

    /// Whether a text in lower case occurs in the requests, in any case.
    func mentions(_ text: String) -> Bool {
        sent.map { byte in (65...90).contains(byte) ? byte + 32 : byte }.contains(sequence: utf8(text))
    }

    // MARK: - Bodies

    private func withBody(
        _ head: RawAnswer, _ received: [UInt8], from start: Int, isHead: Bool, hasEnded: Bool
    ) throws(MalformedAnswer) -> Found? {
        let lengths = head.values("content-length")
        let codings = head.values("transfer-encoding")
        guard lengths.count + codings.count <= 1 else {
            throw MalformedAnswer(reason: "an answer has \(lengths.count) lengths and \(codings.count) codings")
        }
        if head.status == 204 || head.status == 304 {
            guard lengths.isEmpty, codings.isEmpty else {
                throw MalformedAnswer(reason: "an answer of status \(head.status) has a body")
            }
            return (head, start)
        }
        if let coding = codings.first {
            guard coding == "chunked" else { throw MalformedAnswer(reason: "an answer has the coding \(coding)") }
            if isHead { return (head, start) }
            guard let (body, end) = try Self.chunkedBody(received, from: start) else { return nil }
            return (RawAnswer(status: head.status, fields: head.fields, body: body), end)
        }
        if let text = lengths.first {
            guard !text.isEmpty, text.utf8.allSatisfy(Self.isDigit), let length = Int(text),
                length <= Self.largestLength
            else { throw MalformedAnswer(reason: "an answer has the length \(text)") }
            if isHead { return (head, start) }
            let end = start + length
            guard end <= received.count else { return nil }
            return (RawAnswer(status: head.status, fields: head.fields, body: Array(received[start..<end])), end)
        }
        // The answer to HTTP/1.0 may end with the connection. The server takes RTSP/1.0 for it.
        guard mentions("http/1.0") || mentions("rtsp/1.0"), head.isLast else {
            throw MalformedAnswer(reason: "an answer has no length")
        }
        if isHead { return (head, start) }
        guard hasEnded else { return nil }
        return (RawAnswer(status: head.status, fields: head.fields, body: Array(received[start...])), received.count)
    }

    /// - Returns: The data of all chunks, and the index after the last one; nil when the body is incomplete.
    private static func chunkedBody(
        _ received: [UInt8], from start: Int
    ) throws(MalformedAnswer) -> (body: [UInt8], end: Int)? {
        var body: [UInt8] = []
        var index = start
        while true {
            guard let lineEnd = received[index...].firstIndex(of: 13) else {
                guard received.count - index <= 8 else { throw MalformedAnswer(reason: "a chunk has no size") }
                return nil
            }
            let digits = received[index..<lineEnd]
            guard (1...8).contains(digits.count), digits.allSatisfy(isHexDigit),
                let size = Int(String(decoding: digits, as: UTF8.self), radix: 16)
            else { throw MalformedAnswer(reason: "a chunk has the size \(escaped(digits, most: 80))") }
            let dataStart = lineEnd + 2
            let dataEnd = dataStart + size
            guard received.count >= dataEnd + 2 else { return nil }
            guard received[lineEnd + 1] == 10, received[dataEnd] == 13, received[dataEnd + 1] == 10 else {
                throw MalformedAnswer(reason: "a chunk of \(size) bytes has no line end")
            }
            if size == 0 { return (body, dataEnd + 2) }
            body += received[dataStart..<dataEnd]
            index = dataEnd + 2
        }
    }

    // MARK: - Heads

    /// The index after the empty line that ends a head.
    private static func endOfHead(_ received: [UInt8], from start: Int) -> Int? {
        received.withUnsafeBufferPointer { bytes in
            var index = start + 3
            while index < bytes.count {
                if bytes[index] == 10, bytes[index - 1] == 13, bytes[index - 2] == 10, bytes[index - 3] == 13 {
                    return index + 1
                }
                index += 1
            }
            return nil
        }
    }

    /// The lines of a head without their ends.
    private static func lines(_ head: ArraySlice<UInt8>) throws(MalformedAnswer) -> [ArraySlice<UInt8>] {
        var lines: [ArraySlice<UInt8>] = []
        var start = head.startIndex
        var index = start
        while index < head.endIndex {
            if head[index] == 13, index + 1 < head.endIndex, head[index + 1] == 10 {
                lines.append(head[start..<index])
                index += 2
                start = index
            } else {
                guard head[index] == 9 || (32...126).contains(head[index]) else {
                    throw MalformedAnswer(reason: "a head contains the byte \(head[index])")
                }
                index += 1
            }
        }
        return lines
    }

    private static func status(_ line: ArraySlice<UInt8>) throws(MalformedAnswer) -> Int {
        let rest = line.dropFirst(version.count)
        let digits = rest.prefix(3)
        guard digits.count == 3, digits.allSatisfy(isDigit), rest.dropFirst(3).first == 32,
            let status = Int(String(decoding: digits, as: UTF8.self)), status >= 100
        else { throw MalformedAnswer(reason: "a status line is \(escaped(line, most: 80))") }
        return status
    }

    private static func field(_ line: ArraySlice<UInt8>) throws(MalformedAnswer) -> (name: String, value: String) {
        let name = line.prefix { $0 != UInt8(ascii: ":") }
        guard !name.isEmpty, name.endIndex < line.endIndex, name.allSatisfy(isTokenByte) else {
            throw MalformedAnswer(reason: "a header line is \(escaped(line, most: 80))")
        }
        var value = line[(name.endIndex + 1)...].drop { isBlank($0) }
        while let last = value.last, isBlank(last) { value.removeLast() }
        return (String(decoding: name, as: UTF8.self).lowercased(), String(decoding: value, as: UTF8.self))
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 }

    private static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        isDigit(byte) || (65...70).contains(byte) || (97...102).contains(byte)
    }

    /// Whether a byte may stand in a name (RFC 9110, section 5.6.2).
    private static func isTokenByte(_ byte: UInt8) -> Bool {
        isDigit(byte) || (65...90).contains(byte) || (97...122).contains(byte) || "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }
}
