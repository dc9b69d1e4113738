import AsyncHTTPClient
import Glibc
import JSON
import NIOCore
import NIOHTTP1
import NIOPosix

/// The answer of a node.
struct Answer: Sendable {
    let status: Int
    let bytes: [UInt8]
    /// The header `QuotaStack-Position`.
    let position: String?
    let isReplay: Bool

    var json: JSONValue { (try? JSONParser.parse(bytes)) ?? .null }
    var text: String { "\(status) \(String(decoding: bytes.prefix(600), as: UTF8.self))" }
}

/// The result of a call.
enum CallResult: Sendable {
    case answered(Answer)
    /// No connection could be made, so nothing was sent.
    case unsent(String)
    /// The connection was lost, or no answer arrived in time.
    case lost(String)

    /// The status, or the reason why there is none.
    var summary: String {
        switch self {
        case .answered(let answer): "\(answer.status)"
        case .unsent(let reason), .lost(let reason): reason
        }
    }
}

/// Calls nodes over HTTP. It never repeats a request by itself.
final class HTTPCaller: Sendable {
    private let client: HTTPClient

    init() {
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 128
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.connectionPool.idleTimeout = .seconds(10)
        configuration.timeout.connect = .seconds(3)
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    func shutDown() async {
        try? await client.shutdown()
    }

    /// - Parameters:
    ///   - key: The API key.
    /// - limit: The time after which the call is given up.
    /// - largest: The maximum size of an answer, in bytes.
    func send(
        _ method: String, _ node: Node, _ path: String, key: String?, body: [UInt8]? = nil,
        headers: [(String, String)] = [], limit: Duration = .seconds(15), largest: Int = 16 << 20
    ) async -> CallResult {
        var request = HTTPClientRequest(url: node.url + path)
        request.method = .RAW(value: method)
        if let key { request.headers.add(name: "Authorization", value: "Bearer \(key)") }
        if let body {
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .bytes(ByteBuffer(bytes: body))
        }
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        do {
            let deadline = NIODeadline.now() + .nanoseconds(Int64(limit / .nanoseconds(1)))
            let response = try await client.execute(request, deadline: deadline)
            let body = try await response.body.collect(upTo: largest)
            return .answered(
                Answer(
                    status: Int(response.status.code), bytes: Array(body.readableBytesView),
                    position: response.headers.first(name: "QuotaStack-Position"),
                    isReplay: response.headers.first(name: "X-Idempotent-Replayed") == "true"))
        } catch let error as NIOConnectionError {
            return .unsent("\(error)")
        } catch let error as HTTPClientError where error == .connectTimeout {
            return .unsent("\(error)")
        } catch let error as IOError where error.errnoCode == ECONNREFUSED {
            return .unsent("connection refused")
        } catch {
            return .lost("\(error)")
        }
    }
}
