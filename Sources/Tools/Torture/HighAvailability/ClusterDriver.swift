import Glibc
import Synchronization

/// Applies the faults of a cluster one after another, heals each, and measures what the probes saw meanwhile.
final class ClusterDriver: Sendable {
    /// The parts of an installation that a fault can reach.
    struct Target: Sendable {
        let cluster: Cluster
        let fleet: Fleet
        let http: HTTPCaller
    }

    /// The measurements of one fault, from its beginning until everything was whole again and a few seconds more.
    struct Row: Sendable {
        let fault: ClusterFault
        /// Without a decided mutation: on both nodes together, and on each.
        let decision: Duration
        let decisionByNode: [Duration]
        /// Without any 2xx to a mutation, 202 included, on both nodes together.
        let success: Duration
        /// Without a check, on the node with the longest time.
        let check: Duration
        let mutations: [AnswerTimeline.Meaning: Int]
        let checks: [AnswerTimeline.Meaning: Int]
        /// From the end of the fault until all servers were whole.
        let healed: Duration
        /// Runnable processes per core, at the end.
        let load: Double
    }

    private static let calm = Duration.seconds(5)

    private let faults: [ClusterFault]
    private let cluster: Cluster
    private let collected = Mutex<[Row]>([])

    init(faults: [ClusterFault], cluster: Cluster) {
        self.faults = faults
        self.cluster = cluster
    }

    var rows: [Row] { collected.withLock { $0 } }

    func run(_ installation: Installation, _ timeline: AnswerTimeline, _ violations: Violations) async throws {
        let target = Target(cluster: cluster, fleet: installation.fleet, http: installation.http)
        for fault in faults {
            try await Task.sleep(for: Self.calm)
            progress("\(fault.name)")
            let begin = ContinuousClock.now
            try await fault.apply(target)
            try await Task.sleep(until: begin + fault.lasts, clock: .continuous)
            let end = ContinuousClock.now
            try await cluster.call("heal")
            let healed = ContinuousClock.now - end
            try await installation.fleet.waitUntilReady(installation.http, within: 120)
            try await Task.sleep(for: Self.calm)
            let row = row(fault, installation.fleet, timeline, from: begin, to: .now, healed: healed)
            collected.withLock { $0.append(row) }
            progress(row.text)
            judge(row, violations)
        }
    }

    private func row(
        _ fault: ClusterFault, _ fleet: Fleet, _ timeline: AnswerTimeline, from begin: ContinuousClock.Instant,
        to end: ContinuousClock.Instant, healed: Duration
    ) -> Row {
        var averages = [0.0]
        getloadavg(&averages, 1)
        return Row(
            fault: fault, decision: timeline.longestGap(of: .mutation, [.done], from: begin, to: end),
            decisionByNode: fleet.apiNodes.map {
                timeline.longestGap(of: .mutation, at: $0.name, [.done], from: begin, to: end)
            },
            success: timeline.longestGap(of: .mutation, [.done, .accepted], from: begin, to: end),
            check: fleet.checkingNodes.map {
                timeline.longestGap(of: .check, at: $0.name, [.done], from: begin, to: end)
            }.max() ?? .zero,
            mutations: timeline.counts(of: .mutation, from: begin, to: end),
            checks: timeline.counts(of: .check, from: begin, to: end), healed: healed,
            load: averages[0] / Double(max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))))
    }

    private func judge(_ row: Row, _ violations: Violations) {
        if row.decision > row.fault.bounds.decision {
            violations.add(
                "\(row.fault.name): no mutation was decided for \(seconds(row.decision)), at most "
                    + "\(seconds(row.fault.bounds.decision)) is allowed")
        }
        if row.success > row.fault.bounds.success {
            violations.add(
                "\(row.fault.name): no mutation was answered 2xx for \(seconds(row.success)), at most "
                    + "\(seconds(row.fault.bounds.success)) is allowed")
        }
        if row.check > row.fault.bounds.check {
            violations.add(
                "\(row.fault.name): a node answered no check for \(seconds(row.check)), at most "
                    + "\(seconds(row.fault.bounds.check)) is allowed")
        }
        if let failed = row.mutations[.failed] {
            violations.add("\(row.fault.name): \(failed) mutations were answered with a 5xx other than 503")
        }
        let wrong = row.checks[.failed, default: 0] + row.checks[.refused, default: 0]
        if wrong > 0 { violations.add("\(row.fault.name): \(wrong) checks were answered 5xx") }
    }
}

extension ClusterDriver.Row {
    /// One line of the table.
    var text: String {
        func count(_ meaning: AnswerTimeline.Meaning) -> Int { mutations[meaning, default: 0] }
        let nodes = decisionByNode.map(seconds).joined(separator: "/")
        let wrongChecks = checks.filter { $0.key != .done }.values.reduce(0, +)
        return "| \(fault.name) | \(seconds(decision)) (\(nodes)) | \(seconds(success)) | \(seconds(check)) | "
            + "\(count(.done)) | \(count(.accepted)) | \(count(.refused))/\(count(.unknown)) | \(count(.failed)) | "
            + "\(count(.silent)) | \(checks[.done, default: 0])/\(wrongChecks) | \(seconds(healed)) | "
            + "\(Double(Int(load * 10)) / 10) |"
    }

    static let heading = """
        | fault | no decided mutation, s (each node) | no 2xx, s | no check on a node, s | decided | 202 | 503 refused/unknown \
        | other 5xx | no answer | checks 200/other | whole again, s | load per core |
        |---|---|---|---|---|---|---|---|---|---|---|---|
        """
}

private func seconds(_ duration: Duration) -> String {
    let tenths = Int((duration / .milliseconds(100)).rounded())
    return "\(tenths / 10).\(tenths % 10)"
}
