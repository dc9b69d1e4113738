import AsyncHTTPClient
import Glibc
import JSON
import NIOCore
import NIOHTTP1

/// Calls the API of a running installation for the operator's commands.
struct APIClient {
    let url: String
    let key: String

    /// The number of requests after which a change that is not decided is given up. The server waits before each answer.
    private static let attempts = 6

    /// Calls an endpoint and returns the JSON of its answer. A change that is not decided yet is sent again with its
    /// idempotency key, because only its own answer shows a new key.
    ///
    /// - Throws: `CallError`, with the detail of the API's problem, when the call has no final 2xx answer.
    func call(_ method: String, _ path: String, body: [UInt8]? = nil) async throws -> JSONValue {
        let idempotencyKey = String(UInt128.random(in: 0...UInt128.max), radix: 16)
        for _ in 0..<Self.attempts {
            let (status, value) = try await send(method, path, body, idempotencyKey)
            if status != 202 { return value }
        }
        throw CallError("\(method) \(path) was accepted, but the ledger has not decided it yet")
    }

    private func send(
        _ method: String, _ path: String, _ body: [UInt8]?, _ idempotencyKey: String
    ) async throws -> (status: UInt, value: JSONValue) {
        var request = HTTPClientRequest(url: url + path)
        request.method = .RAW(value: method)
        request.headers.add(name: "Authorization", value: "Bearer \(key)")
        if method != "GET" { request.headers.add(name: "Idempotency-Key", value: idempotencyKey) }
        if let body {
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .bytes(ByteBuffer(bytes: body))
        }
        let response: HTTPClientResponse
        let bytes: ByteBuffer
        do {
            response = try await HTTPClient.shared.execute(request, timeout: .seconds(30))
            bytes = try await response.body.collect(upTo: 16 << 20)
        } catch {
            throw CallError("\(url) does not answer: \(error)")
        }
        let value = try? JSONParser.parse(bytes.readableBytesView)
        guard (200..<300).contains(response.status.code), let value else {
            throw CallError("\(method) \(path) was answered \(response.status.code). \(value?["detail"]?.text ?? "")")
        }
        return (response.status.code, value)
    }
}

/// A sentence about a call that failed.
struct CallError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// The value of an environment variable; nil when it is unset or empty. `ops/up` writes the variables that replace
/// options into `.quotastack/env`.
func environment(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
}

extension JSONValue {
    /// The JSON on one line, for scripts.
    var line: String { String(decoding: bytes, as: UTF8.self) }
}
