import Glibc

/// A TCP connection to a node on the loopback interface, on which a caller writes the bytes of HTTP itself. One thread
/// uses it, and its calls block that thread.
final class Wire {
    /// The response to a request.
    struct Response {
        let status: Int
        /// The body as it came: chunks are not joined.
        let body: [UInt8]
        /// Whether the node closes the connection after this response.
        let isLast: Bool
    }

    /// The reason for a missing response.
    enum Failure: String, Error {
        case unconnected = "not connected"
        case closed = "closed"
        case late = "no answer"
    }

    /// The last byte of the loopback address 127.0.0.x that a connection comes from. A limit per address counts the
    /// connections of tenant B apart from those of its neighbours.
    struct Origin: Sendable {
        static let bystander = Origin(lastByte: 1)
        static let abuser = Origin(lastByte: 2)

        fileprivate let lastByte: UInt32

        /// The address of a thread that sends mutated requests. Every address has ports of its own, and a closed
        /// connection keeps its port for a minute.
        static func fuzzer(_ number: Int) -> Origin { Origin(lastByte: 10 + UInt32(number)) }
    }

    /// The outcome of a wait for bytes.
    enum Arrival {
        case bytes(ArraySlice<UInt8>)
        /// The node has closed its sending side.
        case end
        /// The connection is broken, and bytes of the node may be lost.
        case reset
        case nothing
    }

    /// The time after which a blocked call asks whether to give up.
    private static let patience = timeval(tv_sec: 0, tv_usec: 200_000)
    /// `POLLRDHUP`, which the C library declares as an extension only.
    private static let peerHasClosed: Int16 = 0x2000

    private let descriptor: Int32
    /// The bytes that no response has taken yet, from `taken` on.
    private var received: [UInt8] = []
    private var taken = 0
    private var piece = [UInt8](repeating: 0, count: 65_536)

    /// Connects.
    ///
    /// - Parameters:
    ///   - receiveBuffer: The size of the socket's receive buffer in bytes; nil leaves it to the kernel.
    ///   - isOver: Whether to give up; asked every 200 ms.
    init(
        port: Int, from origin: Origin, receiveBuffer: Int32? = nil, until isOver: () -> Bool
    ) throws(Failure) {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw .unconnected }
        set(SOL_SOCKET, SO_RCVTIMEO, Self.patience)
        set(SOL_SOCKET, SO_SNDTIMEO, Self.patience)
        set(Int32(IPPROTO_TCP), TCP_NODELAY, Int32(1))
        // The kernel chooses the port when the connection is made, so that each destination has all ports.
        set(Int32(IPPROTO_IP), IP_BIND_ADDRESS_NO_PORT, Int32(1))
        if let receiveBuffer { set(SOL_SOCKET, SO_RCVBUF, receiveBuffer) }
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = Self.withAddress(origin, port: 0) { bind(descriptor, $0, size) == 0 }
        guard isBound else { throw .unconnected }
        var failure = Self.withAddress(.bystander, port: port) { connect(descriptor, $0, size) == 0 ? 0 : errno }
        while failure == EINPROGRESS || failure == EALREADY || failure == EINTR {
            var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            if poll(&waiting, 1, 200) > 0 {
                var length = socklen_t(MemoryLayout<Int32>.size)
                failure = 0
                getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &failure, &length)
            } else if isOver() {
                throw .unconnected
            }
        }
        guard failure == 0 else { throw .unconnected }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// Sends all bytes. A node that has answered may close the connection before; its response can still be read.
    func send(_ bytes: [UInt8], until isOver: () -> Bool) throws(Failure) {
        var sent = 0
        while sent < bytes.count {
            let count = write(bytes, from: sent, flags: 0)
            switch (count, errno) {
            case (1..., _): sent += count
            case (_, EINTR): continue
            case (_, EAGAIN) where isOver(): throw .late
            case (_, EAGAIN): continue
            default: throw .closed
            }
        }
    }

    /// Sends as many bytes as the kernel takes without blocking, and returns their number.
    func sendSome(_ bytes: [UInt8], from offset: Int) -> Int {
        max(0, write(bytes, from: offset, flags: Int32(MSG_DONTWAIT)))
    }

    /// Closes the sending side only.
    func finishSending() {
        shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Makes the end of this object reset the connection in place of closing it.
    func resetAtEnd() {
        set(SOL_SOCKET, SO_LINGER, linger(l_onoff: 1, l_linger: 0))
    }

    /// Whether the node has closed the connection.
    var isClosed: Bool {
        var state = pollfd(fd: descriptor, events: Self.peerHasClosed, revents: 0)
        return poll(&state, 1, 0) > 0
    }

    /// Reads the next response.
    func response(until isOver: () -> Bool) throws(Failure) -> Response {
        while true {
            if let response = takeResponse() { return response }
            let count = recv(descriptor, &piece, piece.count, 0)
            switch (count, errno) {
            case (1..., _): received += piece[..<count]
            case (0, _): throw .closed
            case (_, EINTR): continue
            case (_, EAGAIN) where isOver(): throw .late
            case (_, EAGAIN): continue
            default: throw .closed
            }
        }
    }

    /// Waits for bytes as they come. No response takes them, so a connection is read either in this way or response by
    /// response.
    func arrival(within milliseconds: Int32) -> Arrival {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&waiting, 1, milliseconds) > 0 else { return .nothing }
        let count = recv(descriptor, &piece, piece.count, 0)
        switch (count, errno) {
        case (1..., _): return .bytes(piece[..<count])
        case (0, _): return .end
        case (_, EINTR), (_, EAGAIN): return .nothing
        default: return .reset
        }
    }

    private func takeResponse() -> Response? {
        guard let bodyStart = endOfHead() else { return nil }
        let lines = String(decoding: received[taken..<bodyStart], as: UTF8.self).lowercased().split(separator: "\r\n")
        let status = lines.first?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        let length = lines.first { $0.hasPrefix("content-length:") }
            .flatMap { Int($0.dropFirst("content-length:".count).drop { $0 == " " }) }
        let isChunked = lines.contains { $0.hasPrefix("transfer-encoding:") }
        let end: Int
        if isChunked {
            // Only the last response on a connection is chunked here, so the last chunk ends the received bytes.
            guard received.suffix(5).elementsEqual("0\r\n\r\n".utf8) else { return nil }
            end = received.count
        } else {
            end = bodyStart + (status == 204 || status == 304 ? 0 : length ?? 0)
            guard received.count >= end else { return nil }
        }
        let response = Response(
            status: status, body: Array(received[bodyStart..<end]),
            isLast: lines.contains { $0.hasPrefix("connection:") && $0.hasSuffix("close") })
        taken = end
        if taken == received.count {
            received.removeAll(keepingCapacity: received.capacity <= piece.count)
            taken = 0
        }
        return response
    }

    /// The index after the empty line that ends a head; nil until the head is complete.
    private func endOfHead() -> Int? {
        received.withUnsafeBufferPointer { bytes in
            var index = taken + 3
            while index < bytes.count {
                if bytes[index] == 10, bytes[index - 1] == 13, bytes[index - 2] == 10, bytes[index - 3] == 13 {
                    return index + 1
                }
                index += 1
            }
            return nil
        }
    }

    private func write(_ bytes: [UInt8], from offset: Int, flags: Int32) -> Int {
        bytes.withUnsafeBytes { all in
            let rest = UnsafeRawBufferPointer(rebasing: all[offset...])
            return Glibc.send(descriptor, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL) | flags)
        }
    }

    private func set<Value>(_ level: Int32, _ option: Int32, _ value: Value) {
        _ = withUnsafeBytes(of: value) {
            setsockopt(descriptor, level, option, $0.baseAddress, socklen_t($0.count))
        }
    }

    private static func withAddress<Output>(
        _ origin: Origin, port: Int, _ body: (UnsafePointer<sockaddr>) -> Output
    ) -> Output {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        address.sin_addr.s_addr = (UInt32(0x7F00_0000) | origin.lastByte).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0) }
        }
    }
}

/// The bytes of an HTTP/1.1 request.
///
/// - Parameters:
///   - key: The API key; nil sends none.
///   - length: The `Content-Length`; nil for the length of the body.
///   - headers: Further header lines, without their line ends.
func requestBytes(
    _ method: String, _ path: String, key: String?, body: [UInt8]? = nil, length: Int? = nil,
    type: String = "application/json", headers: [String] = []
) -> [UInt8] {
    var head = "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if let key { head += "Authorization: Bearer \(key)\r\n" }
    for header in headers { head += header + "\r\n" }
    if let length = length ?? body?.count { head += "Content-Type: \(type)\r\nContent-Length: \(length)\r\n" }
    return Array((head + "\r\n").utf8) + (body ?? [])
}
