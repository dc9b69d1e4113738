import Glibc

/// A file or a directory that could not be created or written.
package struct FileError: Error, CustomStringConvertible {
    package let description: String

    fileprivate init(_ what: String) {
        description = "\(what): \(String(cString: strerror(errno)))"
    }
}

/// The contents of a file as text; nil when it cannot be read.
package func readFile(_ path: String) -> String? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = fread(&piece, 1, piece.count, file)
        guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
        bytes.append(contentsOf: piece[..<count])
    }
}

/// Writes a file. Existing content is replaced.
package func writeFile(_ path: String, _ bytes: [UInt8]) throws(FileError) {
    guard let file = fopen(path, "w") else { throw FileError(path) }
    defer { fclose(file) }
    guard fwrite(bytes, 1, bytes.count, file) == bytes.count else { throw FileError(path) }
}

/// The names of the entries of a directory, in no particular order; empty when the directory cannot be read.
package func namesOfFiles(in path: String) -> [String] {
    guard let directory = opendir(path) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != ".", name != ".." { names.append(name) }
    }
    return names
}

/// Runs the closure with the path of a new temporary directory. At the end the directory and the files in it are
/// removed.
package func withTemporaryDirectory<Output>(_ body: (String) async throws -> Output) async throws -> Output {
    let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array("\(parent)/quotastack-\(String(repeating: "X", count: 6))".utf8CString)
    guard mkdtemp(&template) != nil else { throw FileError(parent) }
    let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer {
        for name in namesOfFiles(in: path) { unlink("\(path)/\(name)") }
        rmdir(path)
    }
    return try await body(path)
}
