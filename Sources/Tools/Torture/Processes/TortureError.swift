import Glibc
import Synchronization

/// Something that went wrong in the torture itself, in a sentence.
struct TortureError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// A variable of this process's environment; nil when it is empty.
func environmentVariable(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
}

/// Writes a line to standard error, for progress.
func progress(_ text: String) {
    var text = "torture: \(text)\n"
    text.withUTF8 { bytes in _ = write(STDERR_FILENO, bytes.baseAddress, bytes.count) }
}
