import ChildProcesses
import Glibc
import JSON

/// Measures tenant B and the health of a node, first undisturbed, then during each abuse by another tenant or by a
/// caller without a key.
struct Neighbours {
    let installation: Installation
    let abuses: [Abuse]
    /// The seconds of each measurement.
    let seconds: Int
    let bounds: NeighboursReport.Bounds

    /// The undisturbed measurement lasts this many times longer, so that its p99 is that of a longer time.
    private static let calmTimes = 2
    /// The seconds in which everything must be as before after an abuse.
    private static let recovery = 30

    private var node: Node { installation.fleet.node(.api, 0) }
    private var worker: Node { installation.fleet.node(.ledger, 0) }
    private var bystander: Bystander {
        Bystander(port: node.port, key: installation.environments[2].apiKey)
    }

    /// Runs all abuses. After an abuse from which the installation does not recover, it is restarted with empty queues;
    /// when that does not help, the run ends.
    func run() async throws -> NeighboursReport {
        try raiseDescriptorLimit()
        if prioritiesEndAtSessions {
            progress("abusers have the priority of the installation: set kernel.sched_autogroup_enabled to 0")
        }
        try await bystander.prepare()
        _ = await bystander.watch(seconds: 3)
        progress("undisturbed for \(seconds * Self.calmTimes) s")
        var report = NeighboursReport(
            bounds: bounds, undisturbed: await bystander.watch(seconds: seconds * Self.calmTimes))
        for abuse in abuses {
            progress("\(abuse.name): preparing")
            let hasRecovered: Bool
            do {
                let row = try await measure(abuse)
                report.add(row)
                progress("\(abuse.name): \(report.broken(by: row))")
                hasRecovered = row.hasRecovered
            } catch {
                report.note("\(abuse.name): it could not be prepared: \(error)")
                hasRecovered = await bystander.isUndisturbed()
            }
            if !hasRecovered, try await !restart() {
                let left = abuses.drop { $0.name != abuse.name }.dropFirst().map(\.name)
                report.note("\(abuse.name): tenant B is disturbed after a restart too; not run: \(left)")
                break
            }
        }
        let reported = installation.fleet.reports.count
        await installation.fleet.stop()
        for sentence in installation.fleet.reports.dropFirst(reported) { report.note("at the end: \(sentence)") }
        return report
    }

    private func measure(_ abuse: Abuse) async throws -> NeighboursReport.Row {
        let reported = installation.fleet.reports.count
        let works = try await abuse.prepare(try await newAbuser(abuse))
        let wasReady = try await holds(within: Self.recovery) { await bystander.isUndisturbed() }
        var footprints = [Footprints(of: node.identifier), Footprints(of: worker.identifier)]
        let tally = AbuseTally()
        progress("\(abuse.name): abusing")
        async let abused: Void = onThreads(works.map { work in { @Sendable in work(tally) } })
        async let watched = bystander.watch(seconds: seconds)
        let end = ContinuousClock.now + .seconds(seconds)
        while ContinuousClock.now < end {
            try await Task.sleep(for: .milliseconds(250))
            sample(&footprints)
        }
        let figures = await watched
        tally.end()
        await abused
        let isBack = try await holds(within: Self.recovery) {
            sample(&footprints)
            return footprints.allSatisfy(\.isBack)
        }
        let isCalm = try await holds(within: Self.recovery) { await bystander.isUndisturbed() }
        var reports = Array(installation.fleet.reports.dropFirst(reported))
        if !wasReady { reports.append("tenant B was disturbed by the preparation already") }
        if tally.answers.isEmpty { reports.append("the abuser was answered nothing") }
        if !isCalm { reports.append("tenant B is still disturbed \(Self.recovery) s after the end") }
        return NeighboursReport.Row(
            abuse: abuse, answers: tally.answers, figures: figures, node: footprints[0], worker: footprints[1],
            isMemoryBack: isBack, hasRecovered: isCalm, reports: reports)
    }

    private func sample(_ footprints: inout [Footprints]) {
        footprints[0].sample(node.identifier)
        footprints[1].sample(worker.identifier)
    }

    /// Makes a tenant of its own for an abuse, so that abuses do not add up.
    private func newAbuser(_ abuse: Abuse) async throws -> Abuser {
        let body = #"{"name":"\#(abuse.name)"}"#
        let maker = Abuser(port: node.port, key: installation.rootKey, testKey: "")
        let made = try JSONParser.parse(
            try await maker.send(maker.call("POST", "/v1/admin/tenants", body)).body)
        guard let live = made["api_keys"]?["live"]?.text, let test = made["api_keys"]?["test"]?.text else {
            throw TortureError("a new tenant has no keys: \(made)")
        }
        return Abuser(port: node.port, key: live, testKey: test)
    }

    /// Kills all processes, empties the queues, and starts all processes.
    ///
    /// - Returns: Whether tenant B is undisturbed then.
    private func restart() async throws -> Bool {
        let fleet = installation.fleet
        progress("restarting all processes with empty queues")
        for node in fleet.nodes { await node.kill() }
        for queue in try await fleet.rabbitmq.queues().keys where queue.hasPrefix(Installation.queuePrefix) {
            try await fleet.rabbitmq.deleteQueue(queue)
        }
        try await installation.migrate()
        for node in fleet.nodes { try await fleet.start(node) }
        try await installation.fleet.waitUntilReady(installation.http)
        return try await holds(within: Self.recovery) { await bystander.isUndisturbed() }
    }

    /// Whether a condition becomes true in time.
    private func holds(within seconds: Int, _ condition: () async throws -> Bool) async throws -> Bool {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while true {
            if try await condition() { return true }
            guard ContinuousClock.now < deadline else { return false }
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    /// Raises the limit of open files of this process, which holds thousands of connections.
    private func raiseDescriptorLimit() throws {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = limit.rlim_max
        guard setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur >= 8_192 else {
            throw TortureError("this experiment needs 8,192 open files: raise ulimit -H -n")
        }
    }
}
