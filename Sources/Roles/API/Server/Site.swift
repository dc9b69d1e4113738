import Answers
import Catalogue
import Commands
import Credits
import Hummingbird
import NIOCore
import Replica
import Storage

/// What every request with a key passes: a memory that is new enough, a key that is valid, a scope that suffices.
struct Gate: Sendable {
    let authenticator: Authenticator
    let replica: Replica
    private let limiter = RateLimiter()

    init(authenticator: Authenticator, replica: Replica) {
        self.authenticator = authenticator
        self.replica = replica
    }

    /// The caller of a request, once the replica has reached the position that the request asks for.
    func admit(_ request: Request, _ access: Access) async throws -> Caller {
        var caller = try await knownCaller(request, access)
        if let limit = caller.config.rateLimitPerSecond {
            guard limiter.admits(caller.environmentID, rate: Int64(limit), at: .now) else {
                throw Problem(
                    .rateLimited,
                    "The environment makes more than \(limit) requests a second (rate_limit_per_second of its config).")
            }
        }
        if let token = request.headers[.minimumPosition] {
            try await reach(token, for: caller)
            // What has happened up to there may have revoked the key.
            caller = try authenticator.caller(request, access)
        }
        try caller.require(access)
        return caller
    }

    /// Authenticates the caller. If the key is unknown but the request carries a minimum position, waits up to 1 s: the key may
    /// have been created on another node. Nothing about the position is told to a caller without a key.
    private func knownCaller(_ request: Request, _ access: Access) async throws(Problem) -> Caller {
        do throws(Problem) {
            return try authenticator.caller(request, access)
        } catch {
            guard error.code == .unauthenticated, request.headers[.minimumPosition] != nil,
                let key = authenticator.keyHash(request)
            else { throw error }
            await replica.learns(key, by: .now + .seconds(1))
            return try authenticator.caller(request, access)
        }
    }

    /// Refuses to answer from a memory that is older than the caller's environment allows.
    func requireFreshMemory(for caller: Caller) throws(Problem) {
        guard let limit = caller.config.failClosedOverMilliseconds, case .disconnected(let since) = replica.state,
            ContinuousClock.now - since > .milliseconds(limit)
        else { return }
        throw Problem(
            .replicaBehind,
            "This node lost the database more than \(limit) ms ago (fail_closed_over_ms of the config). Ask another node."
        )
    }

    /// Waits up to a second for a position. One of another environment is never reached.
    private func reach(_ token: String, for caller: Caller) async throws(Problem) {
        guard let position = PositionToken.position(token) else {
            throw Problem(.invalidRequest, "QuotaStack-Min-Position is not a position of ours.")
        }
        guard
            await replica.reaches(
                position, in: caller.environmentID == .installation ? nil : caller.environmentID, by: .now + .seconds(1)
            )
        else {
            throw Problem(.replicaBehind, "This node has not seen that position after 1 second. Try again.")
        }
    }
}

/// What the routes of the whole API share: the gate, where lists are read, how mutations are sent.
struct Site: Sendable {
    let gate: Gate
    let reads: TenantReads
    let mutations: Mutations

    var replica: Replica { gate.replica }

    /// Sends a change of the catalogue of the caller's environment.
    func changeCatalogue(
        _ action: CatalogueAction, _ caller: Caller, _ headers: MutationHeaders
    ) async throws -> Response {
        try await mutations.catalogue({ _ in action }, kind: caller.kind, headers)
    }
}

/// What the server knows of a request on its way through the routes.
struct APIContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// Shown to the client and written in every log line about the request.
    var requestID: String
    private let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        requestID = ""
        channel = source.channel
    }

    /// The address at the other end of the connection. What a proxy says in X-Forwarded-For is not taken: anybody can say
    /// that.
    var clientAddress: String? { channel.remoteAddress?.ipAddress }

    /// A part of the path, decoded.
    func pathParameter(_ name: String) throws(Problem) -> String {
        guard let raw = parameters.get(name), let text = percentDecoded(raw, plusIsSpace: false) else {
            throw Problem(.invalidRequest, "The path is not percent-encoded UTF-8.")
        }
        return text
    }
}
