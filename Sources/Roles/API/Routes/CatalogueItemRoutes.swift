import Answers
import Catalogue
import Commands
import Credits
import Hummingbird
import JSON
import Storage

/// The four calls on the items of a catalogue that have a key of the tenant's own: create, list, show and change.
struct CatalogueItemRoutes<Row: CatalogueRow>: Sendable where Row.Key: Sendable {
    let services: APIServices
    /// The path of the list, such as `/v1/features`.
    let path: String
    let key: @Sendable (String) -> Row.Key?
    /// The item's key as text, and its creation, which order the list.
    let place: @Sendable (Row.Item) -> (createdAt: Instant, key: String)
    let unknown: Problem
    let creation: @Sendable (inout JSONReader) -> CatalogueAction?
    /// Reads a change, which is made an action with the key from the path.
    let change: @Sendable (inout JSONReader) -> ((Row.Key) -> CatalogueAction)?
    let write: @Sendable (inout JSONWriter, Row.Item) -> Void
    /// The names of one item and of several in the ids of operations, such as `Feature`.
    let names: (one: String, several: String)
    /// The name of an item in sentences, with its article.
    let noun: String
    /// The answer that shows an item.
    let schema: JSONSchema

    func add(to routes: inout RouteTable) {
        routes.post(
            path, .write(.catalog),
            Operation("create\(names.one)", "Creates \(noun).", body: creation, answers: .created(schema)), use: create)
        routes.get(
            path, .read(.catalog),
            Operation(
                "list\(names.several)", "Lists the catalogue's items of this kind, newest first.",
                query: { (query) throws(Problem) in try query.page() }, answers: .page(of: schema)), use: list)
        routes.get(
            "\(path)/{key}", .read(.catalog),
            Operation("get\(names.one)", "Shows \(noun).", answers: .ok(schema), problems: [unknown.code]), use: show)
        routes.patch(
            "\(path)/{key}", .write(.catalog),
            Operation(
                "update\(names.one)", "Changes \(noun). An absent field keeps its value.",
                body: change, answers: .ok(schema),
                problems: [unknown.code]), use: update)
    }

    @Sendable private func create(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let action = try read(try await request.json()) { creation(&$0) }
        return try await services.changeCatalogue(action, caller, headers)
    }

    @Sendable private func update(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let key = try key(of: context)
        let action = try read(try await request.json(), change)
        return try await services.changeCatalogue(action(key), caller, headers)
    }

    @Sendable private func show(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        try RequestQuery(request).finish()
        let key = try key(of: context)
        let found = try await services.reads.read(of: caller.environmentID) { connection in
            try await CatalogueItems<Row>.find(key, environmentID: caller.environmentID, on: connection)
        }
        guard let found else { throw unknown }
        var json = JSONWriter()
        write(&json, found)
        return .json(json.bytes)
    }

    @Sendable private func list(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        let page = try request.query { (query) throws(Problem) in try query.page() }
        let after = try page.cursorParts { parts in
            // A page begins after a key of the column that orders the list.
            CatalogueCursor(parts) { text in key(text).flatMap { Row.column(of: $0) == Row.keyColumn ? $0 : nil } }
        }
        let items = try await services.reads.read(of: caller.environmentID) { connection in
            try await CatalogueItems<Row>.list(
                environmentID: caller.environmentID, after: after.map { ($0.createdAt, $0.key) },
                limit: page.limit + 1, on: connection)
        }
        let body = page.json(items) { item in
            let place = place(item)
            return CatalogueCursor.parts(place.createdAt, place.key)
        } _: { json, item in
            write(&json, item)
        }
        return .json(body)
    }

    private func key(of context: APIContext) throws(Problem) -> Row.Key {
        guard let key = key(try context.pathParameter("key")) else { throw unknown }
        return key
    }
}
