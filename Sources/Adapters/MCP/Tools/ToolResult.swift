import JSON

/// The result of a tool: text for a model, and the same as JSON for a program.
struct ToolResult: Sendable {
    let text: String
    /// A JSON object on one line; nil for a failure without one.
    let structured: [UInt8]?
    let isError: Bool

    init(text: String, structured: [UInt8]?, isError: Bool = false) {
        self.text = text
        self.structured = structured
        self.isError = isError
    }

    init(_ failure: ToolFailure) {
        self.init(text: failure.text, structured: nil, isError: true)
    }

    /// The result of a call of the API. A problem becomes an error with its sentence and its code. The JSON is written
    /// anew, because a proxy's answer could have line ends, which separate messages on standard output.
    init(_ answer: APIAnswer) {
        let value = try? JSONParser.parse(answer.body)
        guard let value, case .object = value else {
            self.init(
                text: "The API answered \(answer.status) without JSON.", structured: nil,
                isError: !(200..<300).contains(answer.status))
            return
        }
        guard (200..<300).contains(answer.status) else {
            let details = (value["errors"]?.items ?? []).map {
                "\n\($0["pointer"]?.text ?? ""): \($0["detail"]?.text ?? "")"
            }
            let code = value["code"]?.text ?? ""
            self.init(
                text: """
                    \(value["title"]?.text ?? "The API refused the call"): \(value["detail"]?.text ?? "") \
                    (code \(code), status \(answer.status), described in /docs/errors/\(code))\(details.joined())
                    """,
                structured: value.bytes, isError: true)
            return
        }
        self.init(text: String(decoding: answer.body, as: UTF8.self), structured: value.bytes)
    }

    /// Writes the members of the result of `tools/call`.
    func write(into json: inout JSONWriter) {
        json.array("content", [text]) { json, text in
            json.beginObject()
            json.member("type", "text")
            json.member("text", text)
            json.endObject()
        }
        if let structured { json.member("structuredContent", raw: structured) }
        json.member("isError", isError)
    }
}
