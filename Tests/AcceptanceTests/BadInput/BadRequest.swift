import JSON
import Testing

/// A request that must be refused, with its expected refusal.
struct BadRequest: Sendable {
    enum Sender: Sendable {
        case tenant, root, nobody
        case key(String)
    }

    var method: String
    var path: String
    var bytes: [UInt8]?
    var contentType: String? = "application/json"
    var headers: [String: String] = [:]
    var sender = Sender.tenant
    var status: Int
    var code: String
    /// The place in the body; nil when the refusal does not concern a single place.
    var pointer: String?

    static func get(
        _ path: String, _ status: Int = 400, _ code: String = "invalid_request", at pointer: String? = nil,
        sender: Sender = .tenant, headers: [String: String] = [:]
    ) -> BadRequest {
        BadRequest(
            method: "GET", path: path, headers: headers, sender: sender, status: status, code: code, pointer: pointer)
    }

    static func post(
        _ path: String, _ body: String, _ status: Int = 400, _ code: String = "invalid_request",
        at pointer: String? = nil,
        sender: Sender = .tenant, headers: [String: String] = [:]
    ) -> BadRequest {
        BadRequest(
            method: "POST", path: path, bytes: Array(body.utf8), headers: headers, sender: sender, status: status,
            code: code, pointer: pointer)
    }

    static func put(
        _ path: String, _ body: String, _ status: Int = 400, _ code: String = "invalid_request",
        at pointer: String? = nil
    ) -> BadRequest {
        BadRequest(method: "PUT", path: path, bytes: Array(body.utf8), status: status, code: code, pointer: pointer)
    }

    static func patch(
        _ path: String, _ body: String, _ status: Int = 400, _ code: String = "invalid_request",
        at pointer: String? = nil
    ) -> BadRequest {
        BadRequest(
            method: "PATCH", path: path, bytes: Array(body.utf8), status: status, code: code, pointer: pointer)
    }

    /// A grant to alice with members replaced or added as given; an empty text leaves a member out.
    static func grant(
        _ members: KeyValuePairs<String, String>, _ status: Int = 400, _ code: String = "invalid_request",
        at pointer: String? = nil
    ) -> BadRequest {
        post(
            "/v1/credits/grant", object(["end_user_id": #""alice""#, "credits": "5"], members), status, code,
            at: pointer)
    }

    /// A use by alice with members replaced or added as given; an empty text leaves a member out.
    static func use(
        _ members: KeyValuePairs<String, String>, _ status: Int = 400, _ code: String = "invalid_request",
        at pointer: String? = nil, headers: [String: String] = [:]
    ) -> BadRequest {
        post(
            "/v1/usage", object(["end_user_id": #""alice""#, "feature_key": #""api""#], members), status, code,
            at: pointer, headers: headers)
    }

    /// An object with members replaced or added as given; an empty text leaves a member out.
    static func object(
        _ base: KeyValuePairs<String, String>, _ changes: KeyValuePairs<String, String>
    ) -> String {
        let kept = base.filter { member in !changes.contains { $0.key == member.key } }
        let members = (kept.map { ($0.key, $0.value) } + changes.map { ($0.key, $0.value) }).filter { !$0.1.isEmpty }
        return "{" + members.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ",") + "}"
    }

    func send(_ tenant: Client, root: Client) async throws -> Answer {
        let client: Client
        switch sender {
        case .tenant: client = tenant
        case .root: client = root
        case .nobody: client = Client(url: tenant.url, key: nil)
        case .key(let key): client = Client(url: tenant.url, key: key)
        }
        if bytes == nil, path.contains("%") || path.contains("+") {
            return try await client.sendRaw(method, target: path)
        }
        return try await client.send(method, path, bytes: bytes, contentType: contentType, headers: headers)
    }

    /// The difference from the expected refusal; nil when there is none.
    func complaint(_ answer: Answer) -> String? {
        guard answer.status == status, answer.code == code else { return "expected \(status) \(code)" }
        guard let pointer else { return nil }
        let pointers = (answer["errors"]?.items ?? []).compactMap { $0[path: "pointer"]?.text }
        return pointers.contains(pointer) ? nil : "expected the pointer \(pointer)"
    }
}

/// Requests with a common theme.
struct BadRequests: Sendable, CustomTestStringConvertible {
    let theme: String
    let requests: [BadRequest]

    init(_ theme: String, _ requests: [BadRequest]...) {
        self.theme = theme
        self.requests = requests.flatMap { $0 }
    }

    var testDescription: String { "\(theme), \(requests.count) cases" }
}
