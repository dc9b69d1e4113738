import Glibc

/// A response that this client does not accept.
struct ResponseError: Error, CustomStringConvertible {
    let description: String
}

/// Finds the ends of HTTP/1.1 responses, and their status, with as little work as possible.
///
/// Of the head it reads the status line and the lines that begin with C or T; the bytes of the body are only counted. A
/// body without `Content-Length` is refused: the servers under load always send it.
struct ResponseScanner {
    /// The maximum length of a head, in bytes.
    private static let maximumHeadLength = 16_384
    /// The maximum number of bytes of a body that are kept.
    private static let maximumCapture = 1_048_576

    /// The status of the response whose head was read last.
    private(set) var status = 0
    /// The start of a body that was to be kept; complete once its response is complete.
    private(set) var captured: [UInt8] = []
    /// Whether to keep the body of the next response, whatever its status.
    var capturesNext = false
    /// Whether to keep the bodies of all further responses.
    var capturesAll = false
    /// Whether to keep the bodies of responses that are not 2xx.
    var capturesFailures = false

    /// The bytes of a head that arrived in several pieces.
    private var partialHead: [UInt8] = []
    /// The number of bytes of the body that are still missing; nil before the head is complete.
    private var remainingBody: Int?
    private var isCapturing = false

    /// Consumes the next bytes of the connection.
    ///
    /// - Returns: Whether the bytes end a response. Bytes after that end are an error, because no second request was
    ///   sent.
    mutating func consume(_ bytes: UnsafeRawBufferPointer) throws(ResponseError) -> Bool {
        if let remaining = remainingBody { return try consumeBody(bytes, remaining: remaining) }
        if partialHead.isEmpty {
            if let head = try Self.readHead(bytes) { return try begin(head, bytes) }
            partialHead.append(contentsOf: bytes)
        } else {
            partialHead.append(contentsOf: bytes)
            let joined = partialHead
            let result = joined.withUnsafeBytes { joined in
                Result { () throws(ResponseError) in try Self.readHead(joined).map { ($0, Array(joined)) } }
            }
            if let (head, joined) = try result.get() {
                partialHead.removeAll()
                return try joined.withUnsafeBytes { joined in
                    Result { () throws(ResponseError) in try begin(head, joined) }
                }.get()
            }
        }
        guard partialHead.count <= Self.maximumHeadLength else {
            throw ResponseError(description: "the head of a response is longer than \(Self.maximumHeadLength) bytes")
        }
        return false
    }

    private struct Head {
        let status: Int
        let length: Int
        let bodyLength: Int
    }

    private mutating func begin(_ head: Head, _ bytes: UnsafeRawBufferPointer) throws(ResponseError) -> Bool {
        status = head.status
        isCapturing = capturesAll || capturesNext || (capturesFailures && !(200...299).contains(status))
        if isCapturing { captured.removeAll() }
        return try consumeBody(UnsafeRawBufferPointer(rebasing: bytes[head.length...]), remaining: head.bodyLength)
    }

    private mutating func consumeBody(
        _ bytes: UnsafeRawBufferPointer, remaining: Int
    ) throws(ResponseError) -> Bool {
        guard bytes.count <= remaining else {
            throw ResponseError(description: "the server sent more bytes than one answer has")
        }
        if isCapturing { captured.append(contentsOf: bytes.prefix(Self.maximumCapture - captured.count)) }
        if bytes.count < remaining {
            remainingBody = remaining - bytes.count
            return false
        }
        remainingBody = nil
        return true
    }

    /// Reads a head from the start of the bytes; nil when it is not complete.
    private static func readHead(_ bytes: UnsafeRawBufferPointer) throws(ResponseError) -> Head? {
        // "HTTP/1.1 200"
        guard bytes.count >= 12, let base = bytes.baseAddress else { return nil }
        guard base.loadUnaligned(as: UInt64.self) == 0x312E_312F_5054_5448.littleEndian else {
            throw ResponseError(description: "the answer is not HTTP/1.1")
        }
        let status = try readDigits(bytes[9..<12], "status")
        guard status >= 200 else { throw ResponseError(description: "the server sent an interim response, \(status)") }
        var bodyLength: Int?
        var lineStart = 12
        while let newline = memchr(base + lineStart, 0x0A, bytes.count - lineStart) {
            lineStart = UnsafeRawPointer(newline) - base + 1
            guard lineStart < bytes.count else { return nil }
            switch bytes[lineStart] | 0x20 {
            case UInt8(ascii: "c"):
                if let value = value(of: "content-length", inLineAt: lineStart, of: bytes) {
                    bodyLength = try readDigits(value, "Content-Length")
                }
            case UInt8(ascii: "t"):
                if value(of: "transfer-encoding", inLineAt: lineStart, of: bytes) != nil {
                    throw ResponseError(description: "the server answers with Transfer-Encoding, not Content-Length")
                }
            case 0x0D | 0x20:
                guard lineStart + 1 < bytes.count else { return nil }
                guard bytes[lineStart] == 0x0D, bytes[lineStart + 1] == 0x0A else { continue }
                let hasNoBody = status == 204 || status == 304
                guard let bodyLength = hasNoBody ? 0 : bodyLength else {
                    throw ResponseError(description: "a response of status \(status) has no Content-Length")
                }
                return Head(status: status, length: lineStart + 2, bodyLength: bodyLength)
            default: continue
            }
        }
        return nil
    }

    /// The value of a header line; nil when the line is another header or is not complete.
    private static func value(
        of name: StaticString, inLineAt start: Int, of bytes: UnsafeRawBufferPointer
    ) -> Slice<UnsafeRawBufferPointer>? {
        let length = name.utf8CodeUnitCount
        guard start + length < bytes.count, bytes[start + length] == UInt8(ascii: ":") else { return nil }
        for index in 0..<length where bytes[start + index] | 0x20 != name.utf8Start[index] { return nil }
        guard let end = bytes[(start + length)...].firstIndex(of: 0x0D) else { return nil }
        var first = start + length + 1
        while first < end, bytes[first] == 0x20 { first += 1 }
        return bytes[first..<end]
    }

    private static func readDigits(
        _ text: Slice<UnsafeRawBufferPointer>, _ what: StaticString
    ) throws(ResponseError) -> Int {
        var number = 0
        for byte in text {
            let digit = byte &- UInt8(ascii: "0")
            guard digit < 10, number < 100_000_000_000 else {
                throw ResponseError(description: "a response has an unusable \(what)")
            }
            number = number * 10 + Int(digit)
        }
        guard !text.isEmpty else { throw ResponseError(description: "a response has an unusable \(what)") }
        return number
    }
}
