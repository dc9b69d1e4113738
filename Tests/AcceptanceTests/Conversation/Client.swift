import AsyncHTTPClient
import ChildProcesses
import JSON
import NIOCore
import NIOHTTP1
import Testing

/// A caller of the API: an address and a key.
struct Client: Sendable {
    let url: String
    var key: String?
    var http = Self.http

    /// Nothing is retried: each test decides what an unanswered request means.
    private static let http: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 128
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.connectionPool.idleTimeout = .seconds(10)
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    /// - Parameter isChunked: Whether the body is sent without its length.
    func send(
        _ method: String, _ path: String, bytes: [UInt8]? = nil, contentType: String? = "application/json",
        headers: [String: String] = [:], isChunked: Bool = false
    ) async throws -> Answer {
        var request = HTTPClientRequest(url: url + path)
        request.method = .RAW(value: method)
        if let key { request.headers.add(name: "Authorization", value: "Bearer \(key)") }
        if let bytes {
            if let contentType { request.headers.add(name: "Content-Type", value: contentType) }
            request.body = isChunked ? .bytes(bytes, length: .unknown) : .bytes(ByteBuffer(bytes: bytes))
        }
        for (name, value) in headers { request.headers.replaceOrAdd(name: name, value: value) }
        let response = try await http.execute(request, timeout: .seconds(120))
        let body = try await response.body.collect(upTo: 64 << 20)
        let answer = Answer(
            status: Int(response.status.code),
            headers: Dictionary(response.headers.map { ($0.name.lowercased(), $0.value) }) { first, _ in first },
            bytes: Array(body.readableBytesView))
        Contract.check(method, path, bytes, contentType, answer)
        return answer
    }

    func get(
        _ path: String, _ query: [(String, String?)] = [], headers: [String: String] = [:]
    ) async throws -> Answer {
        try await send("GET", path + Self.query(query), headers: headers)
    }

    func post(
        _ path: String, _ body: JSONValue = .object([:]), key: String? = nil, headers: [String: String] = [:]
    ) async throws -> Answer {
        try await send("POST", path, bytes: body.bytes, headers: Self.headers(headers, key))
    }

    func patch(
        _ path: String, _ body: JSONValue, key: String? = nil, headers: [String: String] = [:]
    ) async throws -> Answer {
        try await send("PATCH", path, bytes: body.bytes, headers: Self.headers(headers, key))
    }

    /// Every page of a list.
    func pages(_ path: String, _ query: [(String, String?)] = [], limit: Int) async throws -> [[JSONValue]] {
        var pages: [[JSONValue]] = []
        var cursor: String?
        repeat {
            let answer = try await get(path, query + [("limit", "\(limit)"), ("cursor", cursor)]).expect(200)
            pages.append(try answer.items())
            cursor = answer["pagination.next_cursor"]?.text
            guard pages.count < 10_000 else { throw HarnessError("\(path) has no last page") }
        } while cursor != nil
        return pages
    }

    /// Every item of a list.
    func all(_ path: String, _ query: [(String, String?)] = []) async throws -> [JSONValue] {
        try await pages(path, query, limit: 100).flatMap { $0 }
    }

    private static func headers(_ headers: [String: String], _ key: String?) -> [String: String] {
        var headers = headers
        if let key { headers["Idempotency-Key"] = key }
        return headers
    }

    private static func query(_ pairs: [(String, String?)]) -> String {
        let given = pairs.compactMap { name, value in value.map { "\(name)=\(percentEncoded($0))" } }
        return given.isEmpty ? "" : "?" + given.joined(separator: "&")
    }
}

/// Percent-encodes everything but unreserved characters.
func percentEncoded(_ text: String) -> String {
    text.utf8.map { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            return String(UnicodeScalar(byte))
        default:
            let digits = String(byte, radix: 16, uppercase: true)
            return byte < 16 ? "%0\(digits)" : "%\(digits)"
        }
    }.joined()
}

extension Client {
    /// Sends a request target as it is, such as one with broken percent-encoding, which no HTTP client would send.
    func sendRaw(_ method: String, target: String) async throws -> Answer {
        let authorization = key.map { "Authorization: Bearer \($0)\r\n" } ?? ""
        return try await raw { connection in
            connection.send("\(method) \(target) HTTP/1.1\r\nHost: 127.0.0.1\r\n\(authorization)\r\n")
            return try connection.answer()
        }
    }

    /// Lends a new connection to the closure, which runs on a thread of its own because its calls block.
    func raw<Output: Sendable>(
        _ body: @escaping @Sendable (RawConnection) throws -> Output
    ) async throws -> Output {
        let port = Int(url.split(separator: ":").last ?? "") ?? 0
        return try await withCheckedThrowingContinuation { continuation in
            runOnThread { continuation.resume(with: Result { try body(try RawConnection(port: port)) }) }
        }
    }
}
