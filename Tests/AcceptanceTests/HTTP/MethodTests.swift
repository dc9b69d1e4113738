import JSON
import Testing

extension Acceptance {
    /// Methods, expectations and preferences of HTTP.
    @Suite struct MethodTests {
        @Test("HEAD is answered with the headers of GET and without a body")
        func head() async throws {
            let client = try await makeTenant().test
            try await client.grant("alice", 5).expect(201)
            let paths = [
                "/healthz", "/readyz", "/v1/features", "/v1/credits/balance?end_user_id=alice", "/v1/ledger/export",
                "/v1/features/none", "/v1/nothing", "/v1/ledger",
            ]
            for path in paths {
                let (head, get) = try await client.raw { connection in
                    let headers = "Host: h\r\nX-API-Key: \(client.key ?? "")\r\nX-Request-Id: same\r\n\r\n"
                    connection.send("HEAD \(path) HTTP/1.1\r\n\(headers)GET \(path) HTTP/1.1\r\n\(headers)")
                    return (try connection.answer(hasBody: false), try connection.answer())
                }
                #expect(head.status == get.status, "\(path)")
                #expect(head.headers.filter { $0.key != "date" } == get.headers.filter { $0.key != "date" }, "\(path)")
                #expect(!get.bytes.isEmpty)
            }
        }

        @Test("Another method of a path is refused with 405 and the methods that it has")
        func otherMethods() async throws {
            let client = try await SharedInstallation.get().client(nil)
            for (method, path, allowed) in [
                ("POST", "/healthz", "GET, HEAD, OPTIONS"), ("DELETE", "/v1/features", "GET, HEAD, POST, OPTIONS"),
                ("PUT", "/v1/features/api", "GET, HEAD, PATCH, OPTIONS"),
                ("GET", "/v1/usage/batch", "POST, OPTIONS"), ("HEAD", "/v1/usage/batch", "POST, OPTIONS"),
                ("GET", "/v1/reservations/res_x/commit", "POST, OPTIONS"),
                ("TRACE", "/v1/config", "GET, HEAD, PATCH, OPTIONS"),
                ("PROPFIND", "/v1/config", "GET, HEAD, PATCH, OPTIONS"),
            ] {
                let answer = try await client.send(method, path)
                #expect(answer.headers["allow"] == allowed, "\(method) \(path)")
                #expect(answer.status == 405, "\(method) \(path)")
                if method != "HEAD" { expectProblem(answer.expect(405, "method_not_allowed")) }
                let options = try await client.send("OPTIONS", path).expect(204)
                #expect(options.headers["allow"] == allowed && options.bytes.isEmpty)
            }
            try await client.send("OPTIONS", "/v1/nothing").expect(404, "not_found")
        }

        @Test("A client that expects 100 Continue gets it when its body is wanted, and else the refusal at once")
        func expectation() async throws {
            let client = try await makeTenant().test
            let key = "Host: h\r\nX-API-Key: \(client.key ?? "")\r\nExpect: 100-Continue\r\n"
            let body = #"{"end_user_id":"alice","credits":1}"#
            let post = "POST /v1/credits/grant HTTP/1.1\r\n"
            let (interim, made) = try await client.raw { connection in
                connection.send("\(post)\(key)Content-Length: \(body.utf8.count)\r\n\r\n")
                let interim = try connection.answer()
                connection.send(body)
                return (interim, try connection.answer())
            }
            #expect(interim.status == 100)
            made.expect(201)
            for (head, status) in [
                ("\(post)Host: h\r\nExpect: 100-continue\r\nContent-Length: 10\r\n", 401),
                ("\(post)\(key)Content-Length: 9000000\r\n", 413),
                ("\(post)\(key)Content-Length: 10\r\nContent-Type: text/csv\r\n", 415),
                ("POST /v1/features/api HTTP/1.1\r\n\(key)Content-Length: 10\r\n", 405),
            ] {
                let (refusal, rest) = try await client.raw { connection in
                    connection.send("\(head)\r\n")
                    return (try connection.answer(), try connection.rest())
                }
                expectProblem(refusal.expect(status))
                #expect(rest == [])
            }
        }

        @Test("A client that prefers to wait for some seconds waits no longer, and is told")
        func preferredWait() async throws {
            try await withInstallation(serves: false) { installation in
                let api = try installation.node("quotastack-api")
                try await api.start(["QUOTASTACK_COMMAND_WAIT_MS": "60000"])
                let worker = try installation.node("quotastack-ledger")
                try await worker.start()
                let client = try await installation.makeTenant(through: api).test
                let grant: JSONValue = ["end_user_id": "alice", "credits": 1]
                let decided = try await client.post(
                    "/v1/credits/grant", grant, headers: ["Prefer": "respond-async, wait=20"]
                ).expect(201)
                #expect(decided.headers["preference-applied"] == "respond-async, wait=20")
                try await client.patch("/v1/config", ["timezone": "UTC"], headers: ["Prefer": "wait=5; x=y"]).expect(
                    200)
                _ = await worker.stop()
                for (preference, atLeast, atMost) in [
                    ("respond-async, wait=1", 0.9, 10.0), ("wait=1", 0.9, 10), ("wait=0", 0, 10),
                    ("respond-async", 0, 10),
                ] {
                    let start = ContinuousClock.now
                    let pending = try await client.post(
                        "/v1/credits/grant", grant, headers: ["Prefer": preference]
                    ).expect(202)
                    let seconds = (ContinuousClock.now - start) / .seconds(1)
                    #expect((atLeast...atMost).contains(seconds), "\(preference) took \(seconds) s")
                    #expect(pending.headers["preference-applied"] == preference)
                }
                let batch = try await client.post(
                    "/v1/usage/batch", ["events": [event("alice", "api")]], headers: ["Prefer": "wait=1"]
                ).expect(200)
                #expect(batch["results.0.error.outcome"] == "unknown")
                #expect(batch.headers["preference-applied"] == "wait=1")
            }
        }
    }
}
