import ChildProcesses
import Credits
import Foundation
import JSON
import Ledger
import Postgres
import RabbitMQ
import Testing
import WebhookReceiver

extension Acceptance {
    @Suite struct ErasureTests {
        /// The texts of the end user, none of which may be left.
        private struct Canaries {
            let id: String
            private let word: String

            init() {
                word = "canary\(String(UInt64.random(in: 0...UInt64.max), radix: 36))"
                id = "\(word)-id é"
            }

            func callAsFunction(_ name: String) -> String { "\(word)-\(name)" }

            /// Whether a text, or the bytes of a row as hexadecimal digits, contain any of them.
            func isIn(_ text: String) -> Bool {
                text.contains(word) || text.contains(word.utf8.map { String($0, radix: 16) }.joined())
            }
        }

        @Test(
            "After an erasure no table, queue, log, delivery or answer has the id, a reason, metadata, an attribute or a key"
        )
        func everywhere() async throws {
            // The receivers repeat what they were sent. One of them accepts nothing.
            let echo: WebhookReceiver.Script = { .answer($0.path.hasSuffix("broken") ? 500 : 200, $0.text) }
            try await withInstallation { installation in
                try await WebhookReceiver.serving(echo) { receiver in
                    try await erase(on: installation, receiver)
                }
            }
        }

        private func erase(on installation: Installation, _ receiver: WebhookReceiver) async throws {
            let client = try await installation.makeTenant().test
            let canary = Canaries()
            for url in [receiver.url, "\(receiver.url)-broken"] {
                try await client.post("/v1/webhook-endpoints", ["url": .string(url)]).expect(201)
            }
            let past = try await furnish(client, canary)
            try await client.grant("bystander", 100, key: "bystander-key").expect(201)
            let before = String(
                decoding: try await client.get("/v1/ledger/export").expect(200).bytes, as: UTF8.self)
            #expect(canary.isIn(before))
            try await waitUntil("an accepted and a refused delivery have answers with the reason or the id") {
                let answered = try await rows(of: installation).filter { table, row in
                    table == "webhook_deliveries" && canary.isIn(row)
                }
                return ["succeeded", "failed"].allSatisfy { status in answered.contains { $0.row.contains(status) } }
                    && receiver.requests.contains { $0.text.contains(canary("failure")) }
            }

            let path = "/v1/end-users/\(percentEncoded(canary.id))"
            let erased = try await client.post("\(path)/erase", [:], key: "erase-once").expect(200)
            let opaque = try erased.text("end_user_id")
            #expect(EndUserID(opaque)?.isErased == true)
            expectInstant(erased["erased_at"])
            // The answer came when the text was gone.
            for (table, row) in try await rows(of: installation) {
                #expect(!canary.isIn(row), "\(table): \(row)")
            }
            #expect(!canary.isIn(installation.log))
            for queue in installation.queues {
                // A queue reports its messages with a delay.
                try await waitUntil("the queue \(queue) is empty") {
                    try await AMQPTopology.messageCount(queue: queue, configuration: installation.amqp).ready == 0
                }
            }

            // A delivery that is sent afterwards names nobody, and its answer is not kept.
            let sent = receiver.requests.count
            let open = try await client.all("/v1/webhook-deliveries", [("status", "failed")])
            let delivery = try #require(open.last?[path: "id"]?.text)
            try await client.post("/v1/webhook-deliveries/\(delivery)/retry", [:]).expect(200)
            try await waitUntil("an event of before is sent again") {
                receiver.requests.dropFirst(sent).contains { $0.path.hasSuffix("broken") && $0.text.contains(opaque) }
            }
            #expect(!receiver.requests.dropFirst(sent).contains { canary.isIn($0.text) })
            func recorded() async throws -> [JSONValue] {
                try await client.all("/v1/webhook-deliveries").first { $0[path: "id"]?.text == delivery }?["attempts"]?
                    .elements ?? []
            }
            try await waitUntil("the attempt is recorded") { try await recorded().count > 1 }
            let attempts = try await recorded()
            #expect(attempts.allSatisfy { $0[path: "response"] == .null && $0[path: "status"] == 500 })

            // The old id leads to nothing, and the opaque one to what may be read.
            for read in [
                "/v1/credits/balance", "/v1/credits/blocks", "/v1/ledger", "/v1/reservations", "/v1/subscriptions",
            ] {
                try await client.get(read, [("end_user_id", canary.id)]).expect(404)
                let answer = try await client.get(read, [("end_user_id", opaque)]).expect(200)
                #expect(!canary.isIn(String(decoding: answer.bytes, as: UTF8.self)), "\(read)")
            }
            try await client.get(path).expect(404)
            let shown = try await client.get("/v1/end-users/\(opaque)").expect(200)
            #expect(shown["name"] == .null && shown["metadata"] == .object([:]) && shown["erased_at"] != .null)
            for read in [
                "/v1/end-users", "/v1/audit-log", "/v1/ledger/export", "/v1/ledger?end_user_id=bob",
                "/v1/ledger/explain?end_user_id=\(opaque)", "/v1/operations/\(past.operation)", "/v1/events?limit=100",
                "/v1/webhook-deliveries",
            ] {
                let answer = try await client.get(read).expect(200)
                #expect(!canary.isIn(String(decoding: answer.bytes, as: UTF8.self)), "\(read)")
            }
            let received = try #require(try await client.ledger("bob").last { $0["type"] == "transfer" })
            #expect(received["counterparty"] == .string(opaque))
            #expect(try await client.balance(opaque)["balance"] == .integer(past.balance))
            #expect(try await client.balance(opaque)["reserved_balance"] == 0)
            #expect(try await client.check(opaque, "api").expect(200)["allowed"] == false)

            try await proves(client, installation, before: before)
            #expect(try await installation.run("verify").status == 0)
            for (table, row) in try await rows(of: installation) { #expect(!canary.isIn(row), "\(table): \(row)") }
            #expect(!canary.isIn(installation.log))
        }

        @Test("The opaque id cannot be changed, and the old id is a new end user whose used keys charge nothing")
        func afterwards() async throws {
            let client = try await makeTenant().test
            let canary = Canaries()
            _ = try await furnish(client, canary)
            let path = "/v1/end-users/\(percentEncoded(canary.id))"
            let erased = try await client.post("\(path)/erase", [:], key: "erase-once").expect(200)
            let opaque = try erased.text("end_user_id")

            // Repeated with its key, the erasure has the same answer; without it, there is nobody to erase.
            let again = try await client.post("\(path)/erase", [:], key: "erase-once").expect(200)
            #expect(again.isReplay && again.bytes == erased.bytes)
            let other = try await client.post("/v1/end-users/bob/erase", [:], key: "erase-once").expect(422)
            #expect(other["code"] == "idempotency_key_reuse")
            for id in [canary.id, opaque, "nobody"] {
                let answer = try await client.post("/v1/end-users/\(percentEncoded(id))/erase", [:]).expect(404)
                #expect(answer["code"] == "unknown_end_user")
            }
            for answer in [
                try await client.grant(opaque, 1), try await client.use(opaque, "api"),
                try await client.adjust(opaque, 1), try await client.transfer(opaque, "bob", 1),
                try await client.transfer("bob", opaque, 1),
                try await client.post("/v1/end-users", ["end_user_id": .string(opaque)]),
                try await client.patch("/v1/end-users/\(opaque)", ["name": "A"]),
                try await client.post("/v1/topups", ["end_user_id": .string(opaque), "credits": 1]),
                try await client.reserve(opaque, "api", units: 1),
            ] {
                answer.expect(404)
                #expect(answer["code"] == "unknown_end_user")
            }
            try await client.post("/v1/end-users/x/erase", ["reason": "r"]).expect(400)

            // Late retries of used keys are never a second charge.
            try await client.grant(canary.id, 500).expect(201)
            for answer in [
                try await client.use(canary.id, "api", 3, key: canary("use")),
                try await client.grant(canary.id, 5_000, key: canary("grant")),
                try await client.transfer(canary.id, "bob", 40, key: "transfer-key"),
                try await client.use("bob", "api", key: canary("use")),
            ] {
                answer.expect(409)
                #expect(answer["code"] == "conflict")
            }
            let payment: JSONValue = [
                "end_user_id": .string(canary.id), "credits": 70, "external_payment_id": .string("pay-of-erased"),
            ]
            #expect(try await client.post("/v1/topups", payment).expect(409)["code"] == "payment_already_applied")
            #expect(try await client.balance(canary.id)["balance"] == 500)
            #expect(try await client.ledger(canary.id).count == 1)
        }

        // MARK: - An end user with text everywhere

        private struct Past {
            let balance: Int64
            /// The id of the operation of a grant.
            let operation: String
        }

        private func furnish(_ client: Client, _ canary: Canaries) async throws -> Past {
            let id = JSONValue.string(canary.id)
            let metadata: JSONValue = .object(["note": .string(canary("note"))])
            let attributes: JSONValue = .object(["member": .string(canary("member"))])
            try await client.sell("api", unitCost: 10)
            try await client.post(
                "/v1/end-users", ["end_user_id": id, "name": .string(canary("name")), "metadata": metadata]
            ).expect(201)
            let limit: JSONValue = ["unit": "units", "limit": 900, "window": "day", "per": "member"]
            try await client.send(
                "PUT", "/v1/end-users/\(percentEncoded(canary.id))/limits/members", bytes: limit.bytes
            ).expect(201)
            try await client.grant(canary.id, 5_000, key: canary("grant")).expect(201)
            let accepted = try await client.post(
                "/v1/credits/grant",
                ["end_user_id": id, "credits": 10, "reason": .string(canary("reason")), "metadata": metadata],
                key: canary("async"), headers: ["Prefer": "respond-async"])
            accepted.expect(202)
            let later = Instant.now.adding(seconds: 3_600).description
            try await client.post(
                "/v1/credits/grant",
                ["end_user_id": id, "credits": 10, "reason": .string(canary("later")), "starts_at": .string(later)]
            ).expect(201)
            try await client.post(
                "/v1/topups",
                [
                    "end_user_id": id, "credits": 70, "external_payment_id": "pay-of-erased",
                    "reason": .string(canary("reason")),
                ]
            ).expect(201)
            let use: JSONValue = [
                "end_user_id": id, "feature_key": "api", "units": 1, "attributes": attributes, "metadata": metadata,
            ]
            try await client.post("/v1/usage", use).expect(201)
            try await client.use(canary.id, "api", 3, key: canary("use")).expect(201)
            try await client.use(canary.id, "api", 1_000_000, key: canary("refused")).expect(402)
            let job: JSONValue = [
                "end_user_id": id, "feature_key": "api", "units": 2, "attributes": attributes, "metadata": metadata,
            ]
            for _ in 0..<2 { try await client.post("/v1/reservations", job, key: canary("job")).expect(201) }
            let batch: JSONValue = ["events": [event(canary.id, "api", key: canary("event"))]]
            try await client.post("/v1/usage/batch", batch).expect(200)
            try await client.cap(canary.id, 1_000_000, window: "day").expect(201)
            // The key of a transfer stands on both sides, and that of bob's side stays.
            try await client.transfer(canary.id, "bob", 40, key: "transfer-key").expect(201)
            try await client.transfer("bob", canary.id, 10).expect(201)
            try await client.makePlan("plain", ["billing_interval": ["unit": "month", "count": 1]])
            try await client.subscribe(canary.id, "plain", [("metadata", metadata)]).expect(201)
            let rule: JSONValue = ["threshold": 1_000_000, "credits": 1]
            let made = try await client.send(
                "PUT", "/v1/end-users/\(percentEncoded(canary.id))/auto-topup", bytes: rule.bytes
            ).expect(201)
            try await client.post(
                "/v1/auto-topups/\(try made.text("open_request_id"))/failed", ["reason": .string(canary("failure"))]
            ).expect(200)
            let balance = try await client.balance(canary.id).integer("balance")
            return Past(balance: balance, operation: try accepted.text("operation.id"))
        }

        /// Every row of every table as a text, by generated queries.
        private func rows(of installation: Installation) async throws -> [(table: String, row: String)] {
            try await PostgresConnection.lent(installation.database) { connection in
                let tables = try await connection.run(
                    PostgresQuery(
                        """
                        select table_name::text from information_schema.tables
                        where table_schema = 'public' and table_type = 'BASE TABLE'
                        """)
                ).map { try $0.text(0) }
                var rows: [(table: String, row: String)] = []
                for table in tables {
                    let found = try await connection.run(
                        PostgresQuery(PostgresStatement("select t::text from \(table) t")))
                    rows += try found.map { (table, try $0.text(0)) }
                }
                return rows
            }
        }

        /// Both checks accept the exports of before and of after, which have the same hashes.
        private func proves(_ client: Client, _ installation: Installation, before: String) async throws {
            let after = String(decoding: try await client.get("/v1/ledger/export").expect(200).bytes, as: UTF8.self)
            let (old, new) = (before.split(separator: "\n"), after.split(separator: "\n"))
            let kept = new.filter { new in old.contains { $0.hasPrefix(new.dropLast()) } }
            #expect(kept.count == old.count)
            #expect(kept.contains { !$0.contains("salt") } && kept.contains { $0.contains("salt") })
            let folder = FileManager.default.temporaryDirectory.appending(
                path: "erasure-\(UInt64.random(in: 0...UInt64.max))")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            let program = folder.appending(path: "verify.py")
            try ReadmeTests.program().write(to: program, atomically: true, encoding: .utf8)
            for (name, text) in [("before", before), ("after", after)] {
                let file = folder.appending(path: name).path
                try text.write(toFile: file, atomically: true, encoding: .utf8)
                let python = "python3 '\(program.path)' < '\(file)'"
                for command in [
                    ["/bin/sh", "-c", python], [try Installation.quotastack(), "verify", "--export", file],
                ] {
                    let run = try await ChildProcess.run(
                        command, environment: ["PATH": variable("PATH") ?? "/usr/bin:/bin", "HOME": folder.path],
                        logPath: folder.appending(path: "log").path)
                    #expect(run.status == 0, "\(name): \(run.output)")
                }
            }
        }
    }
}
