import Credits
import Crypto
import Failpoints
import Hummingbird
import JSON
import Ledger
import Messaging
import Replica
import Answers
import Runtime

/// The system's clock, in UTC.
func systemNow() -> Instant {
    Instant(microseconds: systemMicroseconds())
}

/// What is known of a request beside its body.
struct MutationHeaders: Sendable {
    let requestID: String
    let clientAddress: String?
    let traceParent: String?
    let idempotencyKey: String?
    var respondsAsync: Bool

    init(_ request: Request, _ context: APIContext) throws(Problem) {
        requestID = context.requestID
        clientAddress = context.clientAddress
        traceParent = request.headers[.traceParent].flatMap { Self.isTraceParent($0) ? $0 : nil }
        idempotencyKey = try request.headers[.idempotencyKey].map { text throws(Problem) in try Self.checked(text) }
        respondsAsync =
            request.headers[.prefer]?.split(separator: ",").contains {
                $0.filter { $0 != " " }.lowercased() == "respond-async"
            } ?? false
    }

    /// Version, trace, parent and flags, as W3C wants them. It is logged, so it is that and nothing else.
    private static func isTraceParent(_ text: String) -> Bool {
        text.split(separator: "-", omittingEmptySubsequences: false).map(\.utf8.count) == [2, 32, 16, 2]
            && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) || $0 == UInt8(ascii: "-") }
    }

    static func checked(_ key: String) throws(Problem) -> String {
        guard (1...IdempotencyKey.maximumBytes).contains(key.utf8.count) else {
            throw Problem(.invalidRequest, "The idempotency key must be 1 to 255 bytes long.")
        }
        return key
    }
}

extension CommandIdentity {
    /// The identity of a command that a client named, or a fresh one.
    ///
    /// - Parameter content: Method, path and canonical body, or what stands for them.
    init(environmentID: EnvironmentID, idempotencyKey: String?, content: () -> [UInt8]) {
        guard let idempotencyKey else {
            self.init(
                id: Bits128(
                    at: systemNow(), random: (UInt64.random(in: 0...UInt64.max), UInt64.random(in: 0...UInt64.max))),
                idempotencyKey: nil)
            return
        }
        self.init(
            id: Self.digest(Array("\(environmentID.rawValue)\n\(idempotencyKey)".utf8)),
            idempotencyKey: IdempotencyKey(text: idempotencyKey, fingerprint: Self.digest(content())))
    }

    /// The first 128 bits of SHA-256.
    static func digest(_ bytes: [UInt8]) -> Bits128 {
        SHA256.hash(data: bytes).withUnsafeBytes { digest in
            Bits128(
                high: UInt64(bigEndian: digest.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
                low: UInt64(bigEndian: digest.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
        }
    }

    /// What a request's key stands for: its method, its path and its body in canonical form.
    static func content(_ request: Request, _ body: JSONValue) -> [UInt8] {
        Array("\(request.method.rawValue) \(request.uri.path)\n".utf8) + body.canonicalBytes
    }
}

/// Sends mutations through the queue and makes their answers.
struct Mutations: Sendable {
    let gateway: CommandGateway
    let topology: Topology
    let replica: Replica
    let answers: DecidedAnswers
    let shownOnce: ShownOnce
    let wait: Duration

    /// A mutation of one end user's account.
    func account(
        _ action: AccountAction, of endUserID: EndUserID, identity: CommandIdentity, caller: Caller,
        headers: MutationHeaders
    ) async throws -> Response {
        let command = AccountCommand(identity: identity, endUserID: endUserID, action: action)
        return try await run(
            .account([command]), identity: identity,
            queue: topology.ledgerQueue(environmentID: caller.environmentID, endUserID: endUserID),
            caller: caller, headers: headers)
    }

    /// A mutation of the catalogue of the caller's environment, or of the installation.
    func catalogue(
        _ action: CatalogueAction, identity: CommandIdentity, caller: Caller, headers: MutationHeaders
    ) async throws -> Response {
        try await run(
            .catalogue(CatalogueCommand(identity: identity, action: action)), identity: identity,
            queue: topology.catalogueQueue, caller: caller, headers: headers
        ) { shownOnce.completed($0, commandID: identity.id, kind: caller.kind) }
    }

    private func run(
        _ commands: CommandRequest.Commands, identity: CommandIdentity, queue: String, caller: Caller,
        headers: MutationHeaders, finish: (([UInt8]) -> [UInt8])? = nil
    ) async throws -> Response {
        let deadline = ContinuousClock.now + wait
        let reply = await gateway.send(
            to: queue, requestID: headers.requestID, traceParent: headers.traceParent,
            actor: Actor(keyID: caller.keyID, address: headers.clientAddress), environmentID: caller.environmentID,
            wantsBodies: true, commands: commands, deadline: deadline, returnsWhenAccepted: headers.respondsAsync)
        var result: CommandResult?
        switch reply {
        case .results(let results): result = results.first
        case .refused(let problem): throw problem
        case .pending: break
        }
        Failpoint.apiBeforeReplicaWait.hit()
        guard let result, await replica.reaches(result.position, by: max(deadline, .now + .seconds(1))) else {
            return Self.pending(PublicID(.operation, identity.id))
        }
        Failpoint.apiBeforeAnswer.hit()
        let body = result.isSuccess ? finish?(result.body) ?? result.body : result.body
        return Self.response(result, body: body)
    }

    static func response(_ result: CommandResult, body: [UInt8]) -> Response {
        var response =
            result.status == 204
            ? Response(status: .noContent)
            : Response.json(body, status: Int(result.status), isProblem: !result.isSuccess)
        response.headers[.position] = PositionToken.text(result.position)
        if result.isReplay { response.headers[.idempotentReplayed] = "true" }
        return response
    }

    static func pending(_ id: PublicID) -> Response {
        var json = JSONWriter()
        json.beginObject()
        json.object("operation") { json in
            json.member("id", id)
            json.member("status", "pending")
        }
        json.endObject()
        var response = Response.json(json.bytes, status: 202)
        response.headers[.location] = "/v1/operations/\(id)"
        return response
    }
}

extension Response {
    /// A JSON answer.
    static func json(_ body: [UInt8], status: Int = 200, isProblem: Bool = false) -> Response {
        var headers = HTTPFields()
        headers[.contentType] = isProblem ? "application/problem+json" : "application/json"
        return Response(
            status: .init(code: status), headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: body)))
    }

    static func problem(_ problem: Problem, requestID: String) -> Response {
        var response = Response.json(
            problem.json(requestID: requestID), status: Int(problem.code.status), isProblem: true)
        // A second brings a bucket's tokens back.
        if [429, 503].contains(problem.code.status) { response.headers[.retryAfter] = "1" }
        return response
    }
}
