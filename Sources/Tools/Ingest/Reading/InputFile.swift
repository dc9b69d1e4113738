import Glibc

/// A regular file, open for reading until nobody refers to it any more.
final class InputFile: Sendable {
    /// What tells one state of a file from another. A file that is written to differs at least in its time.
    struct Identity: Sendable, Equatable {
        var device: UInt64
        var number: UInt64
        var size: Int
        var modifiedSeconds: Int
        var modifiedNanoseconds: Int

        fileprivate init(_ status: stat) {
            device = UInt64(status.st_dev)
            number = UInt64(status.st_ino)
            size = Int(status.st_size)
            modifiedSeconds = Int(status.st_mtim.tv_sec)
            modifiedNanoseconds = Int(status.st_mtim.tv_nsec)
        }

        /// Whether both are the same file, written to or not.
        func isSameFile(as other: Identity) -> Bool {
            device == other.device && number == other.number
        }
    }

    let path: String
    private let descriptor: Int32

    init(path: String) throws(IngestFailure) {
        // Without O_NONBLOCK, opening a named pipe would wait for a writer instead of being refused.
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        self.path = path
        guard descriptor >= 0 else { throw .fileUnreadable(path: path, reason: SystemError.last) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw .fileUnreadable(path: path, reason: "it is not a regular file, and it has to be read twice")
        }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    var identity: Identity {
        get throws(IngestFailure) {
            var status = stat()
            guard fstat(descriptor, &status) == 0 else {
                throw .fileUnreadable(path: path, reason: SystemError.last)
            }
            return Identity(status)
        }
    }

    /// The identity of what a path leads to; nil when there is nothing.
    static func identity(ofPath path: String) -> Identity? {
        var status = stat()
        return stat(path, &status) == 0 ? Identity(status) : nil
    }

    /// Reads from an offset, as many bytes as there is room for and fewer only at the end of the file.
    ///
    /// It blocks its thread for as long as the disk takes. A run has nothing else to do than to read this file and to
    /// wait for answers, which arrive on threads of their own.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(IngestFailure) -> Int {
        var count = 0
        while count < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[count...])
            let read = pread(descriptor, rest.baseAddress, rest.count, offset + count)
            if read == 0 { break }
            if read > 0 {
                count += read
            } else if errno != EINTR {
                throw .fileUnreadable(path: path, reason: SystemError.last)
            }
        }
        return count
    }
}

enum SystemError {
    /// The text of `errno`, as it stands directly after a failed call.
    static var last: String { String(cString: strerror(errno)) }
}
