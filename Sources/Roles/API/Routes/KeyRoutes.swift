import Answers
import Catalogue
import Commands
import Credits
import Hummingbird
import JSON
import Storage

/// The API keys of a tenant's environment.
struct KeyRoutes: Sendable {
    /// How long a rolled key may stay valid beside its successor.
    private static let overlapSeconds: ClosedRange<Int64> = 0...7 * 86_400
    private static let defaultOverlapSeconds: Int64 = 86_400

    let services: APIServices
    private var keys: KeyDerivation { services.mutations.secrets.keys }

    func add(to routes: inout RouteTable) {
        routes.post(
            "/v1/api-keys", .write(.admin),
            Operation("createAPIKey", "Creates a key.", body: { $0.newKey() }, answers: .created(.newAPIKey)),
            use: create)
        routes.get(
            "/v1/api-keys", .read(.admin),
            Operation(
                "listAPIKeys", "Lists the keys without their secrets, newest first.", query: Self.page,
                answers: .page(of: .apiKey)), use: list)
        routes.post(
            "/v1/api-keys/{id}/revoke", .write(.admin),
            Operation("revokeAPIKey", "Revokes a key.", answers: .ok(.apiKey)), use: revoke)
        routes.post(
            "/v1/api-keys/{id}/roll", .write(.admin),
            Operation(
                "rollAPIKey", "Replaces a key. The old one stays valid for a while.", body: Self.overlap,
                answers: .created(.newAPIKey)), use: roll)
    }

    @Sendable private static func page(_ query: inout RequestQuery) throws(Problem) -> PageRequest { try query.page() }

    @Sendable private static func overlap(_ reader: inout JSONReader) -> Int64? {
        reader.int64("overlap_seconds", default: defaultOverlapSeconds, .plain, in: overlapSeconds)
    }

    @Sendable private func create(
        _ request: Request, _ context: APIContext, _ caller: Caller
    ) async throws -> Response {
        let headers = try MutationHeaders(request, context, caller)
        let (name, rights) = try read(try await request.json()) { $0.newKey() }
        return try await makeKey(caller, headers) { .createKey(name: name, $0, rights, grantor: caller.rights) }
    }

    @Sendable private func roll(
        _ request: Request, _ context: APIContext, _ caller: Caller
    ) async throws -> Response {
        let headers = try MutationHeaders(request, context, caller)
        let id = try keyID(context)
        let overlap = try read(try await request.json(), Self.overlap)
        return try await makeKey(caller, headers) {
            .rollKey(id: id, $0, overlapSeconds: overlap, grantor: caller.rights)
        }
    }

    /// Sends a command that creates a key, derived from the command's id.
    private func makeKey(
        _ caller: Caller, _ headers: MutationHeaders, _ action: (NewKey) -> CatalogueAction
    ) async throws -> Response {
        guard let kind = caller.kind else {
            throw Problem(.forbiddenScope, "Only a key of an environment can create a key.")
        }
        return try await services.mutations.catalogue(
            { action(NewKey(keys.key(APIKey.Kind(kind), commandID: $0))) }, headers)
    }

    @Sendable private func revoke(
        _ request: Request, _ context: APIContext, _ caller: Caller
    ) async throws -> Response {
        let headers = try MutationHeaders(request, context, caller)
        let id = try keyID(context)
        _ = try read(try await request.json()) { _ in true }
        return try await services.changeCatalogue(.revokeKey(id: id, grantor: caller.rights.scopes), caller, headers)
    }

    @Sendable private func list(
        _ request: Request, _ context: APIContext, _ caller: Caller
    ) async throws -> Response {
        let page = try request.query(Self.page)
        let before = try page.cursorParts { Bits128(cursor: $0, .key) }
        let keys = try await services.reads.read(of: caller.environmentID) { connection in
            try await KeyStore.list(
                environmentID: caller.environmentID, before: before, limit: page.limit + 1, on: connection)
        }
        return .json(page.json(keys, cursor: { [.string("\(PublicID(.key, $0.id))")] }) { $0.key($1) })
    }

    private func keyID(_ context: APIContext) throws(Problem) -> Bits128 {
        guard let id = PublicID(.key, parsing: try context.pathParameter("id")) else {
            throw .unknownKey
        }
        return id.bits
    }
}

extension NewKey {
    /// The parts of a key that the ledger stores: its hash and its hint.
    init(_ text: String) {
        self.init(hash: APIKey.hash(text), hint: APIKey.hint(text))
    }
}
