package import Docs
import JSON

/// A server of the Model Context Protocol without sessions: every message is answered from itself and its caller, so any
/// node answers any message.
package struct MCPServer: Sendable {
    /// The version of the API that the tools call.
    private static let version = "1"
    /// The time for which a client may keep a list or a page, in milliseconds.
    private static let lifetime = 300_000
    private static let instructions = """
        QuotaStack bills usage in credits: features are priced by metering rules, end users hold credits and \
        subscriptions, and every change is an entry in a ledger. Read the documentation (docs_search, docs_read) before you \
        write code against the API. To find out why an end user was denied or charged, use explain and ledger. Amounts are \
        millicredits: 1000 are one credit. Tools that change anything work with the key of a test environment only.
        """

    private let docs: DocsTools

    package init(site: DocsSite) {
        docs = DocsTools(site: site)
    }

    /// Answers a message, or the messages of a batch one after the other.
    ///
    /// - Parameters:
    ///   - message: One JSON text. The transport has held it to `MCPLimits.messageBytes`.
    ///   - headers: The headers beside the message; nil on standard input.
    package func reply(
        to message: some Collection<UInt8>, headers: MCPHeaders?, caller: MCPCaller
    ) async -> MCPReply {
        let value: JSONValue
        do throws(JSONError) {
            value = try JSONParser.parse(message, maximumValues: MCPLimits.messageValues)
        } catch {
            return MCPReply(RPCError(.parseError, "The message is not JSON: \(error)"))
        }
        guard case .array(let messages) = value else {
            return await reply(to: value, headers, caller)
        }
        guard headers?.revision.map({ ProtocolRevision(rawValue: $0)?.hasBatches == true }) ?? true else {
            return MCPReply(RPCError(.invalidRequest, "This revision of the protocol has no batches."))
        }
        return await reply(toBatch: messages, headers, caller)
    }

    private func reply(toBatch messages: [JSONValue], _ headers: MCPHeaders?, _ caller: MCPCaller) async -> MCPReply {
        guard (1...MCPLimits.batch).contains(messages.count) else {
            return MCPReply(
                RPCError(.invalidRequest, "A batch must have 1 to \(MCPLimits.batch) messages."))
        }
        var answers: [[UInt8]] = []
        for message in messages {
            let isHandshake = message["method"]?.text == Self.handshake
            let reply =
                isHandshake
                ? MCPReply(RPCError(.invalidRequest, "initialize cannot be part of a batch."))
                : await reply(to: message, headers, caller)
            if let body = reply.body { answers.append(body) }
        }
        guard !answers.isEmpty else { return .accepted }
        var json = JSONWriter(capacity: answers.reduce(2) { $0 + $1.count + 1 })
        json.beginArray()
        for answer in answers { json.raw(answer) }
        json.endArray()
        return MCPReply(status: 200, body: json.bytes)
    }

    private func reply(to message: JSONValue, _ headers: MCPHeaders?, _ caller: MCPCaller) async -> MCPReply {
        do throws(RPCError) {
            switch try RPCMessage(message) {
            case .request(let request): return await reply(to: request, headers, caller)
            case .notification, .response:
                if let name = headers?.revision, ProtocolRevision(rawValue: name) == nil {
                    throw RPCError.unsupported(name)
                }
                return .accepted
            }
        } catch {
            return MCPReply(error)
        }
    }

    private func reply(to request: RPCRequest, _ headers: MCPHeaders?, _ caller: MCPCaller) async -> MCPReply {
        let revision: ProtocolRevision
        do throws(RPCError) {
            revision = try self.revision(of: request, headers)
        } catch {
            return MCPReply(error, id: request.id)
        }
        do throws(RPCError) {
            let result = try await result(of: request, revision, caller)
            return MCPReply(status: 200, body: MCPReply.json(request.id) { write(result, revision, into: &$0) })
        } catch {
            return MCPReply(error, id: request.id, status: revision.hasHandshake ? 200 : nil)
        }
    }

    /// The revision that a request follows. Without a header it is 2025-03-26, whose clients send none.
    private func revision(of request: RPCRequest, _ headers: MCPHeaders?) throws(RPCError) -> ProtocolRevision {
        let header = request.method == Self.handshake ? nil : headers?.revision
        guard request.ownRevision != nil || header == ProtocolRevision.july2026.rawValue else {
            guard let header else { return .march2025 }
            guard let revision = ProtocolRevision(rawValue: header) else { throw RPCError.unsupported(header) }
            return revision
        }
        guard case .string(let own)? = request.ownRevision, request.hasCapabilities else {
            throw RPCError(
                .invalidParameters, "params._meta must have the protocol version and the client's capabilities.")
        }
        try headers?.requireAgreement(with: request, revision: own)
        guard own == ProtocolRevision.july2026.rawValue else { throw RPCError.unsupported(own) }
        return .july2026
    }

    // MARK: - Methods

    private static let handshake = "initialize"

    /// The result of a method.
    private struct Result {
        /// Whether the client may keep it for a while.
        var isCacheable = false
        let writeMembers: (inout JSONWriter) -> Void
    }

    private func result(
        of request: RPCRequest, _ revision: ProtocolRevision, _ caller: MCPCaller
    ) async throws(RPCError) -> Result {
        switch (request.method, revision.hasHandshake) {
        case (Self.handshake, true):
            let wanted = ProtocolRevision(rawValue: try request.text("protocolVersion"))
            let agreed = wanted.flatMap { $0.hasHandshake ? $0 : nil } ?? .latestOfHandshake
            return Result { json in
                json.member("protocolVersion", agreed.rawValue)
                Self.writeIdentity(into: &json)
                json.object("serverInfo", Self.writeName)
            }
        case ("server/discover", false):
            return Result(isCacheable: true) { json in
                json.array("supportedVersions", ProtocolRevision.allCases) { $0.value($1.rawValue) }
                Self.writeIdentity(into: &json)
            }
        case ("ping", true): return Result { _ in }
        case ("tools/list", _):
            try Self.requireFirstPage(request)
            let tools = await caller.tools()
            return Result(isCacheable: true) { json in json.array("tools", tools) { $1.write(into: &$0) } }
        case ("tools/call", _):
            let result = try await call(request, caller)
            return Result { result.write(into: &$0) }
        case ("resources/list", _):
            try Self.requireFirstPage(request)
            return Result(isCacheable: true) { docs.writeResources(into: &$0) }
        case ("resources/read", _):
            let write = try docs.resource(try request.text("uri"))
            return Result(isCacheable: true, writeMembers: write)
        case ("resources/templates/list", _):
            return Result(isCacheable: true) { json in json.array("resourceTemplates", [String]()) { $0.value($1) } }
        default: throw RPCError(.methodNotFound, "There is no method \(request.method.prefix(64)).")
        }
    }

    private func call(_ request: RPCRequest, _ caller: MCPCaller) async throws(RPCError) -> ToolResult {
        let name = try request.text("name")
        guard let tool = Tool.all.first(where: { $0.name == name }) else {
            throw RPCError(.invalidParameters, "Unknown tool: \(name.prefix(64))")
        }
        do throws(ToolFailure) {
            let arguments = try ToolArguments(request.parameters?["arguments"], of: tool.inputs)
            switch tool.action {
            case .searchDocs: return docs.search(arguments)
            case .readDocs: return try docs.read(arguments)
            case .endpoint: break
            }
            guard caller.environment == nil || tool.isShown(in: caller.environment) else {
                throw ToolFailure(
                    "\(tool.name) changes credits, and works with the key of a test environment only (code test_mode_only)."
                )
            }
            guard let call = try tool.call(arguments) else { throw ToolFailure("\(tool.name) has no endpoint.") }
            return ToolResult(try await caller.send(call))
        } catch {
            return ToolResult(error)
        }
    }

    /// Every list is one page.
    private static func requireFirstPage(_ request: RPCRequest) throws(RPCError) {
        guard request.parameters?["cursor"] == nil else {
            throw RPCError(.invalidParameters, "The list has one page: send no cursor.")
        }
    }

    // MARK: - Writing

    private func write(_ result: Result, _ revision: ProtocolRevision, into json: inout JSONWriter) {
        json.object("result") { json in
            if !revision.hasHandshake {
                json.member("resultType", "complete")
                json.object("_meta") { $0.object("io.modelcontextprotocol/serverInfo", Self.writeName) }
                if result.isCacheable {
                    json.member("ttlMs", Self.lifetime)
                    json.member("cacheScope", "private")
                }
            }
            result.writeMembers(&json)
        }
    }

    private static func writeIdentity(into json: inout JSONWriter) {
        json.object("capabilities") { json in
            json.object("tools") { _ in }
            json.object("resources") { _ in }
        }
        json.member("instructions", instructions)
    }

    private static func writeName(_ json: inout JSONWriter) {
        json.member("name", "quotastack")
        json.member("title", "QuotaStack")
        json.member("version", version)
    }
}
