import Credits
import Hummingbird
import JSON
import Messaging
import Replica
import Representations
import Storage

/// What every read needs: who asks, and a memory that is new enough.
struct Gate: Sendable {
    let authenticator: Authenticator
    let replica: Replica

    /// The caller of a read, once the replica has reached the position that the request asks for.
    func reader(_ request: Request) async throws -> Caller {
        try await reachMinimumPosition(request)
        return try authenticator.caller(request)
    }

    /// Waits up to a second for the position that a request presents.
    func reachMinimumPosition(_ request: Request) async throws(Problem) {
        guard let token = request.headers[.minimumPosition] else { return }
        guard let position = PositionToken.position(token) else {
            throw Problem(.invalidRequest, "QuotaStack-Min-Position is not a position of ours.")
        }
        guard await replica.reaches(position, by: .now + .seconds(1)) else {
            throw Problem(.replicaBehind, "This node has not seen that position after 1 second. Try again.")
        }
    }
}

/// What the routes of the whole API share: the gate, where lists are read, how mutations are sent.
struct Site: Sendable {
    let gate: Gate
    let reads: TenantReads
    let mutations: Mutations

    var authenticator: Authenticator { gate.authenticator }
    var replica: Replica { gate.replica }
    var shownOnce: ShownOnce { mutations.shownOnce }

    /// The caller of a read, once the replica has reached the position that the request asks for.
    func reader(_ request: Request) async throws -> Caller {
        try await gate.reader(request)
    }

    /// The environment whose operations a request may see: its key's, or the installation for the root key.
    func operationScope(_ request: Request) throws(Problem) -> (EnvironmentID, EnvironmentKind?) {
        if authenticator.isRoot(request) { return (.installation, nil) }
        let caller = try authenticator.caller(request)
        return (caller.environmentID, caller.kind)
    }

    /// The caller of a mutation, and what the request says about itself.
    func mutator(_ request: Request, _ context: APIContext) throws(Problem) -> (Caller, MutationHeaders) {
        let caller = try authenticator.caller(request)
        return (caller, try MutationHeaders(request, requestID: context.requestID))
    }

    /// Sends a catalogue change of the caller's environment.
    func changeCatalogue(
        _ action: CatalogueAction, caller: Caller, _ request: Request, _ body: JSONValue, _ headers: MutationHeaders
    ) async throws -> Response {
        let identity = CommandIdentity(
            environmentID: caller.environmentID, idempotencyKey: headers.idempotencyKey
        ) { CommandIdentity.content(request, body) }
        return try await mutations.catalogue(
            action, identity: identity, environmentID: caller.environmentID, kind: caller.kind, headers: headers)
    }
}

/// What the server knows of a request on its way through the routes.
struct APIContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// Shown to the client and written in every log line about the request.
    var requestID: String

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        requestID = ""
    }

    /// A part of the path, decoded.
    func pathParameter(_ name: String) throws(Problem) -> String {
        guard let raw = parameters.get(name), let text = percentDecoded(raw, plusIsSpace: false) else {
            throw Problem(.invalidRequest, "The path is not percent-encoded UTF-8.")
        }
        return text
    }
}
