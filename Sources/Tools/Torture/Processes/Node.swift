import ChildProcesses
import Glibc
import Synchronization

/// One process of the installation. `Fleet` restarts it whenever it has ended.
final class Node: Sendable {
    enum Role: String, Sendable, CaseIterable {
        case ledger, api, entitlements, scheduler, webhooks
    }

    let role: Role
    let name: String
    let port: Int
    let logPath: String
    private let environment: [String: String]
    private let state: Mutex<State>

    private struct State {
        var process: ChildProcess?
        var isStarting = false
        var isFrozen = false
        /// Grows with every freeze, thaw, start and end. A request during which it grew says nothing about the node's
        /// speed.
        var disturbances = 0
        /// The number of starts.
        var starts = 0
        /// The starts whose process the torture has killed or asked to end.
        var wantedEnds: Set<Int> = []
        /// The folder of the executables of later starts.
        var programs: String
        /// Further environment variables of later starts.
        var orders: [String: String] = [:]
    }

    init(role: Role, number: Int, port: Int, programs: String, environment: [String: String], logFolder: String) {
        self.role = role
        self.port = port
        state = Mutex(State(programs: programs))
        name = "\(role.rawValue)-\(number)"
        logPath = "\(logFolder)/\(name).log"
        self.environment = environment.merging(["QUOTASTACK_PORT": "\(port)"]) { _, new in new }
    }

    var url: String { "http://127.0.0.1:\(port)" }

    /// The id of the process; nil when it does not run.
    var identifier: pid_t? { state.withLock { $0.process?.identifier } }

    /// Whether the process is frozen, and the number of its disturbances so far.
    var disturbance: (isFrozen: Bool, count: Int) { state.withLock { ($0.isFrozen, $0.disturbances) } }

    /// Sets an environment variable for later starts; nil removes it.
    func order(_ variable: String, _ value: String?) {
        state.withLock { $0.orders[variable] = value }
    }

    /// Sets the folder of the executables of later starts.
    func update(to programs: String) {
        state.withLock { $0.programs = programs }
    }

    /// The failpoint at which the process ended itself; nil unless the last line of its log names one.
    var failpoint: String? {
        guard let line = readFile(logPath)?.split(separator: "\n").last, line.hasPrefix("failpoint "),
            line.hasSuffix(": kill")
        else { return nil }
        return String(line.dropFirst("failpoint ".count).dropLast(": kill".count))
    }

    /// Whether a server listens on the port.
    var isListening: Bool {
        LoopbackPorts.withSocket(port: port) { descriptor, address in
            connect(descriptor, address, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
    }

    /// The command that starts a process with the soft limit of open files that most systems give. This process may
    /// have a higher one.
    private static let usualLimits = ["/usr/bin/prlimit", "--nofile=1024:", "--"]

    /// Starts the process without waiting until it is ready.
    ///
    /// - Returns: The process, and a function that tells whether its end was wanted; nil when it runs already.
    func start() async throws -> (process: ChildProcess, isEndWanted: @Sendable () -> Bool)? {
        let mayStart = state.withLock { state in
            guard !state.isStarting, state.process?.hasEnded != false else { return false }
            state.isStarting = true
            return true
        }
        guard mayStart else { return nil }
        let (programs, orders) = state.withLock { ($0.programs, $0.orders) }
        defer { state.withLock { $0.isStarting = false } }
        let process = try await ChildProcess.start(
            Self.usualLimits + ["\(programs)/quotastack-\(role.rawValue)"],
            environment: environment.merging(orders) { _, new in new },
            logPath: logPath)
        let start = state.withLock { state in
            state.process = process
            state.isFrozen = false
            state.starts += 1
            state.disturbances += 1
            return state.starts
        }
        return (process, { self.state.withLock { $0.wantedEnds.contains(start) } })
    }

    func kill() async {
        guard let process = wantEnd() else { return }
        process.signal(SIGKILL)
        _ = await process.ended()
        state.withLock { $0.disturbances += 1 }
    }

    /// Asks the process to end, and kills it after the given number of seconds.
    ///
    /// - Returns: The exit status; nil when the process had to be killed.
    func terminate(within seconds: Int) async -> Int32? {
        guard let process = wantEnd() else { return 0 }
        process.signal(SIGTERM)
        let patience = Task {
            try await Task.sleep(for: .seconds(seconds))
            process.signal(SIGKILL)
        }
        let status = await process.ended()
        patience.cancel()
        state.withLock { $0.disturbances += 1 }
        return status == 128 + SIGKILL ? nil : status
    }

    /// Suspends the process.
    func freeze() {
        state.withLock { state in
            state.isFrozen = true
            state.disturbances += 1
            state.process?.signal(SIGSTOP)
        }
    }

    func thaw() {
        state.withLock { state in
            guard state.isFrozen else { return }
            state.process?.signal(SIGCONT)
            state.isFrozen = false
            state.disturbances += 1
        }
    }

    private func wantEnd() -> ChildProcess? {
        state.withLock { state in
            state.wantedEnds.insert(state.starts)
            return state.process
        }
    }
}
