import Glibc
import Synchronization

/// Something that went wrong in the torture itself, in a sentence.
struct TortureError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// Asks again and again, 20 ms apart, until the condition holds.
func waitUntil(_ what: String, within seconds: Int = 60, _ condition: () async throws -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while try await !condition() {
        guard ContinuousClock.now < deadline else {
            throw TortureError("after \(seconds) s it is still not so that \(what)")
        }
        try await Task.sleep(for: .milliseconds(20))
    }
}

/// A variable of this process's environment; nil when it is empty.
func environmentVariable(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
}

/// A file's contents as text; nil when it cannot be read.
func readFile(_ path: String) -> String? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = fread(&piece, 1, piece.count, file)
        if count == 0 { return String(decoding: bytes, as: UTF8.self) }
        bytes.append(contentsOf: piece[..<count])
    }
}

/// Makes a file of bytes.
func writeFile(_ path: String, _ bytes: [UInt8]) throws {
    guard let file = fopen(path, "w") else { throw TortureError("\(path) cannot be written") }
    defer { fclose(file) }
    guard fwrite(bytes, 1, bytes.count, file) == bytes.count else { throw TortureError("\(path) is not whole") }
}

/// Writes a line to standard error, for progress.
func progress(_ text: String) {
    var text = "torture: \(text)\n"
    text.withUTF8 { bytes in _ = write(STDERR_FILENO, bytes.baseAddress, bytes.count) }
}

/// Lends a fresh TCP socket and the address of a port of loopback.
func withLoopback(port: Int, _ body: (Int32, UnsafePointer<sockaddr>) -> Bool) -> Bool {
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

/// Ports of loopback below those that the kernel gives to outgoing connections, each handed out once.
final class FreePorts: Sendable {
    private let given = Mutex<Set<Int>>([])

    func next() throws -> Int {
        for _ in 0..<200 {
            let port = Int.random(in: 28_000..<32_000)
            guard given.withLock({ $0.insert(port).inserted }) else { continue }
            let isFree = withLoopback(port: port) { descriptor, address in
                bind(descriptor, address, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
            if isFree { return port }
        }
        throw TortureError("no free port was found from 28000 to 31999")
    }
}
