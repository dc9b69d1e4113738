import ArgumentParser
import Glibc
import Ledger

/// A ledger export on disk, read line by line.
enum ExportFile {
    /// Checks every line.
    ///
    /// - Parameters:
    ///   - path: `-` is standard input.
    ///   - onProgress: Called every 10,000 lines.
    static func audit(_ path: String, onProgress: (ExportAudit) -> Void) throws -> ExportAudit {
        let file = path == "-" ? fdopen(STDIN_FILENO, "r") : fopen(path, "r")
        guard let file else { throw ValidationError("\(path): \(String(cString: strerror(errno)))") }
        defer { if path != "-" { fclose(file) } }
        var audit = ExportAudit()
        var buffer: UnsafeMutablePointer<CChar>?
        var capacity = 0
        defer { free(buffer) }
        while true {
            let length = getline(&buffer, &capacity, file)
            guard length >= 0, let buffer else { break }
            var line = buffer.withMemoryRebound(to: UInt8.self, capacity: length) { start in
                Array(UnsafeBufferPointer(start: start, count: length))
            }
            if line.last == UInt8(ascii: "\n") { line.removeLast() }
            audit.take(line)
            if audit.lines.isMultiple(of: 10_000) { onProgress(audit) }
        }
        guard ferror(file) == 0 else { throw ValidationError("\(path) could not be read to its end") }
        return audit
    }
}
