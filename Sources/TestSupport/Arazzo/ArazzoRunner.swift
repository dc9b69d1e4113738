import Foundation
package import JSON

/// Runs workflows of an Arazzo 1.0 document.
///
/// It knows the part of Arazzo that the workflows of the documentation use: steps that name an operation, parameters in
/// paths and queries, JSON bodies, conditions of equality, one form of JSONPath, outputs and retries. A member that it
/// does not know is an error, so that nothing is left unchecked.
package struct ArazzoRunner: Sendable {
    /// A call of the API.
    package struct Request: Sendable {
        package let method: String
        /// The path and the query.
        package let target: String
        package let body: JSONValue?
    }

    /// The answer to a call.
    package struct Response: Sendable {
        package let status: Int
        package let body: JSONValue

        package init(status: Int, body: JSONValue) {
            self.status = status
            self.body = body
        }
    }

    private let document: JSONValue
    /// The method and the path of each operation, by its id.
    private let operations: [String: (method: String, path: String)]
    private let send: @Sendable (Request) async throws -> Response

    /// - Parameters:
    ///   - document: The Arazzo document.
    ///   - api: The OpenAPI document that describes the operations.
    ///   - send: Makes a call.
    package init(
        document: JSONValue, api: JSONValue, send: @escaping @Sendable (Request) async throws -> Response
    ) {
        self.document = document
        self.send = send
        var operations: [String: (method: String, path: String)] = [:]
        for (path, item) in api["paths"]?.namedMembers ?? [] {
            for (method, operation) in item.namedMembers {
                if let id = operation["operationId"]?.text { operations[id] = (method.uppercased(), path) }
            }
        }
        self.operations = operations
    }

    /// The ids of the workflows.
    package var workflows: [String] { (document["workflows"]?.items ?? []).compactMap { $0["workflowId"]?.text } }

    /// The method and the path, such as `GET /v1/plans/{key}`, of each step.
    package func operations(of workflow: String) throws -> [String] {
        try steps(of: try self.workflow(workflow)).map { step in
            let operation = try operation(of: step)
            return "\(operation.method) \(operation.path)"
        }
    }

    /// Runs the steps of a workflow in their order, and throws at the first one that does not succeed.
    package func run(_ workflow: String, inputs: [String: JSONValue]) async throws {
        let workflow = try self.workflow(workflow)
        try allow(["workflowId", "summary", "description", "inputs", "steps"], in: workflow)
        for name in (workflow["inputs"]?["required"]?.items ?? []).compactMap(\.text) where inputs[name] == nil {
            throw ArazzoError("the input \(name) is missing")
        }
        var scope = ArazzoScope(inputs: inputs)
        for step in try steps(of: workflow) {
            let id = step["stepId"]?.text ?? ""
            do {
                try await run(step, in: &scope)
                for (name, expression) in step["outputs"]?.namedMembers ?? [] {
                    scope.outputs[id, default: [:]][name] = try scope.value(of: expression)
                }
            } catch let error as ArazzoError {
                throw ArazzoError("\(id): \(error.description)")
            }
        }
    }

    // MARK: - Steps

    private func run(_ step: JSONValue, in scope: inout ArazzoScope) async throws {
        try allow(
            [
                "stepId", "description", "operationId", "parameters", "requestBody", "successCriteria", "onFailure",
                "outputs",
            ], in: step)
        let request = try request(of: step, in: scope)
        let criteria = step["successCriteria"]?.items ?? []
        if criteria.isEmpty { throw ArazzoError("there is no criterion of success") }
        let retry = try retry(of: step)
        for attempt in 0...retry.limit {
            scope.response = try await send(request)
            guard let failed = try criteria.first(where: { try !holds($0, in: scope) }) else { return }
            guard attempt < retry.limit else {
                throw ArazzoError("\(failed["condition"]?.text ?? "") does not hold for \(scope.responseText)")
            }
            try await Task.sleep(for: .seconds(retry.seconds))
        }
    }

    private func request(of step: JSONValue, in scope: ArazzoScope) throws -> Request {
        let operation = try operation(of: step)
        var path = operation.path
        var query: [String] = []
        for parameter in step["parameters"]?.items ?? [] {
            try allow(["name", "in", "value"], in: parameter)
            let name = parameter["name"]?.text ?? ""
            let value = Self.encoded(try scope.value(of: parameter["value"] ?? .null))
            switch parameter["in"]?.text {
            case "path" where path.contains("{\(name)}"): path = path.replacing("{\(name)}", with: value)
            case "query": query.append("\(name)=\(value)")
            default: throw ArazzoError("\(operation.path) has no such parameter \(name)")
            }
        }
        if path.contains("{") { throw ArazzoError("\(path) lacks a parameter") }
        var body: JSONValue?
        if let requestBody = step["requestBody"] {
            try allow(["contentType", "payload"], in: requestBody)
            guard requestBody["contentType"]?.text == "application/json", let payload = requestBody["payload"] else {
                throw ArazzoError("the body is not JSON")
            }
            body = try scope.value(of: payload)
        }
        return Request(
            method: operation.method, target: query.isEmpty ? path : "\(path)?\(query.joined(separator: "&"))",
            body: body)
    }

    private func retry(of step: JSONValue) throws -> (limit: Int, seconds: Int64) {
        guard let actions = step["onFailure"]?.items else { return (0, 0) }
        guard actions.count == 1, actions[0]["type"]?.text == "retry", let limit = actions[0]["retryLimit"]?.integer,
            let seconds = actions[0]["retryAfter"]?.integer
        else { throw ArazzoError("the action after a failure is not a retry with a limit") }
        try allow(["name", "type", "retryAfter", "retryLimit"], in: actions[0])
        return (Int(limit), seconds)
    }

    private func holds(_ criterion: JSONValue, in scope: ArazzoScope) throws -> Bool {
        try allow(["condition", "context", "type"], in: criterion)
        guard let condition = criterion["condition"]?.text else { throw ArazzoError("a criterion has no condition") }
        switch criterion["type"]?.text {
        case nil: return try scope.holds(condition)
        case "jsonpath": return try scope.selects(condition, from: criterion["context"] ?? .null)
        case .some(let type): throw ArazzoError("the criterion has the unknown type \(type)")
        }
    }

    // MARK: - Parts of the document

    private func workflow(_ id: String) throws -> JSONValue {
        guard let found = document["workflows"]?.items?.first(where: { $0["workflowId"]?.text == id }) else {
            throw ArazzoError("there is no workflow \(id)")
        }
        return found
    }

    private func steps(of workflow: JSONValue) throws -> [JSONValue] {
        let steps = workflow["steps"]?.items ?? []
        let ids = steps.compactMap { $0["stepId"]?.text }
        guard !steps.isEmpty, Set(ids).count == steps.count else {
            throw ArazzoError("the steps do not have an id each")
        }
        return steps
    }

    private func operation(of step: JSONValue) throws -> (method: String, path: String) {
        let id = step["operationId"]?.text ?? ""
        guard let operation = operations[id] else { throw ArazzoError("there is no operation \(id)") }
        return operation
    }

    private func allow(_ names: Set<String>, in object: JSONValue) throws {
        for (name, _) in object.namedMembers where !names.contains(name) {
            throw ArazzoError("the runner does not know \(name)")
        }
    }

    /// A value in a path or a query, with everything but unreserved characters encoded.
    private static func encoded(_ value: JSONValue) -> String {
        let text = value.text ?? String(decoding: value.bytes, as: UTF8.self)
        let unreserved = CharacterSet(
            charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
        return text.addingPercentEncoding(withAllowedCharacters: unreserved) ?? text
    }
}

/// The reason why a workflow does not succeed.
package struct ArazzoError: Error, CustomStringConvertible {
    package let description: String

    init(_ description: String) {
        self.description = description
    }
}

extension JSONValue {
    /// The members of an object; none for other values.
    var namedMembers: [(key: String, value: JSONValue)] {
        if case .object(let object) = self { object.members } else { [] }
    }
}
