package import RabbitMQ
package import Replica
package import Storage
import Synchronization

/// One dependency of a node, as `/readyz` shows it.
package struct HealthCheck: Sendable {
    /// The requests that a load balancer asks for.
    enum Purpose: String, CaseIterable {
        /// Checks, balances, and whatever else is answered from memory. They need neither the database nor the broker.
        case checks
        /// Everything.
        case mutations
    }

    /// The name of the member in the answer.
    let name: StaticString
    /// Returns the fault in a few words; nil when there is none.
    let finding: @Sendable () async -> String?
    /// The fault that keeps a node from answering checks; nil for a dependency that checks do not have.
    let findingForChecks: (@Sendable () async -> String?)?

    /// Whether PostgreSQL answers within a second. Callers that ask during a check share its finding, so any number of
    /// them costs one statement at a time.
    package static func postgres(_ reads: TenantReads) -> HealthCheck {
        let check = SharedCheck {
            await within(.seconds(1)) {
                do {
                    try await reads.reachDatabase(within: .seconds(1))
                    return nil
                } catch {
                    return "not reachable"
                }
            }
        }
        return HealthCheck(name: "postgresql") { await check.finding() }
    }

    /// Whether a session that contacts PostgreSQL regularly has heard from it in the last 3 seconds.
    package static func session(
        lastSeen: @escaping @Sendable () -> ContinuousClock.Instant?
    ) -> HealthCheck {
        HealthCheck(name: "postgresql") {
            guard let seen = lastSeen() else { return "not reachable" }
            let silence = ContinuousClock.now - seen
            return silence < .seconds(3) ? nil : "not reached for \(silence.components.seconds) s"
        }
    }

    /// Whether there is a connection to RabbitMQ that is not blocked.
    ///
    /// - Parameter losesReplies: Whether most replies do not arrive, as from a RabbitMQ node that is alone in a partition.
    package static func broker(
        losesReplies: @escaping @Sendable () -> Bool = { false },
        _ state: @escaping @Sendable () -> AMQPConnectionState
    ) -> HealthCheck {
        HealthCheck(name: "rabbitmq") {
            switch state() {
            case .connected: losesReplies() ? "connected, but most replies are lost" : nil
            case .blocked: "blocked by an alarm of the broker"
            case .disconnected: "not connected"
            }
        }
    }

    /// Whether the replica follows the database. Checks need one that has loaded it once.
    package static func replica(_ replica: Replica) -> HealthCheck {
        HealthCheck(name: "replica") {
            switch replica.state {
            case .live: nil
            case .loading: "loading"
            case .disconnected(let since):
                "has not heard from the database for \((ContinuousClock.now - since).components.seconds) s"
            }
        } forChecks: {
            replica.state == .loading ? "loading" : nil
        }
    }

    private init(
        name: StaticString, finding: @escaping @Sendable () async -> String?,
        forChecks: (@Sendable () async -> String?)? = nil
    ) {
        self.name = name
        self.finding = finding
        findingForChecks = forChecks
    }

    private static func within(
        _ limit: Duration, _ body: @escaping @Sendable () async -> String?
    ) async -> String? {
        await withTaskGroup(of: String?.self) { group in
            group.addTask { await body() }
            group.addTask {
                try? await Task.sleep(for: limit)
                return "no answer within \(limit.components.seconds) s"
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
    }
}

/// A check whose finding goes to every caller that asks while it is under way.
private final class SharedCheck: Sendable {
    private let check: @Sendable () async -> String?
    private let underWay = Mutex<Task<String?, Never>?>(nil)

    init(_ check: @escaping @Sendable () async -> String?) {
        self.check = check
    }

    func finding() async -> String? {
        let task = underWay.withLock { underWay in
            if let task = underWay { return task }
            let task = Task {
                defer { self.underWay.withLock { $0 = nil } }
                return await check()
            }
            underWay = task
            return task
        }
        return await task.value
    }
}
