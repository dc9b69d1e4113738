import JSON

/// The balance and the ledger of an end user whom no request names, so that nothing may change them.
struct UntouchedBooks: Equatable {
    private let balance: JSONValue
    private let ledger: [UInt8]

    /// Reads them from a node.
    static func read(
        of endUser: String, key: String, node: Node, http: HTTPCaller
    ) async throws -> UntouchedBooks {
        let balance = try await answer("/v1/credits/balance?end_user_id=\(endUser)", key, node, http)
        let ledger = try await answer("/v1/ledger/export?end_user_id=\(endUser)", key, node, http)
        return UntouchedBooks(balance: withoutInstant(balance.json), ledger: ledger.bytes)
    }

    /// The balance and the size of the ledger, for the sentence about a difference.
    var summary: String {
        "\(String(decoding: balance.bytes, as: UTF8.self)) with \(ledger.count) bytes of ledger"
    }

    private static func answer(
        _ path: String, _ key: String, _ node: Node, _ http: HTTPCaller
    ) async throws -> Answer {
        let result = await http.send("GET", node, path, key: key)
        guard case .answered(let answer) = result, answer.status == 200 else {
            throw TortureError("GET \(path): \(result)")
        }
        return answer
    }

    /// The balance without the instant at which it was asked for.
    private static func withoutInstant(_ balance: JSONValue) -> JSONValue {
        guard case .object(let object) = balance else { return balance }
        return .object(JSONObject(members: object.members.filter { $0.key != "as_of" }))
    }
}
