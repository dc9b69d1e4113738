import Glibc

/// A TCP connection on which bytes are sent as they are, also those that no HTTP client would send. Its calls block.
final class RawConnection {
    private let descriptor: Int32
    private var received: [UInt8] = []

    /// Connects to a port of 127.0.0.1. A read waits for bytes for at most 60 s.
    ///
    /// - Parameter host: The last number of the client's own address in 127.0.0.0/24.
    init(port: Int, from host: UInt32 = 1) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var limit = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let isConnected =
            Self.withAddress(0x7F00_0000 | host, port: 0) { bind(descriptor, $0, $1) == 0 }
            && Self.withAddress(0x7F00_0001, port: port) { connect(descriptor, $0, $1) == 0 }
        guard isConnected else {
            throw HarnessError("no connection to port \(port): \(String(cString: strerror(errno)))")
        }
    }

    private static func withAddress(
        _ address: UInt32, port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Bool
    ) -> Bool {
        var socketAddress = sockaddr_in()
        socketAddress.sin_family = sa_family_t(AF_INET)
        socketAddress.sin_port = in_port_t(UInt16(port).bigEndian)
        socketAddress.sin_addr.s_addr = address.bigEndian
        return withUnsafePointer(to: &socketAddress) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    deinit { close(descriptor) }

    func send(_ text: String) { send(Array(text.utf8)) }

    /// Sends bytes. A connection that the server has closed takes none, which the next read shows.
    func send(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return }
            rest = rest.dropFirst(count)
        }
    }

    /// Ends the client's side, as a client does that sends nothing more.
    func endInput() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Makes the kernel hold few bytes that the test has not read.
    func keepSmallBuffer() {
        var size: Int32 = 4_096
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Reads the next answer, also an interim one.
    ///
    /// - Parameter hasBody: False for the answer to HEAD.
    /// - Throws: When the connection ends before the end of the answer.
    func answer(hasBody: Bool = true) throws -> Answer {
        let separator = Array("\r\n\r\n".utf8)
        var end: Int?
        while end == nil {
            end = received.indices.first { received[$0...].starts(with: separator) }
            if end == nil { try readMore("the end of a head") }
        }
        let head = String(decoding: received[..<(end ?? 0)], as: UTF8.self)
        received.removeFirst((end ?? 0) + separator.count)
        let lines = head.split(separator: "\r\n")
        guard let status = Int(lines.first?.split(separator: " ").dropFirst().first ?? "") else {
            throw HarnessError("no status in \(head)")
        }
        let headers = Dictionary(
            lines.dropFirst().map { line -> (String, String) in
                let parts = line.split(separator: ":", maxSplits: 1)
                return (parts[0].lowercased(), String((parts.last ?? "").drop { $0 == " " }))
            }
        ) { "\($0), \($1)" }
        let isBodiless = !hasBody || status < 200 || status == 204 || status == 304
        return Answer(status: status, headers: headers, bytes: isBodiless ? [] : try body(headers))
    }

    private func body(_ headers: [String: String]) throws -> [UInt8] {
        if let length = headers["content-length"].flatMap(Int.init) { return try take(length) }
        guard headers["transfer-encoding"] == "chunked" else {
            while (try? readMore("the end of the connection")) != nil {}
            return try take(received.count)
        }
        var body: [UInt8] = []
        while true {
            var line: [UInt8] = []
            while !line.ends(with: "\r\n".utf8) { line += try take(1) }
            guard let size = Int(String(decoding: line.dropLast(2), as: UTF8.self), radix: 16) else {
                throw HarnessError("no chunk size")
            }
            body += try take(size)
            guard try take(2) == Array("\r\n".utf8) else { throw HarnessError("no end of a chunk") }
            if size == 0 { return body }
        }
    }

    /// Reads until the server closes its side.
    ///
    /// - Returns: The bytes that came before.
    func rest() throws -> [UInt8] {
        while try readPiece("the end of the connection") {}
        defer { received = [] }
        return received
    }

    private func take(_ count: Int) throws -> [UInt8] {
        while received.count < count { try readMore("the end of a body") }
        defer { received.removeFirst(count) }
        return Array(received.prefix(count))
    }

    private func readMore(_ awaited: String) throws {
        guard try readPiece(awaited) else {
            throw HarnessError(
                "the connection ended before \(awaited), after \(String(decoding: received.prefix(500), as: UTF8.self))"
            )
        }
    }

    /// - Returns: False at the end of the connection, also when the server has reset it.
    private func readPiece(_ awaited: String) throws -> Bool {
        var piece = [UInt8](repeating: 0, count: 65_536)
        let count = read(descriptor, &piece, piece.count)
        if count < 0, errno == EAGAIN { throw HarnessError("nothing came while the test waited for \(awaited)") }
        received.append(contentsOf: piece.prefix(max(count, 0)))
        return count > 0
    }
}

extension Array<UInt8> {
    fileprivate func ends(with suffix: some Collection<UInt8>) -> Bool {
        count >= suffix.count && self.suffix(suffix.count).elementsEqual(suffix)
    }
}
