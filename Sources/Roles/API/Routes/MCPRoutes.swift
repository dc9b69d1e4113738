import Answers
import Catalogue
import Credits
import Docs
import HTTPTypes
import Hummingbird
import MCP
import NIOCore

/// The Model Context Protocol over HTTP: one message, or a batch, in each POST, answered as JSON. There are no sessions and
/// no streams of the server, so GET and DELETE are answered 405, as the protocol allows.
///
/// The documentation needs no key. A tool that calls the API becomes a request to the routes of this node with the key of
/// the message: it is admitted, limited, bounded, measured and answered like any other request.
struct MCPRoutes: Sendable {
    static let path = "/mcp"

    private let authenticator: Authenticator
    /// The scopes that each tool needs, by its name.
    private let scopes: [String: KeyScopes]

    /// - Parameter endpoints: The endpoints of the API. A tool whose endpoint is not among them is not shown.
    init(authenticator: Authenticator, endpoints: [Endpoint]) {
        self.authenticator = authenticator
        var scopes: [String: KeyScopes] = [:]
        for tool in Tool.all {
            guard let (method, path) = tool.endpoint else {
                scopes[tool.name] = []
                continue
            }
            scopes[tool.name] = endpoints.first { $0.method == method && $0.path == path }?.access.scopes
        }
        self.scopes = scopes
    }

    func add(to router: Router<APIContext>) {
        router.post(RouterPath(Self.path)) { request, context in
            try await withTaskExecutorPreference(LongWork.threads) { try await answer(request, context) }
        }
    }

    private func answer(_ request: Request, _ context: APIContext) async throws -> Response {
        guard request.headers[.origin].map(Self.isLocal) ?? true else { return Self.response(.forbiddenOrigin) }
        try RequestQuery(request).finish()
        let caller = try holder(of: request)
        if let caller { try context.belongs(to: caller.environmentID) }
        let message = try await request.bytes(upTo: .message, ["application/json"])
        let server = MCPServer(site: DocsSite.current)
        let reply = await server.reply(
            to: message.readableBytesView, headers: MCPHeaders(request),
            caller: MCPCaller(environment: caller?.kind, tools: { tools(for: caller) }) { call throws(ToolFailure) in
                try await Self.send(call, with: request, context)
            })
        return Self.response(reply)
    }

    private static func response(_ reply: MCPReply) -> Response {
        guard let body = reply.body else { return Response(status: .init(code: reply.status)) }
        return .json(body, status: reply.status)
    }

    /// The tools that a key may use. Without a key these are the tools of the documentation.
    private func tools(for caller: Caller?) -> [Tool] {
        let rights = caller?.rights.scopes ?? []
        return Tool.all.filter { tool in
            guard let needed = scopes[tool.name] else { return false }
            return tool.isShown(in: caller?.kind) && rights.isSuperset(of: needed)
        }
    }

    /// The holder of the request's key; nil when it has none. A key that is sent must be valid.
    private func holder(of request: Request) throws(Problem) -> Caller? {
        guard request.headers[.authorization] != nil || request.headers[.apiKey] != nil else { return nil }
        return try authenticator.caller(request, .anybody)
    }

    /// Sends a call of a tool through the routes of this node.
    private static func send(
        _ call: APICall, with outer: Request, _ context: APIContext
    ) async throws(ToolFailure) -> APIAnswer {
        guard let routes = context.exchange?.service.routes else { throw ToolFailure("This node has no routes.") }
        var head = HTTPRequest(
            method: .init(call.method) ?? .get, scheme: nil, authority: outer.head.authority, path: call.target)
        for name in [HTTPField.Name.authorization, .apiKey, .traceParent] {
            head.headerFields[name] = outer.headers[name]
        }
        if call.body != nil { head.headerFields[.contentType] = "application/json" }
        head.headerFields[.idempotencyKey] = call.idempotencyKey
        var inner = context
        // The route and its parameters are those of the inner request.
        inner.coreContext = CoreRequestContextStorage(source: context)
        let body = RequestBody(buffer: ByteBuffer(bytes: call.body ?? []))
        do {
            let response = try await routes.respond(to: Request(head: head, body: body), context: inner)
            let collector = AnswerCollector()
            try await response.body.write(collector)
            return APIAnswer(status: response.status.code, body: collector.bytes)
        } catch let failure as ToolFailure {
            throw failure
        } catch {
            throw ToolFailure("The call could not be served. Its request id is \(context.requestID).")
        }
    }

    /// Whether an origin is a page that this machine serves itself, on any port. The page of another site could reach this
    /// node by a name of its own (DNS rebinding), so `Host` proves nothing. Clients that are no browsers send no origin.
    static func isLocal(_ origin: String) -> Bool {
        guard let scheme = ["http://", "https://"].first(where: origin.lowercased().hasPrefix) else { return false }
        let authority = origin.lowercased().dropFirst(scheme.count)
        return ["localhost", "127.0.0.1", "[::1]"].contains { host in
            guard authority.hasPrefix(host) else { return false }
            let rest = authority.dropFirst(host.count)
            guard rest.first == ":" else { return rest.isEmpty }
            return (1...5).contains(rest.count - 1) && rest.dropFirst().utf8.allSatisfy { (0x30...0x39).contains($0) }
        }
    }
}

extension BodyLimit {
    fileprivate static let message = BodyLimit(bytes: MCPLimits.messageBytes, values: MCPLimits.messageValues)
}

extension MCPHeaders {
    fileprivate init(_ request: Request) {
        self.init(
            revision: request.headers[.protocolVersion], method: request.headers[.mcpMethod],
            name: request.headers[.mcpName])
    }
}

/// Keeps the answer to an inner request, up to the largest answer of a tool.
private final class AnswerCollector: ResponseBodyWriter {
    private(set) var bytes: [UInt8] = []

    func write(_ buffer: ByteBuffer) async throws {
        guard bytes.count + buffer.readableBytes <= MCPLimits.answerBytes else { throw ToolFailure.answerTooLarge }
        bytes += buffer.readableBytesView
    }

    func finish(_ trailingHeaders: HTTPFields?) async throws {}
}
