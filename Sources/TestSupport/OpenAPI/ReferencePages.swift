package import JSON

/// The pages of the API reference, made of the document of the API: one page for each tag.
package struct ReferencePages {
    private let document: JSONValue
    /// The page on which each object is described, by its name: the page of the first call that uses it.
    private var homes: [String: String] = [:]
    private var objects: [String: [String]] = [:]

    package init(document: JSONValue) {
        self.document = document
        for tag in tags { for (_, _, operation) in operations(of: tag) { learn(operation, tag) } }
    }

    private var tags: [String] { (document["tags"]?.items ?? []).compactMap { $0["name"]?.text } }

    /// The Markdown of each page, by its file name below the folder of pages.
    package var files: [String: String] {
        var files: [String: String] = [:]
        for tag in tags {
            files["reference/api-\(tag).md"] = page(of: tag)
            if hasPageOfObjects(tag) { files["reference/api-\(tag)-objects.md"] = pageOfObjects(of: tag) }
        }
        return files
    }

    /// Whether a tag has too many calls to describe their objects on the same page.
    private func hasPageOfObjects(_ tag: String) -> Bool { operations(of: tag).count > 15 }

    private func operations(of tag: String) -> [(path: String, method: String, operation: JSONValue)] {
        (document["paths"]?.objectMembers ?? []).flatMap { path, item in
            item.objectMembers.filter { $0.value["tags"]?.items?.first?.text == tag }
                .map { (path, $0.key.uppercased(), $0.value) }
        }
    }

    // MARK: - Objects

    private mutating func learn(_ value: JSONValue, _ tag: String) {
        if let reference = value["$ref"]?.text {
            let parts = reference.split(separator: "/")
            guard let name = parts.last.map(String.init) else { return }
            if parts.dropLast().last != "schemas" {
                if let part = document["components"]?[String(parts[2])]?[name] { learn(part, tag) }
                return
            }
            guard homes[name] == nil else { return }
            homes[name] = tag
            objects[tag, default: []].append(name)
            if let schema = document["components"]?["schemas"]?[name] { learn(schema, tag) }
            return
        }
        for (_, member) in value.objectMembers { learn(member, tag) }
        for item in value.items ?? [] { learn(item, tag) }
    }

    private func link(to name: String) -> String {
        let home = homes[name] ?? ""
        let page = hasPageOfObjects(home) ? "\(home)-objects" : home
        return "[\(name)](/docs/reference/api-\(page)#\(name.lowercased()))"
    }

    // MARK: - Pages

    private func page(of tag: String) -> String {
        let operations = operations(of: tag)
        var text = """
            # API: \(tag)

            \(tag == "installation" ? "The calls of the root key, and those that need no key." : "The calls of the area `\(tag)`, field by field.")

            This page is made of [/openapi.json](/openapi.json). Headers, statuses and lists that all calls share are under
            [conventions](/docs/reference/conventions), and all refusals under [errors](/docs/errors).

            | call | what it does |
            |---|---|

            """
        for (path, method, operation) in operations {
            let anchor = Self.anchor("\(method) \(path)")
            text += "| [\(method) \(path)](#\(anchor)) | \(operation["summary"]?.text ?? "") |\n"
        }
        for (path, method, operation) in operations { text += section(method, path, operation) }
        guard !hasPageOfObjects(tag) else { return text }
        let names = objects[tag, default: []]
        if !names.isEmpty { text += "\n## Objects\n" }
        return text + sections(of: names)
    }

    private func pageOfObjects(of tag: String) -> String {
        """
        # API: objects of \(tag)

        The objects in the answers of the [calls of the area `\(tag)`](/docs/reference/api-\(tag)).

        """ + sections(of: objects[tag, default: []])
    }

    private func sections(of names: [String]) -> String {
        var text = ""
        for name in names {
            guard let schema = document["components"]?["schemas"]?[name] else { continue }
            text += "\n### \(name)\n\n"
            if let sentence = schema["description"]?.text { text += "\(sentence)\n\n" }
            text += table(of: schema)
        }
        return text
    }

    private func section(_ method: String, _ path: String, _ operation: JSONValue) -> String {
        var text = "\n## \(method) \(path)\n\n\(operation["summary"]?.text ?? "") \(access(to: operation))\n"
        let parameters = (operation["parameters"]?.items ?? []).filter { $0["$ref"] == nil }
        if !parameters.isEmpty {
            text += "\n| parameter | type | meaning |\n|---|---|---|\n"
            for parameter in parameters {
                let place = parameter["in"]?.text ?? ""
                let need = parameter["required"] == .bool(true) ? "" : ", optional"
                let type = parameter["schema"].map { self.type(of: $0) } ?? ""
                let (name, sentence) = (parameter["name"]?.text ?? "", parameter["description"]?.text ?? "")
                text += "| `\(name)` in the \(place) | \(type)\(need) | \(sentence) |\n"
            }
        }
        if let content = operation["requestBody"]?["content"]?["application/json"], let schema = content["schema"] {
            text += "\n" + table(of: schema)
            if let example = content["example"] { text += "\n```json\n\(Self.indented(example))\n```\n" }
        }
        return text + responses(of: operation)
    }

    private func access(to operation: JSONValue) -> String {
        let keys = (operation["security"]?.items ?? []).flatMap(\.objectMembers)
        let scopes = keys.first?.value.items?.compactMap(\.text) ?? []
        let name = "`\(operation["operationId"]?.text ?? "")` in generated clients."
        if keys.isEmpty { return "No key. \(name)" }
        if keys.first?.key == "root" { return "The root key. \(name)" }
        return scopes.isEmpty ? "Any key. \(name)" : "Scope `\(scopes.joined(separator: ", "))`. \(name)"
    }

    private func responses(of operation: JSONValue) -> String {
        var answers: [String] = []
        var codes: [String] = []
        for (status, response) in operation["responses"]?.objectMembers ?? [] {
            codes += response["x-problem-codes"]?.items?.compactMap(\.text) ?? []
            guard status.hasPrefix("2"), status != "202" else { continue }
            guard let (type, content) = response["content"]?.objectMembers.first else {
                answers.append("\(status) without a body")
                continue
            }
            let object = content["schema"]?["$ref"]?.text.map { link(to: String($0.split(separator: "/").last ?? "")) }
            answers.append("\(status) with \(object ?? "`\(type)`")")
        }
        var text = answers.isEmpty ? "" : "\nAnswers: \(answers.joined(separator: ", ")).\n"
        let usual: Set = [
            "invalid_request", "unknown_field", "unauthenticated", "forbidden_scope", "rate_limited", "internal_error",
            "unavailable", "replica_behind", "invalid_cursor", "body_too_large", "unsupported_media_type",
            "amount_out_of_range", "idempotency_key_reuse",
        ]
        let own = codes.filter { !usual.contains($0) }.map { "[\($0)](/docs/errors/\($0))" }
        if !own.isEmpty { text += "\nRefusals beside the usual ones: \(own.joined(separator: ", ")).\n" }
        return text
    }

    // MARK: - Fields

    /// The fields of an object, with those of the objects inside it under their path.
    private func table(of schema: JSONValue) -> String {
        let rows = rows(of: schema, "")
        guard !rows.isEmpty else {
            return "An object whose members are \(type(of: schema["additionalProperties"] ?? .null)).\n"
        }
        return "| field | type | meaning |\n|---|---|---|\n" + rows.map { "| \($0) |\n" }.joined()
    }

    private func rows(of schema: JSONValue, _ prefix: String) -> [String] {
        let required = Set(schema["required"]?.items?.compactMap(\.text) ?? [])
        return (schema["properties"]?.objectMembers ?? []).flatMap { name, field in
            let need = required.contains(name) ? "" : ", optional"
            let row = "`\(prefix)\(name)` | \(type(of: field))\(need) | \(field["description"]?.text ?? "")"
            return [row] + inner(of: field).flatMap { rows(of: $0, "\(prefix)\(name).") }
        }
    }

    /// The objects inside a field that have no name of their own.
    private func inner(of field: JSONValue) -> [JSONValue] {
        let nested = [field["items"], field["additionalProperties"]].compactMap { $0 } + (field["anyOf"]?.items ?? [])
        return (field["properties"] == nil ? [] : [field]) + nested.flatMap { inner(of: $0) }
    }

    private func type(of schema: JSONValue) -> String {
        if let reference = schema["$ref"]?.text { return link(to: String(reference.split(separator: "/").last ?? "")) }
        if let choices = schema["anyOf"]?.items { return choices.map { type(of: $0) }.joined(separator: " or ") }
        if let names = schema["enum"]?.items {
            return names.map { $0.text.map { "`\($0)`" } ?? "null" }.joined(separator: ", ")
        }
        let names = schema["type"]?.text.map { [$0] } ?? schema["type"]?.items?.compactMap(\.text) ?? ["any value"]
        let null = names.contains("null") ? " or null" : ""
        switch names[0] {
        case "integer": return "integer\(range(of: schema, "minimum", "maximum", ""))\(null)"
        case "string":
            let format = schema["format"]?.text == "date-time" ? "instant" : "string"
            return "\(format)\(range(of: schema, "minLength", "maxLength", " characters"))\(null)"
        case "array":
            let count = range(of: schema, "minItems", "maxItems", " items")
            return "list of \(type(of: schema["items"] ?? .null))\(count)\(null)"
        case "object" where schema["properties"] == nil:
            return "object of \(type(of: schema["additionalProperties"] ?? .null))\(null)"
        default: return "\(names[0])\(null)"
        }
    }

    private func range(of schema: JSONValue, _ minimum: String, _ maximum: String, _ unit: String) -> String {
        switch (schema[minimum]?.integer, schema[maximum]?.integer) {
        case (let low?, let high?): " \(low) to \(high)\(unit)"
        case (let low?, nil): " from \(low)\(unit)"
        case (nil, let high?): " up to \(high)\(unit)"
        case (nil, nil): ""
        }
    }

    /// The anchor that the docs give to a heading.
    private static func anchor(_ title: String) -> String {
        title.lowercased().split { !$0.isLetter && !$0.isNumber && $0 != "_" && $0 != "." }.joined(separator: "-")
    }

    private static func indented(_ value: JSONValue, _ margin: String = "") -> String {
        switch value {
        case .object(let object) where !object.members.isEmpty:
            let members = object.members.map { "\(margin)  \"\($0.key)\": \(indented($0.value, margin + "  "))" }
            return "{\n\(members.joined(separator: ",\n"))\n\(margin)}"
        case .array(let items) where items.contains { $0.levels > 0 }:
            let lines = items.map { "\(margin)  \(indented($0, margin + "  "))" }
            return "[\n\(lines.joined(separator: ",\n"))\n\(margin)]"
        default: return String(decoding: value.bytes, as: UTF8.self)
        }
    }
}

extension JSONValue {
    /// The members of an object; none for other values.
    var objectMembers: [(key: String, value: JSONValue)] {
        if case .object(let object) = self { object.members } else { [] }
    }
}
