package import Glibc
import Synchronization

/// No free port was found.
package struct NoFreePort: Error, CustomStringConvertible {
    package let description = "no free port was found from 28000 to 31999"
}

/// Ports of the loopback interface. The range is below the kernel's range for outgoing connections, so that no outgoing
/// connection takes a port between two starts of a server. Each port is handed out at most once per process.
package enum LoopbackPorts {
    private static let given = Mutex<Set<Int>>([])

    /// Returns a port on which no server listened a moment ago. Throws after 200 attempts.
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

    /// Lends the closure a new TCP socket and the address of a loopback port.
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
