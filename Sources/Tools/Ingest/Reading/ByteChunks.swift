/// The bytes of an input, chunk by chunk, without a byte order mark at the beginning.
struct ByteChunks {
    /// Large enough that a system call costs little compared with the work on its bytes.
    static let usualSize = 256 * 1024

    private enum Source {
        case file(InputFile, InputFile.Identity)
        case memory([UInt8])
    }

    /// The current chunk; empty before the first `advance()` and after the last.
    private(set) var bytes: [UInt8] = []
    /// The offset of the current chunk in the input.
    private(set) var offset = 0
    private let source: Source
    private let size: Int
    private var nextOffset = 0

    /// - Parameter identity: The state of the file when it was first opened; reading fails when the state has changed.
    init(file: InputFile, identity: InputFile.Identity) {
        source = .file(file, identity)
        size = Self.usualSize
    }

    /// - Parameter size: The size of a chunk, at least 3.
    init(_ bytes: [UInt8], size: Int) {
        source = .memory(bytes)
        self.size = max(3, size)
    }

    /// Moves to the next chunk; false at the end of the input.
    mutating func advance() throws(IngestFailure) -> Bool {
        let isFirst = nextOffset == 0
        offset = nextOffset
        try fill()
        nextOffset += bytes.count
        // Every chunk but the last is full, so the byte order mark is never cut in two.
        if isFirst, bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
            bytes.removeFirst(3)
            offset = 3
            if bytes.isEmpty { return try advance() }
        }
        return !bytes.isEmpty
    }

    private mutating func fill() throws(IngestFailure) {
        switch source {
        case .memory(let all):
            bytes = Array(all[nextOffset..<min(all.count, nextOffset + size)])
        case .file(let file, let identity):
            guard try file.identity == identity else { throw .fileChanged(path: file.path) }
            if bytes.count < size { bytes = [UInt8](repeating: 0, count: size) }
            var count = 0
            do {
                count = try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: nextOffset) }
            } catch let failure as IngestFailure {
                throw failure
            } catch {
                throw .fileUnreadable(path: file.path, reason: "\(error)")
            }
            bytes.removeLast(size - count)
        }
    }
}
