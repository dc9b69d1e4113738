import API
import Foundation
import JSON
import OpenAPI
import Testing

extension Acceptance {
    /// The description of the API at `/openapi.json`.
    @Suite struct OpenAPITests {
        private func document() throws -> JSONValue { try Contract.description.get().json }

        @Test("Every endpoint but that of the Model Context Protocol is in the document, and the document has no other")
        func endpoints() throws {
            var described: Set<String> = []
            for (path, item) in try document()["paths"]?.members ?? [] {
                for (method, _) in item.members { described.insert("\(method.uppercased()) \(path)") }
            }
            let served = try EndpointCall.served().map { "\($0.method) \($0.path)" }
            // The protocol describes itself.
            #expect(described == Set(served).subtracting(["POST /mcp"]))
        }

        @Test("The readers of requests accept what the document says of them")
        func readers() throws {
            for defect in try Contract.description.get().defects { Issue.record("\(defect)") }
        }

        @Test("Every operation has an id of its own and a sentence, and every field a sentence and a type")
        func sentences() throws {
            let document = try document()
            var ids: [String] = []
            for (_, item) in document["paths"]?.members ?? [] {
                for (_, operation) in item.members {
                    ids.append(try #require(operation["operationId"]?.text))
                    #expect(operation["summary"]?.text?.hasSuffix(".") == true, "\(ids.last ?? "")")
                    for parameter in operation["parameters"]?.items ?? [] where parameter["$ref"] == nil {
                        #expect(
                            parameter["description"]?.text?.hasSuffix(".") == true, "\(ids.last ?? ""): \(parameter)")
                    }
                    if let body = operation["requestBody"]?["content"]?["application/json"]?["schema"] {
                        for problem in undescribed(body, at: ids.last ?? "") { Issue.record("\(problem)") }
                    }
                }
            }
            #expect(Set(ids).count == ids.count)
            for (name, schema) in document["components"]?["schemas"]?.members ?? [] {
                for problem in undescribed(schema, at: name) { Issue.record("\(problem)") }
            }
        }

        /// The fields without a sentence or a type.
        private func undescribed(_ schema: JSONValue, at place: String) -> [String] {
            var found: [String] = []
            for (name, field) in schema["properties"]?.members ?? [] {
                let kinds = ["type", "anyOf", "$ref", "enum"].filter { field[$0] != nil }
                // Members of free forms can have any type.
                if kinds.isEmpty, !["data", "body", "from", "to"].contains(name) {
                    found.append("\(place)/\(name) has no type")
                }
                if field["$ref"] == nil, field["description"]?.text?.hasSuffix(".") != true {
                    found.append("\(place)/\(name) has no sentence")
                }
                found += undescribed(field, at: "\(place)/\(name)")
            }
            for key in ["items", "additionalProperties"] {
                if let inner = schema[key] { found += undescribed(inner, at: "\(place)/\(key)") }
            }
            for inner in schema["anyOf"]?.items ?? [] { found += undescribed(inner, at: place) }
            return found
        }

        @Test("Every example of the document fits its schema")
        func examples() throws {
            let document = try document()
            let validator = SchemaValidator(document: document)
            for (path, item) in document["paths"]?.members ?? [] {
                for (method, operation) in item.members {
                    guard let content = operation["requestBody"]?["content"]?["application/json"],
                        let schema = content["schema"], let example = content["example"]
                    else { continue }
                    #expect(validator.violations(of: schema, by: example) == [], "\(method) \(path)")
                }
            }
        }

        @Test("The pages of the reference are those that the document makes")
        func reference() throws {
            let folder = URL(filePath: #filePath).deletingLastPathComponent()
                .appending(path: "../../../Sources/Adapters/Docs/Pages").standardized
            for (name, text) in ReferencePages(document: try document()).files {
                let file = folder.appending(path: name)
                if variable("QUOTASTACK_TEST_RECORD") != nil {
                    try text.write(to: file, atomically: true, encoding: .utf8)
                }
                #expect(try String(contentsOf: file, encoding: .utf8) == text, "\(name)")
            }
        }

        @Test("The document is served without a key, and not sent again to a client that has it")
        func served() async throws {
            let client = try await SharedInstallation.get().client(nil)
            let answer = try await client.get("/openapi.json").expect(200)
            #expect(answer.json["openapi"] == .string("3.1.0") && answer.bytes.count < 1 << 20)
            #expect(answer.json == (try document()))
            let tag = try #require(answer.headers["etag"])
            try await client.get("/openapi.json", headers: ["If-None-Match": tag]).expect(304)
        }
    }
}

extension JSONValue {
    /// The members of an object.
    var members: [(key: String, value: JSONValue)] {
        if case .object(let object) = self { object.members } else { [] }
    }
}
