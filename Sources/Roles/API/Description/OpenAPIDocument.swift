import Answers
import Catalogue
import JSON

/// The description of the HTTP API in OpenAPI 3.1. It is made of the route table, of the code that reads requests, and of
/// the schemas of answers.
struct OpenAPIDocument {
    let json: JSONValue
    /// Disagreements between the description and the readers; empty in a correct build.
    let defects: [String]

    /// Cost: some hundred milliseconds, because the readers of all bodies are explored.
    init(_ operations: [(endpoint: Endpoint, operation: Operation)]) {
        var paths: [(key: String, value: JSONObject)] = []
        var components: [String: JSONSchema] = [:]
        var defects: [String] = []
        func learn(_ schema: JSONSchema) {
            for (name, schema) in schema.components {
                if let known = components.updateValue(schema, forKey: name), known != schema {
                    defects.append("there are two schemas \(name)")
                }
            }
        }
        learn(.problem)
        learn(.operation)
        for (endpoint, operation) in operations.sorted(by: {
            ($0.endpoint.path, $0.endpoint.method) < ($1.endpoint.path, $1.endpoint.method)
        }) {
            let described = DescribedOperation(endpoint, operation)
            defects += described.defects.map { "\(operation.id): \($0)" }
            for schema in described.schemas { learn(schema) }
            let member = (key: endpoint.method.lowercased(), value: described.json)
            if paths.last?.key == endpoint.path {
                paths[paths.count - 1].value.members.append(member)
            } else {
                paths.append((endpoint.path, JSONObject(members: [member])))
            }
        }
        self.defects = defects
        json = .object([
            "openapi": .string("3.1.0"), "info": Self.info, "servers": .array([.object(["url": .string("/")])]),
            "tags": .array(Self.tags),
            "paths": .object(JSONObject(members: paths.map { ($0.key, .object($0.value)) })),
            "components": .object([
                "schemas": .object(
                    JSONObject(
                        members: components.sorted { $0.key < $1.key }.map { ($0.key, $0.value.json) })),
                "parameters": .object(JSONObject(members: SharedParts.parameters.map { ($0.name, $0.json) })),
                "headers": .object(JSONObject(members: SharedParts.headers)),
                "responses": .object(JSONObject(members: SharedParts.responses)),
                "securitySchemes": .object(JSONObject(members: SharedParts.securitySchemes)),
            ]),
        ])
    }

    private static let info: JSONValue = .object([
        "title": .string("QuotaStack"), "version": .string("1"),
        "summary": .string("Credits, entitlements, metering and subscriptions."),
        "description": .string(
            """
            Amounts are integers of millicredits: 1,000 of them are one credit. Instants are RFC 3339 in UTC. Unknown \
            fields and unknown query parameters are refused. Fields may be added to answers in later releases. The \
            documentation is at /docs.
            """),
        "license": .object(["name": .string("Apache-2.0"), "identifier": .string("Apache-2.0")]),
    ])

    private static let tags: [JSONValue] =
        AccessArea.allCases.map { area in
            .object([
                "name": .string(area.rawValue),
                "description": .string("Calls of the scopes `\(area.rawValue):read` and `\(area.rawValue):write`."),
            ])
        } + [
            .object([
                "name": .string("installation"),
                "description": .string("Calls of the root key, and calls that need no key."),
            ])
        ]
}

/// One operation as the document has it.
struct DescribedOperation {
    private let endpoint: Endpoint
    private let operation: Operation
    private let path: [JSONSchema.Member]
    private var query: [JSONSchema.Member] = []
    private let body: JSONExploration?
    private let answers: [(status: Int, content: Operation.Content)]
    private(set) var defects: [String] = []

    init(_ endpoint: Endpoint, _ operation: Operation) {
        self.endpoint = endpoint
        self.operation = operation
        path = PathParameters.of(endpoint.path)
        body = operation.body?()
        answers = operation.answers().map { (status: $0.0, content: $0.1) }
        do throws(Problem) {
            query = try operation.parameters()
        } catch {
            defects.append("the query: \(error.detail)")
        }
        defects += body?.defects ?? []
    }

    /// The schemas that the operation uses.
    var schemas: [JSONSchema] {
        answers.compactMap { if case .json(let schema) = $0.content { schema } else { nil } }
            + [body?.schema].compactMap { $0 }
    }

    /// Whether the call changes something.
    private var isMutation: Bool {
        endpoint.method != "GET" && (endpoint.access.scopes.isEmpty || !endpoint.access.isRead)
    }

    private var tag: String {
        guard case .scope(let scopes) = endpoint.access, let name = scopes.names?.first else {
            return endpoint.access == .anybody || endpoint.access == .root ? "installation" : "admin"
        }
        return String(name.prefix { $0 != ":" })
    }

    var json: JSONValue {
        var members: [(key: String, value: JSONValue)] = [
            ("operationId", .string(operation.id)), ("summary", .string(operation.summary)),
            ("tags", .array([.string(tag)])), ("security", security),
        ]
        let parameters =
            path.map { Self.parameter($0, "path") } + query.map { Self.parameter($0, "query") }
            + sharedParameters.map { .object(["$ref": .string("#/components/parameters/\($0)")]) }
        members.append(("parameters", .array(parameters)))
        if let body { members.append(("requestBody", requestBody(body))) }
        members.append(("responses", .object(JSONObject(members: responses))))
        return .object(JSONObject(members: members))
    }

    private var security: JSONValue {
        let scopes = JSONValue.array((endpoint.access.scopes.names ?? []).map { .string($0) })
        let key: [JSONValue] = [.object(["bearer": scopes]), .object(["header": scopes])]
        switch endpoint.access {
        case .anybody: return .array([])
        case .root: return .array([.object(["root": .array([])])])
        case .scope: return .array(key)
        case .scopeOrRoot: return .array(key + [.object(["root": .array([])])])
        }
    }

    private static func parameter(_ member: JSONSchema.Member, _ place: String) -> JSONValue {
        var schema = member.schema
        schema.description = ""
        return .object([
            "name": .string(member.name), "in": .string(place), "required": .bool(member.isRequired),
            "description": .string(member.schema.description), "schema": schema.json,
        ])
    }

    private var sharedParameters: [String] {
        var names: [String] = []
        if isMutation { names += ["IdempotencyKey", "Prefer"] }
        if endpoint.access != .anybody {
            names += ["MinimumPosition", "RequestID"]
        }
        if answers.contains(where: { $0.content.mediaType == "text/event-stream" }) { names.append("LastEventID") }
        return names
    }

    private func requestBody(_ body: JSONExploration) -> JSONValue {
        var content: [(key: String, value: JSONValue)] = [
            ("application/json", .object(["schema": body.schema.json, "example": body.example]))
        ]
        if operation.takesLines {
            content.append(("application/x-ndjson", .object(["schema": .object(["type": .string("string")])])))
        }
        let needs = body.schema.members.contains(where: \.isRequired)
        return .object([
            "required": .bool(needs || body.example != .object([:])), "content": .object(JSONObject(members: content)),
        ])
    }

    // MARK: - Responses

    private var responses: [(key: String, value: JSONValue)] {
        var responses = answers.map { status, content in
            (key: "\(status)", value: response(status, content))
        }
        if isMutation { responses.append(("202", SharedParts.reference("Pending"))) }
        let codes = Dictionary(grouping: problems, by: \.status)
        for (status, codes) in codes.sorted(by: { $0.key < $1.key }) {
            responses.append(("\(status)", SharedParts.response(status, codes)))
        }
        responses.append(("default", SharedParts.reference("Refusal")))
        return responses.sorted { $0.key < $1.key }
    }

    /// The codes that the operation can be refused with.
    private var problems: [ProblemCode] {
        guard endpoint.access != .anybody else { return operation.problems }
        var codes: [ProblemCode] = [
            .invalidRequest, .unknownField, .unauthenticated, .forbiddenScope, .rateLimited, .internalError,
            .unavailable, .replicaBehind,
        ]
        if query.contains(where: { $0.name == "cursor" }) { codes.append(.invalidCursor) }
        if !path.isEmpty { codes.append(.notFound) }
        if endpoint.method != "GET" { codes += [.bodyTooLarge, .unsupportedMediaType] }
        if body != nil { codes.append(.amountOutOfRange) }
        if isMutation { codes += [.idempotencyKeyReuse, .conflict] }
        return codes + operation.problems.filter { !codes.contains($0) }
    }

    private func response(_ status: Int, _ content: Operation.Content) -> JSONValue {
        var members: [(key: String, value: JSONValue)] = [("description", .string(Self.description(of: status)))]
        var headers = ["RequestID"]
        if isMutation { headers += ["Position", "IdempotentReplayed", "PreferenceApplied"] }
        if endpoint.access != .anybody { members.append(("headers", SharedParts.headerReferences(headers))) }
        switch content {
        case .none: break
        case .json(let schema):
            members.append(
                ("content", .object(["application/json": .object(["schema": schema.json])])))
        case .other(let mediaType):
            let schema = JSONValue.object(["type": .string(mediaType == "application/json" ? "object" : "string")])
            members.append(
                ("content", .object(JSONObject(members: [(mediaType, .object(["schema": schema]))]))))
        }
        return .object(JSONObject(members: members))
    }

    private static func description(of status: Int) -> String {
        switch status {
        case 200: "Done."
        case 201: "Created."
        case 204: "Deleted."
        case 302: "The documentation is elsewhere."
        case 304: "The client has this version already."
        case 404: "There is no such page."
        default: "The node is not ready."
        }
    }
}

extension Operation.Content {
    var mediaType: String? {
        switch self {
        case .none: nil
        case .json: "application/json"
        case .other(let mediaType): mediaType
        }
    }
}

extension Access {
    /// Whether the scopes allow to read only.
    fileprivate var isRead: Bool { scopes.names?.allSatisfy { $0.hasSuffix(":read") } ?? false }
}
