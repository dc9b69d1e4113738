/// A role of a process. Any number of processes may have the same role, and a process may have several roles.
///
/// The raw value is the end of the executable's name: `quotastack-api`.
package enum NodeRole: String, CaseIterable, Sendable {
    /// The HTTP API.
    case api
    /// The ledger worker, which applies commands.
    case ledger
    /// The scheduler, which sends a command to each account that has something due.
    case scheduler
    /// The webhook worker, which delivers events.
    case webhooks
    /// Answers entitlement checks only; needs PostgreSQL only.
    case entitlements

    package var executableName: String { "quotastack-\(rawValue)" }

    /// The port on which the role's executable listens when QUOTASTACK_PORT is not set. Each role has another port, so
    /// that one process of each can run on a machine.
    package var defaultPort: Int {
        switch self {
        case .api: 8080
        case .ledger: 8081
        case .entitlements: 8082
        case .scheduler: 8083
        case .webhooks: 8084
        }
    }

    /// One sentence for `--help`.
    package var abstract: String {
        switch self {
        case .api: "Serve the HTTP API until SIGTERM or SIGINT."
        case .ledger: "Apply commands until SIGTERM or SIGINT; any number of workers share the queues."
        case .scheduler: "Apply due expiries and reservation deadlines on time, until SIGTERM or SIGINT."
        case .webhooks: "Deliver events to webhook endpoints until SIGTERM or SIGINT; needs PostgreSQL only."
        case .entitlements: "Answer entitlement checks from memory until SIGTERM or SIGINT; needs PostgreSQL only."
        }
    }

    /// The role whose executable has the name at the end of a program's path; nil for any other name.
    package init?(program: String) {
        let name = program.split(separator: "/").last.map(String.init) ?? program
        guard let role = Self.allCases.first(where: { $0.executableName == name }) else { return nil }
        self = role
    }
}
