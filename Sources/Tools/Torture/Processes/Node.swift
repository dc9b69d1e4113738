import ChildProcesses
import Glibc
import Synchronization

/// One process of the installation, which is started again whenever it has ended.
final class Node: Sendable {
    enum Role: String, Sendable, CaseIterable {
        case ledger, api, entitlements, scheduler
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
        /// Rises with every freeze and every start: a request during which it rose was not the node's to answer in time.
        var disturbances = 0
        /// How often it was started.
        var starts = 0
        /// The starts whose process we have ended, or asked to end.
        var wantedEnds: Set<Int> = []
        /// The folder of the executables for its next starts.
        var programs: String
        /// What its next starts are told beside its environment.
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

    /// Whether it is frozen, and how often it was disturbed so far.
    var disturbance: (isFrozen: Bool, count: Int) { state.withLock { ($0.isFrozen, $0.disturbances) } }

    /// What a variable is for the starts to come; nil takes it away.
    func order(_ variable: String, _ value: String?) {
        state.withLock { $0.orders[variable] = value }
    }

    /// Takes the executable of the starts to come from another folder.
    func update(to programs: String) {
        state.withLock { $0.programs = programs }
    }

    /// The failpoint at which the process ended itself, if that is the last thing in its log.
    var failpoint: String? {
        guard let line = readFile(logPath)?.split(separator: "\n").last, line.hasPrefix("failpoint "),
            line.hasSuffix(": kill")
        else { return nil }
        return String(line.dropFirst("failpoint ".count).dropLast(": kill".count))
    }

    /// Whether something listens on its port.
    var isListening: Bool {
        LoopbackPorts.withSocket(port: port) { descriptor, address in
            connect(descriptor, address, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
    }

    /// Starts the process; does not wait until it is ready.
    ///
    /// - Returns: The process, and a function that says whether we have wanted its end; nil when it runs already.
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
            ["\(programs)/quotastack-\(role.rawValue)"], environment: environment.merging(orders) { _, new in new },
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

    /// Asks the process to end, and insists after so many seconds.
    ///
    /// - Returns: Its exit status; nil when it had to be killed.
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

    /// Stops the process where it is.
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
