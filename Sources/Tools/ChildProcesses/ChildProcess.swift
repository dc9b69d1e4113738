package import Glibc
import Synchronization

/// A child process that is killed when this process ends.
///
/// A dedicated thread starts the program and waits for its end: `setpriv --pdeathsig` ties a child to the thread that
/// created it, and a thread of the cooperative pool may end at any time.
package final class ChildProcess: Sendable {
    /// The file to which standard output and standard error are appended.
    package let logPath: String
    private let state = Mutex(State())

    private struct State {
        var identifier: pid_t = 0
        var startFailure: Int32 = 0
        /// The exit status, or 128 plus the number of the signal that ended the process, as in a shell; 127 when the
        /// process could not be started, nil while it runs.
        var status: Int32?
        var started: CheckedContinuation<Void, Never>?
        var waiting: [CheckedContinuation<Int32, Never>] = []
    }

    private init(logPath: String) {
        self.logPath = logPath
    }

    /// The environment variables of this process.
    package static var inheritedEnvironment: [String: String] {
        var variables: [String: String] = [:]
        var next = environ
        while let entry = next.pointee {
            let parts = String(cString: entry).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            variables[String(parts[0])] = parts.count > 1 ? String(parts[1]) : ""
            next += 1
        }
        return variables
    }

    /// Starts a program, given by its path or looked up in PATH, with exactly the given environment variables. The
    /// output is appended to the log file.
    package static func start(
        _ arguments: [String], environment: [String: String], logPath: String
    ) async throws -> ChildProcess {
        let process = ChildProcess(logPath: logPath)
        let variables = environment.map { "\($0.key)=\($0.value)" }
        let command = ["/usr/bin/setpriv", "--pdeathsig", "KILL", "--"] + arguments
        await withCheckedContinuation { continuation in
            process.state.withLock { $0.started = continuation }
            runOnThread { process.run(command, variables) }
        }
        let failure = process.state.withLock { $0.startFailure }
        guard failure == 0 else {
            throw StartFailure(description: "\(command.joined(separator: " ")): \(String(cString: strerror(failure)))")
        }
        return process
    }

    /// Runs a program to its end with the environment variables of this process.
    ///
    /// - Returns: The standard output and standard error of the program.
    /// - Throws: `CommandFailure` when the exit status is not 0.
    package static func output(of arguments: [String]) async throws -> String {
        try await withTemporaryDirectory { directory in
            let result = try await run(
                arguments, environment: inheritedEnvironment, logPath: "\(directory)/output")
            guard result.status == 0 else {
                throw CommandFailure(
                    description:
                        "\(arguments.first ?? "") failed with status \(result.status): \(result.output.suffix(1_000))")
            }
            return result.output
        }
    }

    /// Runs a program to its end. An existing log file is removed first.
    package static func run(
        _ arguments: [String], environment: [String: String], logPath: String
    ) async throws -> (status: Int32, output: String) {
        _ = unlink(logPath)
        let process = try await start(arguments, environment: environment, logPath: logPath)
        let status = await process.ended()
        return (status, process.log)
    }

    /// The id of the process; nil when it has ended. It belongs to no other process until this one is reaped.
    package var identifier: pid_t? { state.withLock { $0.status == nil ? $0.identifier : nil } }

    package var hasEnded: Bool { state.withLock { $0.status != nil } }

    /// Waits for the end of the process and returns its status; returns at once when the process has ended.
    package func ended() async -> Int32 {
        await withCheckedContinuation { continuation in
            let status = state.withLock { state -> Int32? in
                if state.status == nil { state.waiting.append(continuation) }
                return state.status
            }
            if let status { continuation.resume(returning: status) }
        }
    }

    /// Sends a signal. Does nothing when the process has ended, because its number may belong to another process by
    /// then.
    package func signal(_ number: Int32) {
        state.withLock { state in
            if state.status == nil { _ = kill(state.identifier, number) }
        }
    }

    /// Everything that the process has written so far; empty when the log file cannot be read.
    package var log: String { readFile(logPath) ?? "" }

    private func run(_ arguments: [String], _ variables: [String]) {
        var identifier: pid_t = 0
        let failure = spawn(arguments, variables, &identifier)
        let started = state.withLock { state in
            state.identifier = identifier
            state.startFailure = failure
            if failure != 0 { state.status = 127 }
            defer { state.started = nil }
            return state.started
        }
        started?.resume()
        guard failure == 0 else { return }
        // The process is reaped under the lock that guards `status`, so that `signal` never uses a number that is free
        // again.
        var information = siginfo_t()
        while waitid(P_PID, id_t(identifier), &information, WEXITED | WNOWAIT) < 0, errno == EINTR {}
        let (status, waiting) = state.withLock { state in
            var code: Int32 = 0
            while waitpid(identifier, &code, 0) < 0, errno == EINTR {}
            let signal = code & 0x7F
            let status = signal == 0 ? code >> 8 & 0xFF : 128 + signal
            state.status = status
            defer { state.waiting = [] }
            return (status, state.waiting)
        }
        for continuation in waiting { continuation.resume(returning: status) }
    }

    private func spawn(_ arguments: [String], _ variables: [String], _ identifier: inout pid_t) -> Int32 {
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, logPath, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var argumentPointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        var variablePointers: [UnsafeMutablePointer<CChar>?] = variables.map { strdup($0) } + [nil]
        defer { for pointer in argumentPointers + variablePointers { free(pointer) } }
        return posix_spawn(&identifier, arguments[0], &actions, &attributes, &argumentPointers, &variablePointers)
    }
}

/// A program that ended with a status other than 0.
package struct CommandFailure: Error, CustomStringConvertible {
    package let description: String
}

/// A program that could not be started.
package struct StartFailure: Error, CustomStringConvertible {
    package let description: String
}

/// Runs blocking work on a thread of its own.
package func runOnThread(_ body: @escaping @Sendable () -> Void) {
    final class Work {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let work = Unmanaged.passRetained(Work(body))
    let failure = pthread_create(
        &thread, nil,
        { context in
            guard let context else { return nil }
            Unmanaged<Work>.fromOpaque(context).takeRetainedValue().body()
            return nil
        }, work.toOpaque())
    precondition(failure == 0, "no thread could be started")
    pthread_detach(thread)
}
