import Foundation
package import JSON

/// Holds requests and answers to the document of the API.
package struct ContractChecker: Sendable {
    /// A request and its answer.
    package struct Exchange: Sendable {
        package let method: String
        /// The path and the query.
        package let target: String
        package let requestBody: [UInt8]?
        package let requestType: String?
        package let status: Int
        package let answerType: String?
        package let answer: [UInt8]

        package init(
            method: String, target: String, requestBody: [UInt8]?, requestType: String?, status: Int,
            answerType: String?, answer: [UInt8]
        ) {
            self.method = method
            self.target = target
            self.requestBody = requestBody
            self.requestType = requestType
            self.status = status
            self.answerType = answerType
            self.answer = answer
        }
    }

    private struct Route: Sendable {
        let method: String
        let parts: [Substring]
        let operation: JSONValue
    }

    private let validator: SchemaValidator
    private let routes: [Route]

    package init(document: JSONValue) {
        validator = SchemaValidator(document: document)
        var routes: [Route] = []
        for (path, item) in document["paths"]?.objectMembers ?? [] {
            for (method, operation) in item.objectMembers {
                routes.append(
                    Route(
                        method: method.uppercased(), parts: path.split(separator: "/"), operation: operation))
            }
        }
        // Of two paths that fit, the one with fewer parameters is meant.
        self.routes = routes.sorted { Self.parameters($0) < Self.parameters($1) }
    }

    private static func parameters(_ route: Route) -> Int { route.parts.count { $0.hasPrefix("{") } }

    /// The ways in which an exchange differs from the document; empty for a path that the API does not have.
    package func violations(in exchange: Exchange) -> [String] {
        let path = exchange.target.prefix { $0 != "?" }.split(separator: "/")
        let route = routes.first { route in
            route.method == exchange.method && route.parts.count == path.count
                && zip(route.parts, path).allSatisfy { $0.hasPrefix("{") || $0 == $1 }
        }
        guard let operation = route?.operation else { return [] }
        var found = answerViolations(exchange, operation)
        if (200..<300).contains(exchange.status) {
            found += queryViolations(exchange, operation) + bodyViolations(exchange, operation)
        }
        return found.map { "\(exchange.method) \(exchange.target) \(exchange.status): \($0)" }
    }

    private func answerViolations(_ exchange: Exchange, _ operation: JSONValue) -> [String] {
        let listed = operation["responses"]?["\(exchange.status)"]
        guard let response = (listed ?? operation["responses"]?["default"]).flatMap(validator.resolved) else {
            return ["the document has no such status"]
        }
        if listed == nil, exchange.status < 400 { return ["the document has no such status"] }
        guard let content = response["content"] else {
            return exchange.answer.isEmpty ? [] : ["the document has no content"]
        }
        let type = exchange.answerType?.split(separator: ";").first.map(String.init) ?? ""
        guard let described = content[type] ?? content["*/*"] else { return ["the document has no content \(type)"] }
        guard type.hasSuffix("json"), let schema = described["schema"], schema != .object(["type": .string("string")])
        else { return [] }
        guard let value = try? JSONParser.parse(exchange.answer) else { return ["the answer is not JSON"] }
        var found = validator.violations(of: schema, by: value)
        if let codes = response["x-problem-codes"]?.items, let code = value["code"], !codes.contains(code) {
            found.append("the document does not list \(code)")
        }
        return found
    }

    private func queryViolations(_ exchange: Exchange, _ operation: JSONValue) -> [String] {
        let parameters = (operation["parameters"]?.items ?? []).filter { $0["in"] == .string("query") }
        guard operation["security"] != .array([]) else { return [] }
        let query = exchange.target.split(separator: "?", maxSplits: 1).dropFirst().first ?? ""
        var found: [String] = []
        var given: Set<String> = []
        for pair in query.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            given.insert(String(parts[0]))
            guard let schema = parameters.first(where: { $0["name"] == .string(String(parts[0])) })?["schema"] else {
                found.append("the document has no parameter \(parts[0])")
                continue
            }
            let text = (parts.count > 1 ? String(parts[1]) : "").replacing("+", with: " ")
            let value = Self.value(text.removingPercentEncoding ?? text, of: schema)
            found += validator.violations(of: schema, by: value, at: "?\(parts[0])")
        }
        for parameter in parameters where parameter["required"] == .bool(true) {
            if let name = parameter["name"]?.text, !given.contains(name) {
                found.append("the document requires the parameter \(name)")
            }
        }
        return found
    }

    /// A parameter as a value of its schema's type.
    private static func value(_ text: String, of schema: JSONValue) -> JSONValue {
        switch schema["type"]?.text ?? schema["type"]?.items?.first?.text {
        case "integer": Int64(text).map { .integer($0) } ?? .string(text)
        case "boolean": Bool(text).map { .bool($0) } ?? .string(text)
        default: .string(text)
        }
    }

    private func bodyViolations(_ exchange: Exchange, _ operation: JSONValue) -> [String] {
        let type = exchange.requestType?.split(separator: ";").first?.lowercased() ?? "application/json"
        guard let body = exchange.requestBody, !body.isEmpty, type == "application/json",
            let value = try? JSONParser.parse(body)
        else { return [] }
        guard let schema = operation["requestBody"]?["content"]?["application/json"]?["schema"] else {
            return value == .object([:]) ? [] : ["the document has no body"]
        }
        // Each item of a batch succeeds or fails by itself, so the answer to a wrong one is a success too.
        guard operation["requestBody"]?["content"]?["application/x-ndjson"] == nil else { return [] }
        return validator.violations(of: schema, by: value, at: "body")
    }
}
