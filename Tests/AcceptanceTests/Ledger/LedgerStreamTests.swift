import ChildProcesses
import JSON
import Synchronization
import Testing

extension Acceptance {
    /// `GET /v1/ledger/stream`: the entries of an environment as they come.
    @Suite struct LedgerStreamTests {
        /// The streams that the node counts.
        private static func streams() async throws -> Double {
            let installation = try await SharedInstallation.get()
            let text = String(decoding: try await installation.client(nil).get("/metrics").bytes, as: UTF8.self)
            let line = text.split(separator: "\n").first { $0.hasPrefix("quotastack_api_ledger_streams ") }
            return line.flatMap { Double($0.split(separator: " ")[1]) } ?? 0
        }

        @Test("Entries arrive live, as the list shows them, in the order of each end user, and a filter holds")
        func live() async throws {
            let client = try await makeTenant().test
            try await client.sell("calls", unitCost: 1)
            try await client.post("/v1/end-users", ["end_user_id": "alice"]).expect(201)
            let all = try await client.watch()
            let uses = try await client.watch("?type=use&feature_key=calls")
            let alices = try await client.watch("?end_user_id=alice")
            try await client.grant("alice", 1_000).expect(201)
            try await client.use("alice", "calls", 5).expect(201)
            try await client.grant("bob", 7).expect(201)
            try await client.use("alice", "calls", 6).expect(201)
            let shown = try await all.events(4)
            #expect(shown.map { $0.data["type"]?.text } == ["grant", "use", "grant", "use"])
            let listed = try await client.get("/v1/ledger", [("end_user_id", "alice"), ("limit", "1")]).expect(200)
            #expect(try listed.items() == [shown[3].data])
            #expect(try await uses.events(2).map(\.data) == [shown[1].data, shown[3].data])
            #expect(try await alices.events(3).map(\.data) == [shown[0].data, shown[1].data, shown[3].data])
            for watcher in [all, uses, alices] { watcher.end() }
        }

        @Test("A client that comes back with its last id gets what it missed, and nothing twice")
        func resumed() async throws {
            let client = try await makeTenant().test
            try await client.sell("calls", unitCost: 1)
            var watcher = try await client.watch()
            try await client.grant("alice", 100_000).expect(201)
            _ = try await watcher.events(1)
            var seen: [String] = []
            for round in 0..<4 {
                let writers = (0..<3).map { writer in
                    Task {
                        for number in 0..<20 {
                            try await client.use("alice", "calls", 1, key: "\(round)-\(writer)-\(number)").expect(201)
                        }
                    }
                }
                // The connection breaks while entries come.
                let events = try await watcher.events(10)
                seen += events.compactMap { $0.data["idempotency_key"]?.text }
                watcher.end()
                for writer in writers { try await writer.value }
                watcher = try await client.watch(after: events.last?.id)
                let missed = try await watcher.events(50)
                seen += missed.compactMap { $0.data["idempotency_key"]?.text }
            }
            watcher.end()
            #expect(seen.count == 240 && Set(seen).count == 240)
        }

        @Test("Every stream begins with a place to come back to, and a wrong place or parameter is refused")
        func places() async throws {
            let client = try await makeTenant().test
            let watcher = try await client.watch()
            let place = try #require(watcher.place)
            watcher.end()
            try await client.grant("alice", 6).expect(201)
            let again = try await client.watch(after: place)
            #expect(try await again.events(1).map { $0.data["amount"] } == [6])
            again.end()
            for id in ["1-2", "9223372036854775807-0-0"] {
                let nonsense = try await client.get("/v1/ledger/stream", headers: ["Last-Event-ID": id])
                nonsense.expect(400, "invalid_cursor")
            }
            try await client.get("/v1/ledger/stream", [("colour", "red")]).expect(400, "unknown_field")
            try await client.get("/v1/ledger/stream", [("end_user_id", "nobody")]).expect(404, "unknown_end_user")
            let head = try await client.send("HEAD", "/v1/ledger/stream").expect(200)
            #expect(head.headers["content-type"] == "text/event-stream" && head.bytes.isEmpty)
        }

        @Test("Nobody sees the entries of another environment, also not with a place of its stream")
        func strangers() async throws {
            let owner = try await makeTenant()
            let stranger = try await makeTenant().test
            let own = try await owner.test.watch()
            let others = [try await owner.live.watch(after: own.place), try await stranger.watch(after: own.place)]
            try await owner.test.grant("alice", 5).expect(201)
            #expect(try await own.events(1).count == 1)
            for (other, client) in zip(others, [owner.live, stranger]) {
                try await client.grant("mallory", 1).expect(201)
                #expect(try await other.events(1).map { $0.data["end_user_id"] } == ["mallory"])
                other.end()
            }
            own.end()
        }

        @Test("The entries of an erased end user are shown under the opaque id only")
        func erased() async throws {
            let client = try await makeTenant().test
            let watcher = try await client.watch()
            let place = try #require(watcher.place)
            try await client.post(
                "/v1/credits/grant", ["end_user_id": "alice smith", "credits": 5, "reason": "for Alice"]
            ).expect(201)
            #expect(try await watcher.events(1).first?.data["end_user_id"] == "alice smith")
            watcher.end()
            let answer = try await client.post("/v1/end-users/alice%20smith/erase").expect(200)
            let opaque = try answer.text("end_user_id")
            try await waitUntil("the text is gone") {
                let list = try await client.get("/v1/ledger", [("end_user_id", opaque)])
                return list.status == 200 && !String(decoding: list.bytes, as: UTF8.self).contains("Alice")
            }
            let again = try await client.watch(after: place)
            let shown = try #require(try await again.events(1).first)
            #expect(shown.data["end_user_id"] == .string(opaque) && shown.data["reason"] ?? .null == .null)
            again.end()
        }

        @Test("A watcher that does not read is ended, the others go on, and it can come back")
        func slow() async throws {
            let client = try await makeTenant().test
            try await client.sell("calls", unitCost: 1)
            try await client.grant("alice", 1_000_000).expect(201)
            let reader = try await client.watch()
            let place = reader.place
            let before = try await Self.streams()
            let port = Int(client.url.split(separator: ":").last ?? "") ?? 0
            let sleeper = try RawConnection(port: port)
            sleeper.keepSmallBuffer()
            sleeper.send(
                "GET /v1/ledger/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer \(client.key ?? "")\r\n\r\n"
            )
            try await waitUntil("the sleeper is counted") {
                try await Self.streams() > before
            }
            // More than the sockets and the tail of the environment keep.
            let note = String(repeating: "x", count: 3_500)
            for batch in 0..<4 {
                let events = (0..<1_000).map { number -> JSONValue in
                    [
                        "end_user_id": "alice", "feature_key": "calls", "metadata": ["note": .string(note)],
                        "idempotency_key": .string("\(batch)-\(number)"),
                    ]
                }
                try await client.post("/v1/usage/batch", ["events": .array(events)]).expect(200)
            }
            #expect(try await reader.events(4_000).count == 4_000)
            reader.end()
            try await waitUntil("the sleeper is ended") {
                try await Self.streams() <= before
            }
            let back = try await client.watch(after: place)
            #expect(try await back.events(4_000).count == 4_000)
            back.end()
        }

        @Test("A stream ends when its key is revoked")
        func revoked() async throws {
            let client = try await makeTenant().test
            let made = try await client.post("/v1/api-keys", ["name": "k", "scopes": ["credits:read"]]).expect(201)
            let watcher = try await Client(url: client.url, key: try made.text("key")).watch()
            try await client.post("/v1/api-keys/\(try made.text("id"))/revoke").expect(200)
            try await watcher.ended()
        }
    }
}
