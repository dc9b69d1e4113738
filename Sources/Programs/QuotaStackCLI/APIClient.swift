import AsyncHTTPClient
import Glibc
import JSON
import NIOCore
import NIOHTTP1

/// Calls the API of a running installation for the operator's commands.
struct APIClient {
    let url: String
    let key: String

    /// Calls an endpoint and returns the JSON of its answer.
    ///
    /// - Throws: `CallError`, with the detail of the API's problem, when the call has no 2xx answer.
    func call(_ method: String, _ path: String, body: [UInt8]? = nil) async throws -> JSONValue {
        var request = HTTPClientRequest(url: url + path)
        request.method = .RAW(value: method)
        request.headers.add(name: "Authorization", value: "Bearer \(key)")
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
        return value
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
