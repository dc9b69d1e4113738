/// Makes processes end themselves at one failpoint after another, until each was hit often enough.
struct FailpointDriver {
    let fleet: Fleet
    /// Names as `quotastack failpoints` lists them.
    let failpoints: [String]
    /// The number of hits that each failpoint needs.
    let hits: Int
    let violations: Violations
    private static let patience = Duration.seconds(120)

    func run() async throws {
        for failpoint in failpoints {
            let nodes = fleet.nodes.filter { Self.roles(of: failpoint).contains($0.role) }
            try await order("\(failpoint):kill:\(Self.trigger(of: failpoint))", nodes)
            let deadline = ContinuousClock.now + Self.patience
            for turn in 1... {
                if count(failpoint) >= hits || ContinuousClock.now >= deadline { break }
                try await Task.sleep(for: .milliseconds(100))
                // A failpoint of the start is passed again only after another start.
                if Self.isPassedAtStart(failpoint), turn % 10 == 0 {
                    let node = nodes[turn / 10 % nodes.count]
                    await node.kill()
                    try await fleet.start(node)
                }
            }
            progress("\(failpoint): \(count(failpoint)) hits")
            if count(failpoint) < hits {
                violations.add("\(failpoint) was hit \(count(failpoint)) times in \(Self.patience), not \(hits)")
            }
            try await order(nil, nodes)
        }
    }

    private func count(_ failpoint: String) -> Int {
        fleet.failpointHits[failpoint] ?? 0
    }

    /// Sets or removes the failpoint of the nodes, and restarts them, because they read it when they start.
    private func order(_ text: String?, _ nodes: [Node]) async throws {
        for node in nodes { node.order("QUOTASTACK_FAIL", text) }
        for node in nodes {
            await node.kill()
            try await fleet.start(node)
        }
    }

    /// The part of the name before the dot tells which roles have the failpoint.
    static func roles(of failpoint: String) -> [Node.Role] {
        switch failpoint.prefix(while: { $0 != "." }) {
        case "api": [.api]
        case "worker": [.ledger]
        case "scheduler": [.scheduler]
        case "webhooks": [.webhooks]
        default: [.api, .entitlements]
        }
    }

    private static func isPassedAtStart(_ failpoint: String) -> Bool {
        ["replica.after_slot", "replica.during_snapshot", "replica.before_live"].contains(failpoint)
    }

    /// The trigger is rare enough that the process works in between, and frequent enough that it is soon hit: some
    /// failpoints are passed once in a process's life, some when a queue changes hands, some with every change in the
    /// WAL.
    private static func trigger(of failpoint: String) -> String {
        switch failpoint {
        case "replica.before_apply", "replica.after_apply": "p=0.01"
        case "worker.before_release", "worker.after_release": "n=1"
        case "worker.after_catalogue_commit", "scheduler.after_read", "scheduler.after_publish": "p=0.5"
        case let name where isPassedAtStart(name): "p=0.5"
        case let name where name.hasPrefix("api."): "p=0.02"
        default: "p=0.05"
        }
    }
}
