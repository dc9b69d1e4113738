import Answers
import Catalogue
import Commands
import Credits
import Hummingbird
import JSON
import Messaging
import Postgres
import Storage

/// The audit log: the mutations of an environment, or of the installation with the root key.
struct AuditRoutes: Sendable {
    let services: APIServices

    func add(to routes: inout RouteTable) {
        routes.get(
            "/v1/audit-log", .scopeOrRoot(.read(.admin)),
            Operation(
                "listAuditLog", "Lists the mutations, newest first.", query: Self.listQuery,
                answers: .page(of: .auditRecord)), use: list)
    }

    @Sendable private static func listQuery(
        _ query: inout RequestQuery
    ) throws(Problem) -> (page: PageRequest, filter: AuditFilter) {
        let page = try query.page()
        var filter = AuditFilter(limit: page.limit + 1)
        filter.actor = try query.optional("actor", expected: "the id of a key, or root") { AuditFilter.Actor($0) }
        filter.action = try query.optional("action", among: AuditAction.all.map(\.name)) { AuditAction(named: $0) }
        filter.from = try query.instant("from")
        filter.to = try query.instant("to")
        return (page, filter)
    }

    @Sendable private func list(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        var (page, filter) = try request.query(Self.listQuery)
        filter.after = try page.cursorParts { parts in
            guard parts.count == 2, case .integer(let microseconds) = parts[0], case .string(let text) = parts[1],
                let instant = Instant(cursor: microseconds), let id = PublicID(.operation, parsing: text)
            else { return nil }
            return (instant, id.bits)
        }
        let size: ReadSize = filter.actor == nil ? .small : .large
        let records = try await services.reads.read(of: caller.environmentID, size) { [filter] connection in
            try await AuditLog.list(environmentID: caller.environmentID, filter, on: connection)
        }
        return .json(
            page.json(
                records,
                cursor: { [.integer($0.decidedAt.microseconds), .string("\(PublicID(.operation, $0.commandID))")] },
                { $0.audit($1) }))
    }
}

extension AuditFilter.Actor {
    fileprivate init?(_ text: String) {
        if text == "root" {
            self = .root
        } else {
            guard let id = PublicID(.key, parsing: text) else { return nil }
            self = .key(id.bits)
        }
    }
}
