import Glibc
import Testing

/// A file that is removed when its last reference is gone.
final class TemporaryFile: Sendable {
    let path: String

    /// - Parameter ending: The ending of the file name, with its dot.
    init(_ text: String, ending: String = ".csv") throws {
        var template = Array("/tmp/quotastack-ingest-XXXXXX\(ending)".utf8CString)
        let descriptor = mkstemps(&template, Int32(ending.utf8.count))
        try #require(descriptor >= 0)
        close(descriptor)
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        try append(text)
    }

    deinit {
        unlink(path)
    }

    func append(_ text: String) throws {
        let file = try #require(fopen(path, "a"))
        fputs(text, file)
        fclose(file)
    }

    var text: String {
        get throws {
            let file = try #require(fopen(path, "r"))
            defer { fclose(file) }
            var bytes = [UInt8](repeating: 0, count: 1 << 20)
            let count = fread(&bytes, 1, bytes.count, file)
            return String(decoding: bytes[..<count], as: UTF8.self)
        }
    }
}
