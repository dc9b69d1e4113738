import ChildProcesses
import JSON
import Credits
import Synchronization
import Testing
import WebhookReceiver

extension Acceptance {
    /// Webhook endpoints over HTTP, with receivers on this machine.
    @Suite struct WebhookTests {
        @Test("An event that happens after an endpoint was made arrives once, signed, in the envelope of the feed")
        func arrives() async throws {
            let client = try await makeTenant().test
            try await client.askForTopUps("before")
            try await WebhookReceiver.serving { receiver in
                let made = try await client.webhook(receiver, ["description": "Höoks"]).expect(201)
                expectMutationHeaders(made)
                #expect(
                    made.json.names.sorted() == [
                        "created_at", "description", "disabled_at", "disabled_reason", "enabled", "event_types", "id",
                        "previous_secret_until", "replay", "secret", "updated_at", "url",
                    ])
                let secret = try made.text("secret")
                #expect(secret.hasPrefix("whsec_") && made["enabled"] == true && made["event_types"] == .null)
                let id = try made.text("id")
                let shown = try await client.get("/v1/webhook-endpoints/\(id)").expect(200)
                #expect(shown["secret"] == nil && shown["url"] == .string(receiver.url))
                #expect(try await client.all("/v1/webhook-endpoints") == [shown.json])

                try await client.askForTopUps("zoë 日本")
                try await receiver.gets(1)
                let request = try #require(receiver.requests.first)
                #expect(request.isSigned(with: secret) && !request.isSigned(with: "whsec_AAAA"))
                let feed = try await client.get("/v1/events").expect(200).items()
                #expect(try feed.count == 2 && JSONParser.parse(request.body) == feed[1])
                #expect(request.headers["webhook-id"] == feed[1]["id"]?.text)
                #expect(feed[1]["end_user_id"] == "zoë 日本" && feed[1]["sequence"] == 1)

                try await client.delivers(id, ["succeeded"])
                let delivery = try #require(try await client.deliveries(id).first)
                #expect(delivery["event_id"] == feed[1]["id"] && delivery["event_type"] == "topup.requested")
                #expect(delivery["endpoint_id"] == .string(id) && delivery["next_attempt_at"] == .null)
                guard case .array(let attempts)? = delivery["attempts"] else {
                    Issue.record("\(delivery)")
                    return
                }
                #expect(attempts.count == 1 && attempts[0]["status"] == 200 && attempts[0]["error"] == .null)
                #expect(receiver.requests.count == 1)
            }
        }

        @Test("A secret is shown with its first answer and its replays, and the same key for another body is refused")
        func secrets() async throws {
            let client = try await makeTenant().test
            let body: JSONValue = ["url": "http://127.0.0.1:9/"]
            let made = try await client.post("/v1/webhook-endpoints", body, key: "hook").expect(201)
            let again = try await client.post("/v1/webhook-endpoints", body, key: "hook").expect(201)
            #expect(again.isReplay && again.bytes == made.bytes)
            try await client.post("/v1/webhook-endpoints", ["url": "http://127.0.0.1:8/"], key: "hook").expect(
                422, "idempotency_key_reuse")
            let path = "/v1/webhook-endpoints/\(try made.text("id"))"
            let rotated = try await client.post("\(path)/rotate-secret", ["overlap_seconds": 60], key: "r").expect(200)
            #expect(try rotated.text("secret") != made.text("secret") && rotated["previous_secret_until"] != .null)
            let replay = try await client.post("\(path)/rotate-secret", ["overlap_seconds": 60], key: "r").expect(200)
            #expect(replay.isReplay && replay.bytes == rotated.bytes)
        }

        @Test("A filter lets its types through, and a list has at most 20 endpoints")
        func filters() async throws {
            let client = try await makeTenant().test
            try await WebhookReceiver.serving { receiver in
                try await client.webhook(receiver, ["event_types": ["topup.failed"]]).expect(201)
                try await client.webhook(receiver, ["event_types": ["topup.nonsense"]]).expect(400, "invalid_request")
                try await client.webhook(receiver, ["event_types": []]).expect(400, "invalid_request")
                let request = try await client.askForTopUps("alice")
                try await client.post("/v1/auto-topups/\(request)/failed").expect(200)
                try await receiver.gets(1)
                #expect(try receiver.types() == ["topup.failed"])
            }
            for _ in 1..<20 {
                try await client.post("/v1/webhook-endpoints", ["url": "https://example.com/"]).expect(201)
            }
            try await client.post("/v1/webhook-endpoints", ["url": "https://example.com/"]).expect(409, "conflict")
            let endpoints = try await client.all("/v1/webhook-endpoints")
            #expect(endpoints.count == 20)
            let id = try #require(endpoints[0]["id"]?.text)
            try await client.send("DELETE", "/v1/webhook-endpoints/\(id)").expect(204)
            try await client.send("DELETE", "/v1/webhook-endpoints/\(id)").expect(404, "not_found")
            try await client.get("/v1/webhook-endpoints/\(id)").expect(404, "not_found")
            try await client.post("/v1/webhook-endpoints", ["url": "https://example.com/"]).expect(201)
        }

        @Test("A failed delivery is repeated after 5 s and blocks its own end user only, in order")
        func retries() async throws {
            let client = try await makeTenant().test
            // The first request about alice is refused; nobody else's is.
            try await WebhookReceiver.serving({ request in
                request.text.contains(#""alice""#) && request.text.contains(#""sequence":1,"#)
                    && Refusals.first(request) ? .answer(500, "broken") : .accepted
            }) { receiver in
                let id = try await client.webhook(receiver).expect(201).text("id")
                let request = try await client.askForTopUps("alice")
                try await receiver.gets(1)
                try await client.post("/v1/auto-topups/\(request)/failed").expect(200)
                try await client.askForTopUps("bob")
                try await waitUntil("bob's event arrives") {
                    receiver.requests.contains { $0.text.contains(#""bob""#) }
                }
                #expect(try receiver.sequences(of: "alice") == [1])
                let waiting = try await client.all(
                    "/v1/webhook-deliveries", [("endpoint_id", id), ("status", "failed")])
                #expect(waiting.count == 1 && waiting[0]["next_attempt_at"] != .null)
                #expect(waiting[0]["attempts"]?.elements.first?["response"] == "broken")
                try await waitUntil("alice's events arrive") { try receiver.sequences(of: "alice").count == 3 }
                #expect(try receiver.sequences(of: "alice") == [1, 1, 2])
                try await client.delivers(id, ["succeeded", "succeeded", "succeeded"])
                let attempts = try await client.deliveries(id).last?["attempts"]?.elements ?? []
                #expect(attempts.map { $0["status"] } == [500, 200])
                let times = attempts.compactMap { $0["at"]?.text.flatMap { Instant(rfc3339: $0)?.microseconds } }
                #expect(times.count == 2 && (4_000_000...8_000_000).contains(times[1] - times[0]), "\(times)")
            }
        }

        @Test("A 410 disables the endpoint, the others are told, and it goes on where it was when it is enabled again")
        func gone() async throws {
            let client = try await makeTenant().test
            try await WebhookReceiver.serving { other in
                try await WebhookReceiver.serving({ $0.number == 1 ? .answer(410) : .accepted }) { receiver in
                    let id = try await client.webhook(receiver).expect(201).text("id")
                    try await client.webhook(other).expect(201)
                    try await client.askForTopUps("alice")
                    try await other.gets(2)
                    let told = try #require(
                        try other.events().first { $0["type"] == "webhook_endpoint.disabled" })
                    #expect(told["data"]?["webhook_endpoint_id"] == .string(id) && told["data"]?["reason"] == "gone")
                    #expect(told["end_user_id"] == .null && told["sequence"] == 1)
                    #expect(try await client.get("/v1/events").expect(200).items().contains(told))
                    let after = try #require(told["id"]?.text)
                    try await client.get("/v1/events", [("after", after)]).expect(200)
                    let shown = try await client.get("/v1/webhook-endpoints/\(id)").expect(200)
                    #expect(shown["enabled"] == false && shown["disabled_reason"] == "gone")
                    try await client.post("/v1/webhook-endpoints/\(id)/test").expect(409, "conflict")

                    try await client.askForTopUps("bob")
                    try await other.gets(3)
                    #expect(receiver.requests.count == 1)
                    let enabled = try await client.patch("/v1/webhook-endpoints/\(id)", ["enabled": true]).expect(200)
                    #expect(enabled["enabled"] == true && enabled["disabled_reason"] == .null)
                    try await waitUntil("the events of both arrive") {
                        try receiver.sequences(of: "alice") == [1, 1] && receiver.sequences(of: "bob") == [1]
                    }
                    #expect(try !receiver.types().contains("webhook_endpoint.disabled"))
                }
            }
        }

        @Test("While two secrets are valid a delivery has both signatures, and after a rotation without overlap one")
        func rotation() async throws {
            let client = try await makeTenant().test
            try await WebhookReceiver.serving { receiver in
                let made = try await client.webhook(receiver).expect(201)
                let path = "/v1/webhook-endpoints/\(try made.text("id"))"
                let first = try made.text("secret")
                let second = try await client.post("\(path)/rotate-secret").expect(200).text("secret")
                try await client.post("\(path)/test").expect(200)
                try await receiver.gets(1)
                #expect(receiver.requests[0].isSigned(with: first) && receiver.requests[0].isSigned(with: second))
                #expect(receiver.requests[0].headers["webhook-signature"]?.split(separator: " ").count == 2)
                let third = try await client.post("\(path)/rotate-secret", ["overlap_seconds": 0]).expect(200)
                #expect(third["previous_secret_until"] == .null)
                try await client.post("\(path)/test").expect(200)
                try await receiver.gets(2)
                #expect(receiver.requests[1].isSigned(with: try third.text("secret")))
                #expect(!receiver.requests[1].isSigned(with: second) && !receiver.requests[1].isSigned(with: first))
            }
        }

        @Test("A test event goes to its endpoint alone and is in no feed")
        func testEvent() async throws {
            let client = try await makeTenant().test
            try await WebhookReceiver.serving { receiver in
                let id = try await client.webhook(receiver, ["event_types": ["topup.failed"]]).expect(201).text("id")
                let sent = try await client.post("/v1/webhook-endpoints/\(id)/test").expect(200)
                #expect(sent["status"] == "pending" && sent["event_type"] == "webhook_endpoint.test")
                try await receiver.gets(1)
                let event = try #require(try receiver.events().first)
                #expect(event["type"] == "webhook_endpoint.test" && event["id"] == sent["event_id"])
                #expect(event["data"]?["webhook_endpoint_id"] == .string(id) && event["sequence"] == .null)
                #expect(try await client.get("/v1/events").expect(200).items().isEmpty)
            }
        }

        @Test("A disabled endpoint gets nothing, and what happened meanwhile when it is enabled again")
        func disabled() async throws {
            let client = try await makeTenant().test
            try await WebhookReceiver.serving { witness in
                try await WebhookReceiver.serving { receiver in
                    let id = try await client.webhook(receiver).expect(201).text("id")
                    try await client.webhook(witness).expect(201)
                    try await client.patch("/v1/webhook-endpoints/\(id)", ["enabled": false]).expect(200)
                    for number in 0..<5 { try await client.askForTopUps("user-\(number)") }
                    try await witness.gets(5)
                    #expect(receiver.requests.isEmpty)
                    try await client.patch("/v1/webhook-endpoints/\(id)", ["enabled": true]).expect(200)
                    try await receiver.gets(5)
                    #expect(Set(receiver.requests.map(\.text)) == Set(witness.requests.map(\.text)))
                }
            }
        }

        @Test("A replay sends the events of a span again in order, and a delivery is sent again on demand")
        func replay() async throws {
            let client = try await makeTenant().test
            try await WebhookReceiver.serving { receiver in
                let request = try await client.askForTopUps("alice")
                try await client.post("/v1/auto-topups/\(request)/failed").expect(200)
                let id = try await client.webhook(receiver).expect(201).text("id")
                let path = "/v1/webhook-endpoints/\(id)"
                let begun = try await client.post("\(path)/replay", ["from": "2020-01-01T00:00:00Z"]).expect(200)
                #expect(begun["replay"]?["from"] == "2020-01-01T00:00:00.000Z")
                try await receiver.gets(2)
                #expect(try receiver.sequences(of: "alice") == [1, 2])
                try await waitUntil("the replay ends") {
                    try await client.get(path).expect(200)["replay"] == .null
                }
                try await client.post("\(path)/replay", ["from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"])
                    .expect(200)
                try await waitUntil("the empty replay ends") {
                    try await client.get(path).expect(200)["replay"] == .null
                }
                try await client.post("\(path)/replay", ["from": "2999-01-01T00:00:00Z"]).expect(400, "invalid_request")
                try await client.post("\(path)/replay").expect(400, "invalid_request")
                try await client.delivers(id, ["succeeded", "succeeded"])
                let first = try #require(try await client.deliveries(id).last?["id"]?.text)
                let retried = try await client.post("/v1/webhook-deliveries/\(first)/retry").expect(200)
                #expect(retried["status"] == "pending")
                try await receiver.gets(3)
                #expect(try receiver.sequences(of: "alice") == [1, 2, 1])
                try await client.delivers(id, ["succeeded", "succeeded"])
                #expect(try await client.deliveries(id).last?["attempts"]?.elements.count == 2)
                #expect(receiver.requests.count == 3)
            }
        }

        @Test(
            "URLs that lead to private addresses or have another form are refused",
            arguments: [
                "http://10.0.0.1/", "https://[::1]/", "http://169.254.169.254/latest/meta-data", "http://0x7f000001/",
                "ftp://example.com/", "https://user:password@example.com/", "https://example.com/#a", "example.com", "",
                "http://1.1.1.1:22/",
            ])
        func refusedURLs(url: String) async throws {
            let client = try await makeTenant().test
            let refused = try await client.post("/v1/webhook-endpoints", ["url": .string(url)]).expect(
                400, "invalid_request")
            #expect(refused["errors"]?.elements.first?["pointer"] == "/url")
        }

        @Test(
            "A name that resolves to a private address is refused at the attempt, and the log of the delivery says why")
        func refusedName() async throws {
            let client = try await makeTenant().test
            // This machine's name server gives both loopback addresses, of which the installation allows one.
            let id = try await client.post("/v1/webhook-endpoints", ["url": "http://ip6-localhost:9/"]).expect(201)
                .text("id")
            try await client.post("/v1/webhook-endpoints/\(id)/test").expect(200)
            try await client.delivers(id, ["failed"])
            let error = try await client.deliveries(id).first?["attempts"]?.elements.first?["error"]?.text
            #expect(error?.contains("loopback") == true || error?.contains("resolved") == true, "\(error ?? "")")
        }
    }
}

/// Remembers which requests were refused.
private enum Refusals {
    /// True for the first request with an event.
    static func first(_ request: WebhookReceiver.Request) -> Bool {
        seen.withLock { $0.insert(request.headers["webhook-id"] ?? "").inserted }
    }

    private static let seen = Mutex<Set<String>>([])
}
