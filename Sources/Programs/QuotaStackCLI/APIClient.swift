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
        let (status, bytes) = try await exchange(
            method, path, body: body, idempotencyKey: method == "GET" ? nil : idempotencyKey, upTo: 16 << 20)
        let value = try? JSONParser.parse(bytes)
        guard (200..<300).contains(status), let value else {
            throw CallError("\(method) \(path) was answered \(status). \(value?["detail"]?.text ?? "")")
        }
        return (status, value)
    }

    /// Sends one request and returns its answer, whatever its status is.
    ///
    /// - Throws: `NIOTooManyBytesError` when the answer has more bytes than `limit`; `CallError` when there is none.
    func exchange(
        _ method: String, _ path: String, body: [UInt8]?, idempotencyKey: String?, upTo limit: Int
    ) async throws -> (status: UInt, bytes: [UInt8]) {
        var request = HTTPClientRequest(url: url + path)
        request.method = .RAW(value: method)
        request.headers.add(name: "Authorization", value: "Bearer \(key)")
        if let idempotencyKey { request.headers.add(name: "Idempotency-Key", value: idempotencyKey) }
        if let body {
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .bytes(ByteBuffer(bytes: body))
        }
        do {
            let response = try await HTTPClient.shared.execute(request, timeout: .seconds(30))
            let bytes = try await response.body.collect(upTo: limit)
            return (response.status.code, Array(bytes.readableBytesView))
        } catch let error as NIOTooManyBytesError {
            throw error
        } catch {
            throw CallError("\(url) does not answer: \(error)")
        }
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
