import ChildProcesses
import Glibc

/// Searches every log of a run for signs of a crash and for secrets.
struct LogCheck {
    /// API keys, passwords, and values that were sent as metadata.
    let secrets: Set<String>
    let violations: Violations

    private static let signsOfACrash = [
        "Fatal error", "Precondition failed", "Assertion failed", "Illegal instruction", "Segmentation fault",
        "stack smashing", "double free",
    ]

    func run(folder: String) {
        for path in files(folder) {
            guard let text = readFile(path) else { continue }
            for sign in Self.signsOfACrash where text.contains(sign) {
                violations.add("\(path) contains \"\(sign)\"")
            }
            for word in text.split(whereSeparator: { !$0.isASCII || !($0.isLetter || $0.isNumber || $0 == "_") })
            where secrets.contains(String(word)) {
                violations.add("\(path) contains a secret that begins with \(word.prefix(12))")
                break
            }
        }
    }

    private func files(_ folder: String) -> [String] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var paths: [String] = []
        while let item = readdir(directory) {
            let name = withUnsafePointer(to: &item.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name.contains(".log") { paths.append("\(folder)/\(name)") }
        }
        return paths.sorted()
    }
}
