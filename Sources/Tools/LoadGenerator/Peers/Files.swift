import Glibc

/// A directory for the files of a child process, removed with everything in it at the end of the closure.
func withTemporaryDirectory<Output>(_ body: (String) throws -> Output) throws -> Output {
    let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array("\(parent)/quotastack-bench-\(String(repeating: "X", count: 6))".utf8CString)
    guard mkdtemp(&template) != nil else {
        throw PeerError(description: "no directory in \(parent): \(String(cString: strerror(errno)))")
    }
    let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer {
        for name in namesOfFiles(in: path) { unlink("\(path)/\(name)") }
        rmdir(path)
    }
    return try body(path)
}

/// The names of the files in a directory.
func namesOfFiles(in path: String) -> [String] {
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

/// Writes a file that did not exist.
func writeFile(_ path: String, _ text: String) throws(PeerError) {
    guard let file = fopen(path, "wx") else {
        throw PeerError(description: "\(path): \(String(cString: strerror(errno)))")
    }
    fputs(text, file)
    fclose(file)
}

/// The contents of a file; nil when it cannot be read.
func readFile(_ path: String) -> String? {
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
