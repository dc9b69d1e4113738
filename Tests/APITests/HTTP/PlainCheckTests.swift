import Credits
import Testing

@testable import API

/// The requests that the lane for checks takes, and those that it leaves to the ordinary path.
@Suite struct PlainCheckTests {
    private static let host = "Host: localhost\r\n"
    private static let key = "Authorization: Bearer qs_live_abc\r\n"

    private func read(_ head: String) -> PlainCheck? {
        Array(head.utf8).withUnsafeBytes { PlainCheck($0) }
    }

    private func read(query: String, headers: String = host + key) -> PlainCheck? {
        read("GET /v1/entitlements/check?\(query) HTTP/1.1\r\n\(headers)\r\n")
    }

    @Test("The form that clients send is read, with parameters and headers in any order")
    func plain() throws {
        let head =
            "GET /v1/entitlements/check?end_user_id=user_1&feature_key=api_calls HTTP/1.1\r\n\(Self.host)\(Self.key)\r\n"
        let first = try #require(read(head))
        #expect(first.endUserID.rawValue == "user_1" && first.feature.rawValue == "api_calls" && first.units == 1)
        #expect(Array(head.utf8)[first.key].elementsEqual("qs_live_abc".utf8) && first.requestID == nil)
        let second = try #require(
            read(
                query: "units=907&feature_key=a.b:c&end_user_id=org/7@x.org",
                headers: "User-Agent: curl/8\r\nX-Request-Id: r1\r\nx-api-key:qs_test_1\r\nConnection: Keep-Alive\r\n"
                    + "traceparent: 00-1-2-01\r\nHOST: [::1]:8080\r\nAccept: */*\r\n"))
        #expect(second.endUserID.rawValue == "org/7@x.org" && second.units == 907 && second.requestID != nil)
    }

    @Test(
        "Every other query is left to the ordinary path",
        arguments: [
            "", "end_user_id=a", "feature_key=a", "end_user_id=&feature_key=a", "end_user_id=a&feature_key=",
            "end_user_id=a%20b&feature_key=f", "end_user_id=a+b&feature_key=f",
            "end_user_id=a&end_user_id=b&feature_key=f",
            "end_user_id=a&feature_key=f&units=", "end_user_id=a&feature_key=f&units=-1",
            "end_user_id=a&feature_key=f&units=1.5", "end_user_id=a&feature_key=f&units=1234567890123456789",
            "end_user_id=a&feature_key=f&units=1&units=1", "end_user_id=a&feature_key=f&reservation=true",
            "end_user_id=a&feature_key=f&other=1", "end_user_id=a&&feature_key=f",
            "end_user_id=a=b&feature_key=f", "end_user_id=a#b&feature_key=f", "end_user_id=a&feature_key=f/g",
            "END_USER_ID=a&feature_key=f", "end_user_id=ä&feature_key=f", "end_user_id=a;b&feature_key=f",
        ])
    func otherQueries(_ query: String) {
        #expect(read(query: query) == nil)
    }

    @Test(
        "Every header that changes the request is left to the ordinary path",
        arguments: [
            host, key, host + key + host, host + key + key, host + key + "X-API-Key: qs_live_b\r\n",
            host + key + "Content-Length: 0\r\n", host + key + "Transfer-Encoding: chunked\r\n",
            host + key + "Expect: 100-continue\r\n", host + key + "Upgrade: h2c\r\n",
            host + key + "Connection: close\r\n", host + key + "Connection: keep-alive, upgrade\r\n",
            host + key + "QuotaStack-Min-Position: 0\r\n", host + key + "Prefer: wait=1\r\n",
            host + key + "Idempotency-Key: a\r\n", host + key + "Content-Encoding: gzip\r\n",
            host + key + "TE: trailers\r\n", host + key + " folded\r\n", host + key + "Bad Name: x\r\n",
            host + key + "No-Colon\r\n", host + key + ": x\r\n", host + key + "User-Agent: \u{1}\r\n",
            host + key + "User-Agent: é\r\n",
            host + key + "X-Request-Id: \r\n", host + key + "X-Request-Id: a b\r\n",
            host + key + "X-Request-Id: a\r\nX-Request-Id: b\r\n", "Host: \r\n" + key, "Host: a b\r\n" + key,
            host + "Authorization: Basic eA==\r\n", host + "Authorization: Bearer \r\n",
            host + "Authorization: Bearer  a\r\n", host + "Authorization: Bearera\r\n",
            host + "Authorization: Bearer a b\r\n", host + key + "User-Agent: x\n",
        ])
    func otherHeaders(_ headers: String) {
        #expect(read(query: "end_user_id=a&feature_key=f", headers: headers) == nil)
    }

    @Test(
        "Another method, path, version or line end is left to the ordinary path",
        arguments: [
            "HEAD /v1/entitlements/check?end_user_id=a&feature_key=f HTTP/1.1",
            "POST /v1/entitlements/check?end_user_id=a&feature_key=f HTTP/1.1",
            "GET /v1/entitlements/check?end_user_id=a&feature_key=f HTTP/1.0",
            "GET /v1/entitlements/check/?end_user_id=a&feature_key=f HTTP/1.1",
            "GET /v1/entitlements?end_user_id=a&feature_key=f HTTP/1.1", "GET /v1/entitlements/check HTTP/1.1",
            "GET  /v1/entitlements/check?end_user_id=a&feature_key=f HTTP/1.1",
            "GET /v1/entitlements/check?end_user_id=a&feature_key=f  HTTP/1.1",
        ])
    func otherLines(_ line: String) {
        #expect(read("\(line)\r\n\(Self.host)\(Self.key)\r\n") == nil)
        #expect(read("\(line)\n\(Self.host)\(Self.key)\r\n") == nil)
    }
}
