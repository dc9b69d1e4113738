/// What a process of an installation does. Any number of processes may have the same role, and one may have several.
///
/// The raw value ends the name of the role's executable: `quotastack-api`.
package enum NodeRole: String, CaseIterable, Sendable {
    /// The HTTP API.
    case api
    /// Applies commands.
    case ledger
    /// Sends a command to each account that has something due.
    case scheduler
    /// Answers entitlement checks and nothing else; needs PostgreSQL only.
    case entitlements

    package var executableName: String { "quotastack-\(rawValue)" }

    /// Where the role's executable listens unless QUOTASTACK_PORT says otherwise. Each has a port of its own, so that one of
    /// each can stand on a machine.
    package var defaultPort: Int {
        switch self {
        case .api: 8080
        case .ledger: 8081
        case .entitlements: 8082
        case .scheduler: 8083
        }
    }

    /// One sentence for `--help`.
    package var abstract: String {
        switch self {
        case .api: "Serve the HTTP API until SIGTERM or SIGINT."
        case .ledger: "Apply commands until SIGTERM or SIGINT; any number of workers share the queues."
        case .scheduler: "Apply due expiries and reservation deadlines on time, until SIGTERM or SIGINT."
        case .entitlements: "Answer entitlement checks from memory until SIGTERM or SIGINT; needs PostgreSQL only."
        }
    }

    /// The role whose executable a program was started as, by its first argument; nil for another name.
    package init?(program: String) {
        let name = program.split(separator: "/").last.map(String.init) ?? program
        guard let role = Self.allCases.first(where: { $0.executableName == name }) else { return nil }
        self = role
    }
}
