import ChildProcesses

/// Replaces the processes of an earlier release by those of this one, one after another, while the load goes on.
///
/// Each process is asked to end as an operator would ask it, and the next one follows when its successor says that it is
/// ready. The order is that of the update procedure: the schema, the ledger workers, the schedulers, the webhook workers,
/// the nodes that serve HTTP.
struct RollingUpdate {
    private static let order: [Node.Role] = [.ledger, .scheduler, .webhooks, .api, .entitlements]

    let installation: Installation
    /// Before the first step, between two steps, and after the last.
    let pause: Duration

    func run() async throws {
        let fleet = installation.fleet
        try await Task.sleep(for: pause)
        try await installation.migrate()
        progress("the schema is that of the new release; all processes are of the earlier one")
        for role in Self.order {
            for node in fleet.nodes where node.role == role {
                try await Task.sleep(for: pause)
                await fleet.terminate(node)
                node.update(to: installation.programs)
                try await fleet.start(node)
                try await fleet.waitUntilReady([node], installation.http)
                progress("\(node.name) is of the new release")
            }
        }
        try await Task.sleep(for: pause)
    }
}
