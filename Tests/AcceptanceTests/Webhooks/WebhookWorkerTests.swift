import ChildProcesses
import Glibc
import JSON
import Postgres
import Testing
import WebhookReceiver

extension Acceptance.Processes {
    /// Webhook workers as processes of their own.
    @Suite struct WebhookWorkerTests {
        @Test("The deliveries of a worker that was killed are sent by another one when its lease is over, in order")
        func killed() async throws {
            try await withInstallation(serves: false) { installation in
                let nodes = try await start(installation, ["quotastack-ledger", "quotastack-api"])
                let client = try await installation.makeTenant(through: nodes[1]).test
                // The first worker is killed while its receiver keeps it waiting.
                try await WebhookReceiver.serving({ $0.number == 1 ? .silence : .accepted }) { receiver in
                    let first = try installation.node("quotastack-webhooks")
                    try await first.start()
                    let id = try await client.webhook(receiver).expect(201).text("id")
                    let request = try await client.askForTopUps("alice")
                    try await receiver.gets(1)
                    await first.kill()
                    try await client.post("/v1/auto-topups/\(request)/failed").expect(200)
                    let second = try installation.node("quotastack-webhooks")
                    try await second.start()
                    try await client.askForTopUps("bob")
                    #expect(receiver.requests.count == 1, "the lease of the first worker goes on")
                    // A minute passes for the lease.
                    try await PostgresConnection.lent(installation.database) {
                        try await $0.script(
                            "update webhook_progress set leased_until = leased_until - interval '1 minute'")
                    }
                    try await client.delivers(id, ["succeeded", "succeeded", "succeeded"])
                    #expect(try receiver.sequences(of: "alice") == [1, 1, 2])
                    #expect(try receiver.sequences(of: "bob") == [1])
                    #expect(await second.stop() == 0)
                }
            }
        }

        @Test("A worker without allowed networks connects to nothing on this machine, and tells why")
        func refusedTargets() async throws {
            try await withInstallation(serves: false) { installation in
                let nodes = try await start(installation, ["quotastack-ledger", "quotastack-api"])
                let worker = try installation.node("quotastack-webhooks")
                try await worker.start(["QUOTASTACK_WEBHOOK_ALLOW": ""])
                let client = try await installation.makeTenant(through: nodes[1]).test
                try await WebhookReceiver.serving { receiver in
                    for host in ["127.0.0.1", "localhost", "127.8.8.8"] {
                        let made = try await client.post(
                            "/v1/webhook-endpoints", ["url": .string("http://\(host):\(receiver.port)/")])
                        let id = try made.expect(201).text("id")
                        try await client.post("/v1/webhook-endpoints/\(id)/test").expect(200)
                        try await client.delivers(id, ["failed"])
                        let attempt = try await client.deliveries(id).first?["attempts"]?.elements.first
                        #expect(attempt?["error"]?.text?.contains("which is loopback") == true, "\(host)")
                        #expect(attempt?["status"] == .null)
                    }
                    #expect(receiver.connections == 0)
                    #expect(!worker.log.contains("127.8.8.8"))
                }
            }
        }

        @Test("A worker without the key of the secrets does not start and says what to do, and an API answers 503")
        func withoutKey() async throws {
            try await withInstallation(serves: false) { installation in
                let worker = try installation.node("quotastack-webhooks")
                let started = try await worker.begin(["QUOTASTACK_WEBHOOK_KEY": ""])
                _ = await started.ended()
                #expect(worker.log.contains("QUOTASTACK_WEBHOOK_KEY is not set"), "\(worker.log)")
                let ledger = try installation.node("quotastack-ledger")
                try await ledger.start()
                let api = try installation.node("quotastack-api")
                try await api.start(["QUOTASTACK_WEBHOOK_KEY": ""])
                let client = try await installation.makeTenant(through: api).test
                let answer = try await client.post("/v1/webhook-endpoints", ["url": "https://example.com/"])
                answer.expect(503, "unavailable")
                #expect(answer["detail"]?.text?.contains("QUOTASTACK_WEBHOOK_KEY") == true)
            }
        }

        @Test("A dead and a silent endpoint delay no other endpoint")
        func neighbours() async throws {
            try await withInstallation { installation in
                let tenant = try await installation.makeTenant().test
                let other = try await installation.makeTenant("Other").test
                try await WebhookReceiver.serving({ _ in .silence }) { silent in
                    try await WebhookReceiver.serving { living in
                        try await tenant.webhook(silent).expect(201)
                        try await tenant.post("/v1/webhook-endpoints", ["url": "http://127.0.0.1:9/"]).expect(201)
                        try await tenant.webhook(living).expect(201)
                        try await other.webhook(living).expect(201)
                        for number in 0..<30 {
                            try await tenant.askForTopUps("user-\(number)")
                            try await other.askForTopUps("user-\(number)")
                        }
                        let begun = ContinuousClock.now
                        try await living.gets(60)
                        #expect(ContinuousClock.now - begun < .seconds(5), "no attempt of 15 s is waited for")
                        #expect(silent.mostUnderWay <= 10)
                    }
                }
            }
        }

        @Test("quotastack listen prints the events from now on and forwards them")
        func listen() async throws {
            let installation = try await SharedInstallation.get()
            let client = try await installation.makeTenant().test
            try await client.askForTopUps("before")
            try await WebhookReceiver.serving { receiver in
                async let output = installation.run(
                    "listen", "--forward-to", receiver.url, "--count", "2",
                    with: ["QUOTASTACK_URL": client.url, "QUOTASTACK_TEST_KEY": client.key ?? ""])
                // Events that happen before the command listens are not shown, so more follow until two are.
                var number = 0
                while receiver.requests.count < 2 {
                    number += 1
                    try await client.askForTopUps("user-\(number)")
                }
                let (status, text) = try await output
                #expect(status == 0, "\(text)")
                #expect(text.contains("topup.requested") && text.contains("-> 200"), "\(text)")
                #expect(text.contains("continue with --after "))
                #expect(try !receiver.events().contains { $0["end_user_id"] == "before" })
                #expect(receiver.requests.allSatisfy { $0.headers["webhook-id"]?.hasPrefix("evt_") == true })
            }
        }

        private func start(_ installation: Installation, _ names: [String]) async throws -> [Node] {
            var nodes: [Node] = []
            for name in names { nodes += try await installation.startNodes(name, 1) }
            return nodes
        }
    }
}
