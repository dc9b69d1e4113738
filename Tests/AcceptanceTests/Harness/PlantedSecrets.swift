import Glibc
import Synchronization

/// Texts that no log may contain: keys, passwords of servers, and the data that tests mark as a tenant's.
///
/// All logs of the suite are searched for these texts when an installation is removed.
enum PlantedSecrets {
    /// The word in everything that `SecretLeakTests` sends. The end user of most other tests is alice.
    static let word = "canary"
    private static let words = [word, "alice", "Confidential", "qs_live_", "qs_test_", "qs_root_", "whsec_"]
    private static let passwords = Mutex<Set<String>>([])

    /// Remembers the passwords in the URLs among the variables of a process.
    static func remember(passwordsIn environment: [String: String]) {
        for value in environment.values {
            guard let start = value.firstRange(of: "://"), let end = value[start.upperBound...].firstIndex(of: "@"),
                let colon = value[start.upperBound..<end].firstIndex(of: ":")
            else { continue }
            let password = String(value[value.index(after: colon)..<end])
            if password.utf8.count >= 8 { passwords.withLock { _ = $0.insert(password) } }
        }
    }

    /// The lines of a log that contain a forbidden text.
    static func lines(of log: String) -> [String] {
        var log = log
        let forbidden = words + passwords.withLock { Array($0) }
        guard forbidden.contains(where: { log.contains(bytes: $0) }) else { return [] }
        return log.split(separator: "\n").map(String.init).filter { line in
            var line = line
            return forbidden.contains { line.contains(bytes: $0) }
        }
    }
}

extension String {
    /// Searches the bytes, because a log is long.
    fileprivate mutating func contains(bytes part: String) -> Bool {
        let part = Array(part.utf8)
        return withUTF8 { text in
            guard var place = UnsafeRawPointer(text.baseAddress), let first = part.first else { return false }
            let end = place + text.count
            while place + part.count <= end, let found = memchr(place, Int32(first), end - place) {
                let start = UnsafeRawPointer(found)
                guard start + part.count <= end else { return false }
                if memcmp(start, part, part.count) == 0 { return true }
                place = start + 1
            }
            return false
        }
    }
}
