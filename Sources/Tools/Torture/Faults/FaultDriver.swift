import Glibc
import Synchronization

/// Applies the faults of a schedule to the fleet, one after another for each process and side by side for different
/// processes.
final class FaultDriver: Sendable {
    private let fleet: Fleet
    private let tally: FaultTally
    private let isOver: @Sendable () -> Bool
    private let chains = Mutex<[String: Task<Void, Never>]>([:])

    /// - Parameter isOver: Once it returns true, no new fault begins and frozen processes wake.
    init(fleet: Fleet, tally: FaultTally, isOver: @escaping @Sendable () -> Bool) {
        self.fleet = fleet
        self.tally = tally
        self.isOver = isOver
    }

    /// Runs until the storm is over. Returns when every process that a fault ended or froze runs again.
    func run(_ schedule: FaultSchedule) async {
        var schedule = schedule
        while !isOver() {
            let fault = schedule.next()
            await rest(fault.pause)
            append(fault)
        }
        for task in chains.withLock({ Array($0.values) }) { await task.value }
    }

    /// Applies the faults of one process in order: each waits until the previous one is over.
    private func append(_ fault: Fault) {
        let target = fleet.name(of: fault)
        chains.withLock { chains in
            let before = chains[target]
            chains[target] = Task {
                await before?.value
                guard !self.isOver() else { return }
                do {
                    try await self.apply(fault)
                } catch {
                    self.fleet.report("\(fault.name): \(error)")
                }
            }
        }
    }

    /// Waits for the duration, but not longer than the storm lasts.
    private func rest(_ duration: Duration) async {
        let deadline = ContinuousClock.now + duration
        while !isOver(), case let left = deadline - .now, left > .zero {
            try? await Task.sleep(for: min(left, .milliseconds(200)))
        }
    }

    private func apply(_ fault: Fault) async throws {
        switch fault.target {
        case .node(let role): try await apply(fault, to: fleet.node(role, fault.index))
        case .server(let name): try await apply(fault, to: fleet.server(name))
        }
        tally.count(fault)
    }

    private func apply(_ fault: Fault, to node: Node) async throws {
        switch fault.blow {
        case .kill: await node.kill()
        case .stop, .stopImmediately:
            await fleet.terminate(node)
        case .freeze:
            node.freeze()
            await rest(fault.lasts)
            node.thaw()
            return
        }
        await rest(fault.lasts)
        try await fleet.start(node)
    }

    private func apply(_ fault: Fault, to server: Server) async throws {
        tally.serverIsDown(server.name)
        if fault.blow == .freeze {
            server.freeze()
            await rest(fault.lasts)
            server.thaw()
        } else {
            let signal =
                switch (fault.blow, server.name) {
                case (.kill, _), (.freeze, _): SIGKILL
                case (.stop, .postgres): SIGINT
                case (.stopImmediately, _): SIGQUIT
                case (.stop, .rabbitmq): SIGTERM
                }
            try await server.end(by: signal)
            await rest(fault.lasts)
            try await server.start()
        }
        tally.serverIsBack(server.name, after: fault.blow)
    }
}

/// Counts faults, and measures the time from a server's return to the first mutation that succeeds.
final class FaultTally: Sendable {
    private struct State {
        var counts: [String: Int] = [:]
        var kills = 0
        var down: Set<Server.Name> = []
        var awaited: [(what: String, since: ContinuousClock.Instant)] = []
        var recoveries: [(what: String, took: Duration)] = []
    }

    private let state = Mutex(State())

    /// The number of SIGKILLs so far, over all processes.
    var kills: Int { state.withLock { $0.kills } }
    /// The number of faults by kind.
    var counts: [String: Int] { state.withLock { $0.counts } }
    /// The times from a server's return to the first mutation that was answered 2xx, by server and fault. A server that
    /// went down again before that is not included.
    var recoveries: [(what: String, took: Duration)] { state.withLock { $0.recoveries } }

    func count(_ fault: Fault) {
        state.withLock { state in
            state.counts[fault.name, default: 0] += 1
            if fault.blow == .kill { state.kills += 1 }
        }
    }

    func serverIsDown(_ name: Server.Name) {
        state.withLock { state in
            state.down.insert(name)
            state.awaited = []
        }
    }

    func serverIsBack(_ name: Server.Name, after blow: Fault.Blow) {
        state.withLock { state in
            state.down.remove(name)
            if state.down.isEmpty { state.awaited.append(("\(name.rawValue) after \(blow)", .now)) }
        }
    }

    /// Records that a mutation was answered 2xx.
    func mutationSucceeded() {
        state.withLock { state in
            guard !state.awaited.isEmpty else { return }
            let now = ContinuousClock.now
            state.recoveries += state.awaited.map { ($0.what, now - $0.since) }
            state.awaited = []
        }
    }
}
