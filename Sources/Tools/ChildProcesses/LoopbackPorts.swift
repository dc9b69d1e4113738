package import Glibc
import Synchronization

/// No port was free, in a sentence.
package struct NoFreePort: Error, CustomStringConvertible {
    package let description = "no free port was found from 28000 to 31999"
}

/// Ports of loopback below those that the kernel gives to outgoing connections, so that none is taken between two starts of
/// a server. Each is handed out once in the life of a process.
package enum LoopbackPorts {
    private static let given = Mutex<Set<Int>>([])

    /// A port that nobody listened on a moment ago.
    package static func next() throws(NoFreePort) -> Int {
        for _ in 0..<200 {
            let port = Int.random(in: 28_000..<32_000)
            guard given.withLock({ $0.insert(port).inserted }) else { continue }
            let isFree = withSocket(port: port) { descriptor, address in
                bind(descriptor, address, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
            if isFree { return port }
        }
        throw NoFreePort()
    }

    /// Lends a fresh TCP socket and the address of a port of loopback.
    package static func withSocket(port: Int, _ body: (Int32, UnsafePointer<sockaddr>) -> Bool) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body(descriptor, $0) }
        }
    }
}
