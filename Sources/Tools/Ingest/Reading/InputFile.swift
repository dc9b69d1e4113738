import Glibc

/// A regular file that stays open for reading until its last reference is gone.
final class InputFile: Sendable {
    /// The state of a file. A write changes at least the modification time.
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

        /// Whether both are states of the same file.
        func isSameFile(as other: Identity) -> Bool {
            device == other.device && number == other.number
        }
    }

    let path: String
    private let descriptor: Int32

    init(path: String) throws(IngestFailure) {
        // Without O_NONBLOCK, opening a named pipe would wait for a writer and not reach the check below.
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        self.path = path
        guard descriptor >= 0 else { throw .fileUnreadable(path: path, reason: SystemError.last) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw .fileUnreadable(path: path, reason: "it is not a regular file, which can be read twice")
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

    /// The identity of the file at a path; nil when there is none.
    static func identity(ofPath path: String) -> Identity? {
        var status = stat()
        return stat(path, &status) == 0 ? Identity(status) : nil
    }

    /// Reads from an offset until the buffer is full or the file ends.
    ///
    /// It blocks its thread while the disk works. A run has no other work on that thread: it only reads this file and
    /// waits for answers, which arrive on other threads.
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
    /// The text of `errno`. Read it directly after the failed call.
    static var last: String { String(cString: strerror(errno)) }
}
