/// A fault of a highly available installation. `heal` of `ops/ha/servers` undoes it after `lasts`.
struct ClusterFault: Sendable {
    /// The largest gaps between answers that the fault may cause.
    struct Bounds: Sendable {
        /// Without a mutation that is decided, on both nodes together.
        let decision: Duration
        /// Without a mutation that is decided or accepted (202), on both nodes together.
        let success: Duration
        /// Without a check, on any single node.
        let check: Duration
    }

    let name: String
    let lasts: Duration
    let bounds: Bounds
    let apply: @Sendable (ClusterDriver.Target) async throws -> Void

    /// A queue whose leader is meant by "the leader".
    static let queue = "\(Installation.queuePrefix)ledger.0"

    /// Checks need no server at all, so no fault of a server interrupts them. The bound leaves room for a busy machine.
    private static let uninterrupted = Duration.seconds(1)

    private static let brokerBounds = Bounds(
        decision: .seconds(5), success: .seconds(5), check: uninterrupted)
    private static let failoverBounds = Bounds(
        decision: .seconds(15), success: .seconds(15), check: uninterrupted)
    /// A machine that is silent is replaced when Patroni's lock expires after 20 s, which is the shortest time it takes.
    private static let silenceBounds = Bounds(
        decision: .seconds(30), success: .seconds(15), check: uninterrupted)
    /// Without a majority of the brokers nothing can be accepted until they are back.
    private static let outageBounds = Bounds(
        decision: .seconds(60), success: .seconds(60), check: uninterrupted)

    static let all: [ClusterFault] = [
        ClusterFault(name: "none", lasts: .seconds(15), bounds: brokerBounds) { _ in },
        ClusterFault(name: "broker-follower", lasts: .seconds(20), bounds: brokerBounds) { target in
            try await target.cluster.call("kill", "rabbit\(target.cluster.followersFirst(of: queue)[0])")
        },
        ClusterFault(name: "broker-leader", lasts: .seconds(20), bounds: brokerBounds) { target in
            try await target.cluster.call("kill", "rabbit\(target.cluster.leader(of: queue))")
        },
        ClusterFault(
            name: "broker-frozen", lasts: .seconds(30),
            bounds: Bounds(decision: .seconds(20), success: .seconds(15), check: uninterrupted)
        ) { target in
            try await target.cluster.call("freeze", "rabbit\(target.cluster.leader(of: queue))")
        },
        ClusterFault(name: "two-brokers", lasts: .seconds(20), bounds: outageBounds) { target in
            for machine in try await target.cluster.followersFirst(of: queue).suffix(2) {
                try await target.cluster.call("kill", "rabbit\(machine)")
            }
        },
        ClusterFault(name: "primary-crash", lasts: .seconds(15), bounds: failoverBounds) { target in
            try await target.cluster.call("kill-postgres", target.cluster.primary())
        },
        ClusterFault(name: "primary-machine", lasts: .seconds(35), bounds: silenceBounds) { target in
            try await target.cluster.call("kill", "pg\(target.cluster.primary())")
        },
        ClusterFault(name: "standby-machine", lasts: .seconds(20), bounds: failoverBounds) { target in
            try await target.cluster.call("kill", "pg\(target.cluster.standby())")
        },
        ClusterFault(name: "switchover", lasts: .seconds(15), bounds: failoverBounds) { target in
            try await target.cluster.call("switchover")
        },
        ClusterFault(name: "primary-frozen", lasts: .seconds(30), bounds: silenceBounds) { target in
            try await target.cluster.call("freeze", "pg\(target.cluster.primary())")
        },
        ClusterFault(name: "primary-without-etcd", lasts: .seconds(30), bounds: silenceBounds) { target in
            try await target.cluster.call("cut", target.cluster.primary(), "etcd")
        },
        ClusterFault(name: "primary-cut-off", lasts: .seconds(35), bounds: silenceBounds) { target in
            try await target.cluster.call("cut", target.cluster.primary(), "all")
        },
        ClusterFault(name: "proxy-restart", lasts: .seconds(10), bounds: failoverBounds) { target in
            try await target.cluster.call("kill", "haproxy")
            try await target.cluster.call("start", "haproxy")
        },
        ClusterFault(
            name: "processes-in-turn", lasts: .seconds(1),
            bounds: Bounds(decision: .seconds(5), success: .seconds(5), check: .seconds(10))
        ) { target in
            for node in target.fleet.nodes {
                await target.fleet.terminate(node)
                try await target.fleet.start(node)
                try await target.fleet.waitUntilReady([node], target.http)
            }
        },
    ]
}
