import Glibc

/// Another program that runs beside this one. Its standard output and error come through one pipe, its input is empty.
///
/// All functions block their thread; keep them off the event loops and the cooperative pool.
final class ChildProcess {
    let identifier: pid_t
    private let command: String
    private let output: Int32
    /// What was read after the last line.
    private var buffered: [UInt8] = []
    private var hasEnded = false

    /// Starts a program, found by its path or in `PATH`, with this process's environment.
    init(_ arguments: [String]) throws(PeerError) {
        precondition(!arguments.isEmpty, "a command has a name")
        command = arguments[0]
        var pipe: [Int32] = [-1, -1]
        guard Glibc.pipe(&pipe) == 0 else { throw Self.failure("pipe", errno) }
        // Neither this child's copies nor those of a later child may keep the pipe open.
        for end in pipe { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
            close(pipe[1])
        }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, pipe[1], 1)
        posix_spawn_file_actions_adddup2(&actions, pipe[1], 2)
        // A server blocks or ignores signals that the child must be able to hear.
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        var identifier: pid_t = 0
        let code = posix_spawnp(&identifier, arguments[0], &actions, &attributes, &pointers, environ)
        guard code == 0 else {
            close(pipe[0])
            throw Self.failure(arguments[0], code)
        }
        self.identifier = identifier
        output = pipe[0]
    }

    deinit {
        _ = stop()
        close(output)
    }

    /// Runs a program to its end and returns what it wrote.
    ///
    /// - Throws: with the end of its output when it fails.
    static func run(_ arguments: [String]) throws(PeerError) -> String {
        let process = try ChildProcess(arguments)
        let text = process.readToEnd()
        let status = process.wait()
        guard status == 0 else {
            throw PeerError(description: "\(arguments[0]) failed with \(status): \(text.suffix(1_000))")
        }
        return text
    }

    /// The next line of the output, without its end; nil when there is no more.
    func readLine() -> String? {
        while true {
            if let newline = buffered.firstIndex(of: 0x0A) {
                let line = String(decoding: buffered[..<newline], as: UTF8.self)
                buffered.removeSubrange(...newline)
                return line
            }
            guard readMore() else { return nil }
        }
    }

    /// The rest of the output, up to its end.
    func readToEnd() -> String {
        while readMore() {}
        return String(decoding: buffered, as: UTF8.self)
    }

    /// Asks the program to end, and waits until it has. Does nothing the second time.
    @discardableResult
    func stop() -> Int32 {
        guard !hasEnded else { return 0 }
        kill(identifier, SIGTERM)
        return wait()
    }

    /// Waits for the program's end: its exit status, or 128 and the signal that ended it, as a shell puts it.
    private func wait() -> Int32 {
        var status: Int32 = 0
        while waitpid(identifier, &status, 0) < 0, errno == EINTR {}
        hasEnded = true
        let signal = status & 0x7F
        return signal == 0 ? status >> 8 & 0xFF : 128 + signal
    }

    private func readMore() -> Bool {
        var piece = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(output, &piece, piece.count)
            if count > 0 {
                buffered.append(contentsOf: piece[..<count])
                return true
            }
            if count == 0 || errno != EINTR { return false }
        }
    }

    private static func failure(_ what: String, _ code: Int32) -> PeerError {
        PeerError(description: "\(what): \(String(cString: strerror(code)))")
    }
}
