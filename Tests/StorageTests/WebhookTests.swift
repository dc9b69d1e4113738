import Credits
import Postgres
import TestDatabases
import Testing
import Webhooks

@testable import Storage

/// The steps of webhook workers on real tables: places in the feed, lines, leases, replays, and what is left over.
@Suite("Webhooks")
struct WebhookTests {
    @Test("a step turns the events behind the endpoint's place into deliveries, once, in order, and by the filter")
    func follow() async throws {
        try await withShop { shop in
            try await shop.events(["alice 1 a", "bob 1 b"])
            try await shop.endpoint(1)
            try await shop.endpoint(2, types: ["b"])
            try await shop.events(["alice 2 a", "alice 3 b", "bob 2 a"])
            let leases = try await shop.take()
            #expect(leases.count == 2)
            let first = try await shop.step(leases[1])
            #expect(Set(first.due.map(shop.name)) == ["alice 2 a", "alice 3 b", "bob 2 a"])
            #expect(first.due.filter { $0.account == AccountID(1) }.map(\.sequence) == [2, 3])
            #expect(!first.mayHaveMore && first.due.allSatisfy { $0.event?.data == "{}" && $0.attempts == 0 })
            #expect(try await shop.step(leases[2]).due.map(shop.name) == ["alice 3 b"])
            // The same deliveries are due until they are recorded, and none is made twice.
            #expect(try await shop.step(leases[1]).due.count == 3)
            #expect(try await shop.step(leases[1], busy: [1]).due.map(shop.name) == ["bob 2 a"])
            #expect(try await shop.count("webhook_deliveries") == 4)
            try await shop.events(["carol 1 a"])
            #expect(try await shop.step(leases[1], busy: [1, 2]).due.map(shop.name) == ["carol 1 a"])
        }
    }

    @Test("events of a transaction that is open are not passed over, however late it commits")
    func openTransaction() async throws {
        try await withShop { shop in
            try await shop.endpoint(1)
            let lease = try #require(try await shop.takeAfter(["alice 1 a"])[1])
            #expect(try await shop.step(lease).due.count == 1)
            let late = try await PostgresConnection.connect(shop.configuration)
            defer { late.close() }
            try await late.script("begin; \(shop.insert("bob 1 a"))")
            try await shop.script(shop.insert("alice 2 a"))
            #expect(try await shop.step(lease, busy: [1]).due.isEmpty)
            try await late.script("commit")
            try await shop.settle()
            #expect(Set(try await shop.step(lease).due.map(shop.name)) == ["alice 1 a", "alice 2 a", "bob 1 a"])
            #expect(try await shop.count("webhook_deliveries") == 3)
        }
    }

    @Test("a failed delivery delays its end user's line only, a success ends it, and the log keeps the attempts")
    func record() async throws {
        try await withShop { shop in
            try await shop.endpoint(1)
            let lease = try #require(try await shop.takeAfter(["alice 1 a", "alice 2 a", "bob 1 a"])[1])
            let due = try await shop.step(lease).due
            let later = Instant(microseconds: 4_000_000_000_000_000)
            let circuit = Circuit(failures: 1, openings: 0)
            let recorded = try await shop.worker { connection in
                try await WebhookRecords.record(
                    [
                        Self.outcome(due, "alice 1 a", shop, status: 500, next: later),
                        Self.outcome(due, "bob 1 a", shop, status: 200),
                    ], of: lease, circuit: circuit, on: connection)
            }
            #expect(recorded?.hasFailedForLong == false)
            #expect(try await shop.step(lease).due.isEmpty)
            #expect(
                try await shop.texts(
                    "select concat_ws(' ', account_id, event_sequence, status, attempt_count) from webhook_deliveries order by 1"
                ) == ["1 1 failed 1", "1 2 pending 0", "2 1 succeeded 1"])
            #expect(try await shop.texts("select account_id::text from webhook_lines") == ["1"])
            #expect(try await shop.texts("select failures::text from webhook_progress") == ["1"])
            try await shop.script("update webhook_lines set due_at = now()")
            let again = try await shop.step(lease).due
            #expect(again.map(shop.name) == ["alice 1 a", "alice 2 a"] && again[0].attempts == 1)
            _ = try await shop.worker { connection in
                try await WebhookRecords.record(
                    again.map { Self.outcome([$0], shop.name($0), shop, status: 204) }, of: lease,
                    circuit: Circuit(failures: 0, openings: 0), on: connection)
            }
            #expect(try await shop.count("webhook_lines") == 0)
            #expect(
                try await shop.texts(
                    "select attempts::json -> 0 ->> 'status' || ',' || (attempts::json -> 1 ->> 'status') from webhook_deliveries where event_sequence = 1 and account_id = 1"
                ) == ["500,204"])
            #expect(
                try await shop.texts("select coalesce(failing_since::text, 'none') from webhook_progress") == ["none"])
        }
    }

    @Test("an attempt for an erased end user keeps no answer of the receiver")
    func erased() async throws {
        try await withShop { shop in
            try await shop.endpoint(1)
            let lease = try #require(try await shop.takeAfter(["alice 1 a", "bob 1 a"])[1])
            let due = try await shop.step(lease).due
            try await shop.script(
                "set session_replication_role = replica; update accounts set end_user_id = 'erased_1' where account_id = 1"
            )
            _ = try await shop.worker { connection in
                try await WebhookRecords.record(
                    ["alice 1 a", "bob 1 a"].map {
                        Self.outcome(due, $0, shop, status: 200, response: #"{"a": "b\c", "response":"d"}"#)
                    }, of: lease, circuit: Circuit(failures: 0, openings: 0), on: connection)
            }
            #expect(
                try await shop.texts(
                    "select account_id || ' ' || (attempts::json -> 0 ->> 'status') || ' ' || coalesce(attempts::json -> 0 ->> 'response', 'none') from webhook_deliveries order by 1"
                ) == ["1 200 none", #"2 200 {"a": "b\c", "response":"d"}"#])
        }
    }

    @Test("a delivery remembers its latest 20 attempts")
    func remembered() async throws {
        try await withShop { shop in
            try await shop.endpoint(1)
            let lease = try #require(try await shop.takeAfter(["alice 1 a"])[1])
            for number in 1...23 {
                let due = try await shop.step(lease).due
                _ = try await shop.worker { connection in
                    try await WebhookRecords.record(
                        [Self.outcome(due, "alice 1 a", shop, status: 500 + number, next: .epoch)], of: lease,
                        circuit: Circuit(failures: 1, openings: 0), on: connection)
                }
            }
            let statuses = try await shop.texts(
                "select k ->> 'status' from webhook_deliveries, json_array_elements(attempts::json) k")
            #expect(statuses == (504...523).map { "\($0)" })
        }
    }

    @Test("an endpoint has one owner, and one whose lease has ended changes nothing any more")
    func leases() async throws {
        try await withShop { shop in
            try await shop.endpoint(1)
            let first = try #require(try await shop.takeAfter(["alice 1 a"])[1])
            let due = try await shop.step(first).due
            #expect(try await shop.take().isEmpty)
            try await shop.script("update webhook_progress set leased_until = now()")
            let second = try #require(try await shop.take()[1])
            let late = try await shop.worker { connection in
                try await WebhookRecords.record(
                    [Self.outcome(due, "alice 1 a", shop, status: 200)], of: first,
                    circuit: Circuit(failures: 0, openings: 0), on: connection)
            }
            #expect(late == nil)
            let step = try await shop.worker { try await WebhookSteps.next(first, busy: [], lines: 10, on: $0) }
            #expect(step == nil)
            #expect(try await !shop.worker { try await WebhookRecords.disable(first, reason: .gone, on: $0) })
            #expect(try await shop.step(second).due.count == 1)
            #expect(try await shop.texts("select status from webhook_deliveries") == ["pending"])
            try await shop.worker { try await WebhookLeases.giveBack(first, on: $0) }
            #expect(try await shop.take().isEmpty)
            try await shop.worker { try await WebhookLeases.giveBack(second, on: $0) }
            #expect(try await shop.take().count == 1)
        }
    }

    @Test("an endpoint that is paused, disabled or deleted, and one with nothing to deliver, is not taken")
    func notTaken() async throws {
        try await withShop { shop in
            for number in 1...4 { try await shop.endpoint(number) }
            #expect(try await shop.take().isEmpty)
            try await shop.events(["alice 1 a"])
            try await shop.script(
                """
                update webhook_progress set resume_at = now() + interval '1 hour' where endpoint_id = '\(shop.uuid(1))';
                update webhook_endpoints set disabled_at = now(), disabled_reason = 'requested'
                    where endpoint_id = '\(shop.uuid(2))';
                update webhook_endpoints set deleted_at = now() where endpoint_id = '\(shop.uuid(3))'
                """)
            #expect(try await shop.take().keys.sorted() == [4])
        }
    }

    @Test("an endpoint is disabled once, is told to the others in the feed, and not to itself")
    func disable() async throws {
        try await withShop { shop in
            try await shop.endpoint(1)
            try await shop.endpoint(2)
            let leases = try await shop.takeAfter(["alice 1 a"])
            let lease = try #require(leases[1])
            #expect(try await !shop.worker { try await WebhookRecords.disable(lease, reason: .failing, on: $0) })
            try await shop.script("update webhook_progress set failing_since = now() - interval '6 days'")
            // It was enabled in between, so it has five days more.
            try await shop.script("update webhook_endpoints set enabled_at = now() - interval '1 day'")
            #expect(try await !shop.worker { try await WebhookRecords.disable(lease, reason: .failing, on: $0) })
            try await shop.script("update webhook_endpoints set enabled_at = now() - interval '6 days'")
            #expect(try await shop.worker { try await WebhookRecords.disable(lease, reason: .failing, on: $0) })
            #expect(try await !shop.worker { try await WebhookRecords.disable(lease, reason: .gone, on: $0) })
            #expect(try await shop.step(lease).target == nil)
            try await shop.settle()
            let page = try await EventReads.page(
                environmentID: EnvironmentID(1), after: .start, limit: 10, on: shop.connection)
            #expect(page.map(\.type) == ["a", "webhook_endpoint.disabled"] && page[1].endUserID == nil)
            #expect(page[1].data.contains(#""reason":"failing","url":"https://example.com/","#), "\(page[1].data)")
            let other = try #require(leases[2])
            #expect(try await shop.step(other).due.map(\.type).sorted() == ["a", "webhook_endpoint.disabled"])
            try await shop.script(
                "update webhook_endpoints set disabled_at = null, disabled_reason = null; update webhook_progress set lease = null, leased_until = null"
            )
            let again = try #require(try await shop.take()[1])
            #expect(try await shop.step(again).due.map(\.type) == ["a"])
        }
    }

    @Test("a replay sends the events of its span again, page by page, and ends", arguments: ["live", "test"])
    func replay(kind: String) async throws {
        try await withShop(kind: kind) { shop in
            for number in 1...1_200 { try await shop.script(shop.insert("alice \(number) a")) }
            try await shop.settle()
            try await shop.script("alter table events disable trigger all")
            try await shop.script(
                "update events set recorded_at = timestamptz '2026-01-01 00:00Z' + sequence * interval '1 hour'")
            try await shop.endpoint(1)
            func instant(_ hour: Int64) -> Instant {
                Instant(microseconds: 1_767_225_600_000_000 + hour * 3_600_000_000)
            }
            let replay = WebhookReplay(from: instant(100), to: instant(590), createdAt: instant(5_000))
            try await WebhookEndpointStore.insert(
                replay, of: shop.id(1), environmentID: EnvironmentID(1), on: shop.connection)
            try await shop.settle()
            let lease = try #require(try await shop.take()[1])
            var steps = 0
            while try await shop.count("webhook_replays") > 0, steps < 10 {
                _ = try await shop.step(lease)
                steps += 1
            }
            // The live one begins near its span and ends behind it; events of test clocks may be anywhere.
            #expect(kind == "live" ? steps == 2 : steps == 3)
            #expect(
                try await shop.texts(
                    "select concat_ws(' ', count(*), min(event_sequence), max(event_sequence)) from webhook_deliveries"
                ) == ["490 100 589"])
            let order = "select event_sequence::text from webhook_deliveries order by delivery_id"
            #expect(try await shop.texts(order) == (100...589).map { "\($0)" })
        }
    }

    @Test("a finished delivery is reopened in its place, and its line with it")
    func reopen() async throws {
        try await withShop { shop in
            try await shop.endpoint(1)
            let lease = try #require(try await shop.takeAfter(["alice 1 a"])[1])
            let due = try await shop.step(lease).due
            _ = try await shop.worker { connection in
                try await WebhookRecords.record(
                    [Self.outcome(due, "alice 1 a", shop, status: 500)], of: lease,
                    circuit: Circuit(failures: 1, openings: 0), on: connection)
            }
            #expect(try await shop.texts("select status from webhook_deliveries") == ["exhausted"])
            let environmentID = EnvironmentID(1)
            let delivery = try #require(
                try await WebhookDeliveryStore.find(
                    due[0].number, account: AccountID(1), environmentID: environmentID, on: shop.connection))
            try await WebhookDeliveryStore.lockLines(
                of: shop.id(1), environmentID: environmentID, on: shop.connection)
            let reopened = try await WebhookDeliveryStore.reopen(
                delivery, environmentID: environmentID, on: shop.connection)
            #expect(reopened.status == .pending)
            let again = try await shop.step(lease).due
            #expect(again.map(shop.name) == ["alice 1 a"] && again[0].attempts == 1)
        }
    }

    @Test("old finished deliveries and the rows of deleted endpoints are removed in bounded steps")
    func remains() async throws {
        try await withShop { shop in
            try await shop.endpoint(1)
            try await shop.endpoint(2)
            let leases = try await shop.takeAfter((1...10).map { "alice \($0) a" })
            for lease in leases.values { _ = try await shop.step(lease) }
            try await shop.script(
                """
                update webhook_deliveries set status = 'succeeded', finished_at = now() - interval '31 days'
                    where event_sequence <= 6;
                update webhook_endpoints set deleted_at = now() where endpoint_id = '\(shop.uuid(2))'
                """)
            func old() async throws -> Int {
                try await shop.worker { try await WebhookRemains.deleteFinished(olderThanDays: 30, upTo: 7, on: $0) }
            }
            #expect(try await [old(), old(), old()] == [7, 5, 0])
            #expect(try await shop.count("webhook_deliveries") == 8)
            func removed() async throws -> Int {
                try await shop.worker { try await WebhookRemains.deleteRemoved(upTo: 3, on: $0) }
            }
            #expect(try await removed() == 0, "a worker still has the endpoint")
            try await shop.script("update webhook_progress set lease = null, leased_until = null")
            #expect(try await [removed(), removed(), removed(), removed(), removed()] == [3, 1, 1, 1, 0])
            #expect(try await shop.texts("select distinct endpoint_id::text from webhook_deliveries") == [shop.uuid(1)])
            #expect(try await shop.count("webhook_endpoints") == 1)
        }
    }

    private static func outcome(
        _ due: [DueDelivery], _ name: String, _ shop: WebhookShop, status: Int, next: Instant? = nil,
        response: String = ""
    ) -> AttemptOutcome {
        let delivery = due.first { shop.name($0) == name }
        return AttemptOutcome(
            number: delivery?.number ?? 0, account: delivery?.account ?? AccountID(0),
            attempt: DeliveryAttempt(
                at: .epoch, status: status, latencyMilliseconds: 1, error: status < 300 ? nil : "status \(status)",
                response: response), nextAttemptAt: next)
    }
}

/// An environment with endpoints and events.
private struct WebhookShop: Sendable {
    static let endUsers = ["alice", "bob", "carol"]

    let connection: PostgresConnection
    let configuration: PostgresConfiguration
    private let webhooks: PostgresConnection

    init(_ connection: PostgresConnection, _ configuration: PostgresConfiguration, kind: String) async throws {
        self.connection = connection
        self.configuration = configuration
        var database = configuration.acting(as: .webhooks)
        database.settings = WebhookLeases.sessionSettings
        webhooks = try await PostgresConnection.connect(database)
        try await connection.script(
            """
            insert into tenants values ('00000000-0000-0000-0000-000000000001', 'Tenant', now());
            insert into environments (tenant_id, kind) values ('00000000-0000-0000-0000-000000000001', '\(kind)')
            """)
        for endUser in Self.endUsers {
            try await connection.script(
                "insert into accounts (environment_id, end_user_id, revision, version) values (1, '\(endUser)', 1, 1)")
        }
    }

    func id(_ number: Int) -> Bits128 { Bits128(high: 0, low: UInt64(number)) }
    func uuid(_ number: Int) -> String { "00000000-0000-0000-0000-00000000000\(number)" }

    func endpoint(_ number: Int, types: [String]? = nil) async throws {
        guard let url = WebhookURL("https://example.com/") else { return }
        let endpoint = WebhookEndpoint(
            id: id(number), url: url, eventTypes: types, description: nil, createdAt: .epoch, updatedAt: .epoch)
        _ = try await connection.run(PostgresQuery("begin"))
        try await WebhookEndpointStore.insert(
            endpoint, sealedSecret: [1], environmentID: EnvironmentID(1), on: connection)
        _ = try await connection.run(PostgresQuery("commit"))
    }

    /// - Parameter name: The end user, the number and the type of an event.
    func insert(_ name: String) -> String {
        let parts = name.split(separator: " ")
        let account = (Self.endUsers.firstIndex(of: String(parts[0])) ?? 0) + 1
        return """
            insert into events (environment_id, account_id, sequence, type, data, at, recorded_at)
            values (1, \(account), \(parts[1]), '\(parts[2])', '{}', now(), now())
            """
    }

    /// Writes events in one transaction.
    func events(_ names: [String]) async throws {
        try await connection.script(names.map(insert).joined(separator: ";"))
        try await settle()
    }

    /// Waits until the feed shows every event. Transactions in other databases of the server hold it back as well.
    func settle() async throws {
        let isShown = """
            select (pg_snapshot_xmin(pg_current_snapshot()) > greatest(
                (select max(transaction_id) from events), (select max(transaction_id) from environment_events),
                (select max(until_transaction) from webhook_replays)))::text
            from pg_sleep(0.01)
            """
        for _ in 0..<3_000 {
            if try await connection.texts(isShown) != ["false"] { return }
        }
        Issue.record("the feed does not show all events within 30 s")
    }

    func name(_ delivery: DueDelivery) -> String {
        "\(Self.endUsers[Int(delivery.account.rawValue) - 1]) \(delivery.sequence) \(delivery.type)"
    }

    func worker<Value: Sendable>(
        _ body: @Sendable (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        try await body(webhooks)
    }

    /// Takes every endpoint that has something to deliver, by the number of its id.
    func take() async throws -> [Int: WebhookLease] {
        let leases = try await WebhookLeases.take(
            10, id: Bits128(high: .random(in: 0...UInt64.max), low: 0), on: webhooks)
        return Dictionary(uniqueKeysWithValues: leases.map { (Int($0.key.endpointID.low), $0) })
    }

    func takeAfter(_ names: [String]) async throws -> [Int: WebhookLease] {
        try await events(names)
        return try await take()
    }

    func step(_ lease: WebhookLease?, busy: [Int64] = []) async throws -> WebhookStep {
        let lease = try #require(lease)
        let step = try await WebhookSteps.next(lease, busy: busy.map { AccountID($0) }, lines: 10, on: webhooks)
        return try #require(step)
    }

    func script(_ sql: String) async throws { try await connection.script(sql) }
    func texts(_ sql: String) async throws -> [String] { try await connection.texts(sql) }
    func count(_ table: String) async throws -> Int {
        Int(try await connection.texts("select count(*)::text from \(table)")[0]) ?? -1
    }
}

private func withShop(kind: String = "live", _ body: (WebhookShop) async throws -> Void) async throws {
    try await withDatabase { connection, configuration in
        try await body(try await WebhookShop(connection, configuration, kind: kind))
    }
}
