import Glibc
import Synchronization

/// A TCP proxy on loopback in front of a server, which can cut connections, freeze them, or stop listening.
package final class Proxy: Sendable {
    private struct State {
        var listener: Int32 = -1
        var sockets: Set<Int32> = []
        var frozen = false
        var answersHeld = false
        var ended = false
    }

    private let state = Mutex(State())
    private let target: UInt16
    package let port: UInt16

    /// - Parameter target: A port on 127.0.0.1.
    package init(target: UInt16) {
        self.target = target
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var one: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, 4)
        var address = loopback(0)
        precondition(withAddress(&address) { bind(listener, $0, $1) } == 0 && listen(listener, 64) == 0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) {
            _ = $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(listener, $0, &length) }
        }
        port = UInt16(bigEndian: address.sin_port)
        state.withLock { $0.listener = listener }
        startThread { self.acceptConnections(listener) }
    }

    /// Breaks all current connections. New connections are possible at once.
    package func cut() {
        state.withLock { state in
            for socket in state.sockets { _ = shutdown(socket, Int32(SHUT_RDWR)) }
        }
    }

    /// Stops all traffic in both directions without closing connections.
    package func freeze() { state.withLock { $0.frozen = true } }

    /// Stops the traffic from the server to its clients.
    package func holdAnswers() { state.withLock { $0.answersHeld = true } }

    /// Resumes all traffic, including data that was held back.
    package func thaw() { state.withLock { ($0.frozen, $0.answersHeld) = (false, false) } }

    /// Closes the listener and all connections permanently.
    package func end() {
        state.withLock { state in
            state.ended = true
            _ = shutdown(state.listener, Int32(SHUT_RDWR))
            for socket in state.sockets { _ = shutdown(socket, Int32(SHUT_RDWR)) }
        }
    }

    private func acceptConnections(_ listener: Int32) {
        while true {
            let client = accept(listener, nil, nil)
            guard client >= 0 else { break }
            let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = loopback(target)
            guard withAddress(&address, { connect(server, $0, $1) }) == 0 else {
                close(client)
                close(server)
                continue
            }
            state.withLock { $0.sockets.formUnion([client, server]) }
            startThread { self.forward(client, server) }
        }
        close(listener)
    }

    /// Forwards one connection on its own thread. A frozen proxy does not read, so a sender's socket buffer fills in
    /// the end.
    private func forward(_ client: Int32, _ server: Int32) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        outer: while true {
            let (frozen, answersHeld, ended) = state.withLock { ($0.frozen, $0.answersHeld, $0.ended) }
            if ended { break }
            var entries = [
                pollfd(fd: client, events: frozen ? 0 : Int16(POLLIN), revents: 0),
                pollfd(fd: server, events: frozen || answersHeld ? 0 : Int16(POLLIN), revents: 0),
            ]
            // The timeout lets the loop notice a change of state.
            _ = poll(&entries, 2, 20)
            for (entry, destination) in [(entries[0], server), (entries[1], client)] where entry.revents != 0 {
                if entry.events == 0 {
                    if entry.revents & Int16(POLLHUP | POLLERR) != 0 { break outer }
                    continue
                }
                let count = read(entry.fd, &buffer, buffer.count)
                guard count > 0 else { break outer }
                var sent = 0
                while sent < count {
                    let written = buffer[sent..<count].withUnsafeBytes {
                        send(destination, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                    }
                    guard written > 0 else { break outer }
                    sent += written
                }
            }
        }
        state.withLock { state in
            state.sockets.subtract([client, server])
            close(client)
            close(server)
        }
    }
}

private func loopback(_ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return address
}

private func withAddress<Value>(
    _ address: inout sockaddr_in, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Value
) -> Value {
    withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
}

private func startThread(_ body: @escaping @Sendable () -> Void) {
    final class Start {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let start = Unmanaged.passRetained(Start(body))
    pthread_create(
        &thread, nil,
        { argument in
            guard let argument else { return nil }
            Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().body()
            return nil
        }, start.toOpaque())
    pthread_detach(thread)
}
