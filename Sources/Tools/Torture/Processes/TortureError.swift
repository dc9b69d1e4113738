import Glibc
import Synchronization

/// A failure of the torture itself, not of the product.
struct TortureError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// An environment variable of this process; nil when it is unset or empty.
func environmentVariable(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
}

/// Writes a line to standard error, for progress.
func progress(_ text: String) {
    var text = "torture: \(text)\n"
    text.withUTF8 { bytes in _ = write(STDERR_FILENO, bytes.baseAddress, bytes.count) }
}
