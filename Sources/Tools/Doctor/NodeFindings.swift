package import JSON

extension Finding {
    /// Findings about a node, made from its response to `/readyz`.
    package static func about(node url: String, readiness: JSONValue) -> [Finding] {
        guard case .object(let members) = readiness, case .bool(let isReady)? = members["ready"] else {
            return [problem(.nodes, "\(url) is not a QuotaStack node", remedy: "Correct QUOTASTACK_URL.")]
        }
        if isReady { return [ok(.nodes, "\(url) is ready")] }
        let lacking = members.members.compactMap { name, value -> String? in
            if case .string(let text) = value, text != "ok" { "\(name) \(text)" } else { nil }
        }
        return [
            problem(
                .nodes, "\(url) is not ready: \(lacking.sorted().joined(separator: ", "))",
                remedy: "It becomes ready by itself when the listed parts are ok; see its log.")
        ]
    }
}
