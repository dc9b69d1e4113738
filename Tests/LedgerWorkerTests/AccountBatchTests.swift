import Commands
import Credits
import Ledger
import Messaging
import Metering
import Postgres
import Runtime
import SeededRandom
import Storage
import TestDatabases
import Testing

@testable import LedgerWorker

/// Batches on the real database, as the lanes of workers apply them.
@Suite("Account batches")
struct AccountBatchTests {
    private func withShop(_ body: (Shop, BatchLoop) async throws -> Void) async throws {
        try await withDatabase { connection, configuration in
            let shop = try await Shop(connection, configuration)
            try await body(shop, try shop.lane().loop)
            try await shop.expectCleanBooks()
        }
    }

    private func apply(_ items: [AccountItem], _ loop: BatchLoop) async throws -> [CommandResult] {
        var results: [CommandResult] = []
        while results.count < items.count {
            results += try #require(await loop.apply(Array(items[results.count...]))).results
        }
        return results
    }

    private func repetitions(_ lanes: [(loop: BatchLoop, metrics: MetricsRegistry)]) -> Int64 {
        let name = "quotastack_ledger_repeated_transactions_total "
        let lines = lanes.flatMap { $0.metrics.text().split(separator: "\n") }.filter { $0.hasPrefix(name) }
        return lines.reduce(0) { $0 + (Int64($1.dropFirst(name.count)) ?? 0) }
    }

    @Test("a payment is applied once, also when it is repeated in its batch, in a later one or with its id")
    func paymentOnce() async throws {
        try await withShop { shop, loop in
            let first = try await apply(
                [
                    try shop.item("alice", try shop.topUp(500, "pay_1", fingerprint: 1), id: 1),
                    try shop.item("alice", try shop.topUp(500, "pay_1", fingerprint: 1), id: 2),
                    try shop.item("alice", try shop.topUp(600, "pay_1", fingerprint: 2), id: 3),
                    try shop.item("alice", try shop.topUp(70, "pay_2", fingerprint: 3), id: 4),
                ], loop)
            #expect(first.map(\.status) == [201, 201, 409, 201])
            #expect(first.map(\.isReplay) == [false, true, false, false])
            #expect(first[1].body == first[0].body)
            #expect(first[2].code == "payment_already_applied")
            let later = try await apply(
                [
                    try shop.item("alice", try shop.topUp(500, "pay_1", fingerprint: 1), id: 1),
                    try shop.item("alice", try shop.topUp(500, "pay_1", fingerprint: 1), id: 2),
                    try shop.item("alice", try shop.topUp(500, "pay_1", fingerprint: 1), id: 5),
                    try shop.item("bob", try shop.topUp(500, "pay_1", fingerprint: 9), id: 6),
                ], loop)
            #expect(later.map(\.status) == [201, 201, 201, 409])
            #expect(later.map(\.isReplay) == [true, true, true, false])
            #expect(later.prefix(3).allSatisfy { $0.body == first[0].body })
            #expect(try await shop.number("select balance from accounts") == 570)
            #expect(try await shop.number("select count(*) from payments") == 2)
            let found = try await PaymentStore.block(
                of: PaymentKey(environmentID: shop.environmentID, externalID: "pay_2"), on: shop.connection)
            #expect(found?.block == 2)
        }
    }

    @Test("commands behind an erasure find the id's new end user, in the batch and later, and the erasure is replayed")
    func erasure() async throws {
        try await withShop { shop, loop in
            let results = try await apply(
                [
                    try shop.item("alice", try shop.grant(500), id: 1), try shop.item("bob", try shop.grant(50), id: 2),
                    try shop.item("alice", try shop.transfer(100, to: "bob"), id: 3),
                    try shop.item("alice", .eraseEndUser, id: 4), try shop.item("alice", try shop.grant(7), id: 5),
                    try shop.item("bob", try shop.transfer(20, to: "alice"), id: 6),
                    try shop.item("alice", .eraseEndUser, id: 4), try shop.item("alice", try shop.grant(500), id: 1),
                    try shop.item("carol", .eraseEndUser, id: 7),
                ], loop)
            #expect(results.map(\.status) == [201, 201, 201, 200, 201, 201, 200, 409, 404])
            #expect(results[6].isReplay && results[6].body == results[3].body)
            #expect(results[3].string("end_user_id")?.hasPrefix("erased_") == true)
            #expect(results[7].code == "conflict")
            let balances =
                "select sum(balance * case end_user_id when 'alice' then 1 when 'bob' then 1000 else 1000000 end)"
            #expect(try await shop.number("\(balances)::bigint from accounts") == 400_130_027)
            #expect(try await shop.number("select count(*) from accounts") == 3)
            while let erasure = try await ErasureStore.next(after: nil, on: shop.connection) {
                _ = try await ErasureStore.removeSlice(of: erasure, on: shop.connection)
            }
            let later = try await apply(
                [
                    try shop.item("alice", .eraseEndUser, id: 4), try shop.item("alice", try shop.grant(500), id: 1),
                    try shop.item("alice", try shop.transfer(100, to: "bob"), id: 3),
                    try shop.item("bob", try shop.transfer(20, to: "alice"), id: 6),
                ], loop)
            #expect(later.map(\.status) == [200, 409, 409, 201])
            #expect(later[0].body == results[3].body)
            try await shop.expectCleanBooks()
        }
    }

    @Test("an answer is a replay when another sending was decided, and the second time in one sending")
    func replays() async throws {
        try await withShop { shop, loop in
            func item(_ attempt: UInt64?, id: UInt64 = 1) throws -> AccountItem {
                try shop.item("alice", try shop.grant(5), id: id, attempt: attempt)
            }
            let first = try await apply([try item(7), try item(7), try item(8), try item(nil, id: 2)], loop)
            #expect(first.map(\.isReplay) == [false, true, true, false])
            // The message is delivered again after its commit: the sending gets the answer that it has not seen.
            let again = try await apply(
                [try item(8), try item(7), try item(7), try item(.max), try item(nil), try item(nil, id: 2)], loop)
            #expect(again.map(\.isReplay) == [true, false, true, true, true, true])
            #expect(Set(again.prefix(5).map(\.json)) == [first[0].json])
            #expect(try await shop.number("select balance from accounts") == 10)
            #expect(try await shop.number("select attempt from commands where attempt is not null") == 7)
        }
    }

    @Test(
        "a scheduled grant lands in a later batch as it was granted, also when the batch puts its end user on a clock")
    func landing() async throws {
        try await withShop { shop, loop in
            func later(_ endUser: String, _ reason: String) throws -> AccountItem {
                try shop.item(
                    endUser,
                    .grant(
                        Grant(
                            credits: try Millicredits(Int64(50)), startsAt: .latest, reason: reason,
                            metadata: Metadata(canonicalJSON: #"{"a":1}"#))))
            }
            let use = UsageEvent(featureKey: shop.calls, units: 1)
            let first = try await apply(
                [try later("alice", "a"), try later("bob", "b"), try shop.item("alice", .use(use))], loop)
            #expect(first.map(\.status) == [201, 201, 402])
            #expect(try await shop.number("select count(*) from blocks where open and scheduled") == 2)
            #expect(try await shop.number("select sum(open_rows)::bigint from accounts where due_at is not null") == 2)

            let clock = PublicID(.testClock, Bits128(high: 1, low: 1))
            try await shop.connection.script(
                """
                update blocks set starts_at = created_at + interval '1 us' where reason = 'a';
                insert into test_clocks values (1, '00000000-0000-0001-0000-000000000001',
                    '9999-12-31T23:59:59.999999Z', now(), now());
                update environments set catalogue_version = 2
                """)
            let second = try await apply(
                [
                    try shop.item("alice", .use(use)),
                    try shop.item("bob", .updateEndUser(EndUserChange(testClock: clock))),
                ], loop)
            #expect(second.map(\.status) == [201, 200])
            #expect(
                try await shop.connection.texts(
                    """
                    select concat_ws(' ', sequence, type, amount, reason, metadata, effective_at = b.starts_at)
                    from entries e join blocks b using (environment_id, account_id, reason, metadata)
                    order by reason
                    """) == [#"1 grant 50 a {"a":1} t"#, #"1 grant 50 b {"a":1} t"#])
            #expect(try await shop.number("select sum(balance)::bigint from accounts") == 90)
            #expect(try await shop.number("select count(*) from blocks where scheduled") == 0)
        }
    }

    @Test("after a step back of the clock a transfer lands what the receiver has by the sender's latest instant")
    func landingByTransfer() async throws {
        try await withShop { shop, loop in
            let later = Grant(credits: try Millicredits(Int64(50)), startsAt: .latest, reason: "later")
            let first = try await apply(
                [try shop.item("alice", try shop.grant(100)), try shop.item("bob", .grant(later))], loop)
            #expect(first.map(\.status) == [201, 201])
            try await shop.connection.script(
                """
                update accounts set advanced_to = now() + interval '1 hour' where end_user_id = 'alice';
                update blocks set starts_at = now() + interval '30 minutes' where reason = 'later'
                """)
            let moved = try await apply([try shop.item("alice", try shop.transfer(10, to: "bob"))], loop)
            #expect(moved.map(\.status) == [201])
            #expect(
                try await shop.connection.texts(
                    """
                    select concat_ws(' ', type, amount, reason) from entries join accounts using (environment_id, account_id)
                    where end_user_id = 'bob' order by sequence
                    """) == ["grant 50 later", "transfer 10"])
        }
    }

    @Test("a message that is delivered again after the window's end gets the refusal that its client may have")
    func redeliveredRefusal() async throws {
        try await withShop { shop, loop in
            let cap = NewSpendCap(credits: try Millicredits(Int64(15)), window: .day)
            func use(_ attempt: UInt64?) throws -> AccountItem {
                try shop.item(
                    "alice", .use(UsageEvent(featureKey: shop.calls, units: 1)), id: 1, attempt: attempt)
            }
            let first = try await apply(
                [
                    try shop.item("alice", try shop.grant(1_000)), try shop.item("alice", .createSpendCap(cap)),
                    try shop.item("alice", .use(UsageEvent(featureKey: shop.calls, units: 1))), try use(7),
                ], loop)
            #expect(first.map(\.status) == [201, 201, 201, 402])
            #expect(try await shop.number("select count(*) from commands where remembered_until > now()") == 1)
            // The window has ended: the counter and the decision are of yesterday.
            try await shop.connection.script(
                "delete from counters; update commands set remembered_until = now() - interval '1 us'"
                    + " where remembered_until is not null")
            let again = try await apply([try use(7), try use(8), try use(7), try use(9)], loop)
            #expect(again.map(\.status) == [402, 201, 201, 201])
            #expect(again.map(\.isReplay) == [false, false, true, true])
            #expect(again[0].json == first[3].json)
            #expect(try await shop.number("select count(*) from entries where type = 'use'") == 2)
            #expect(try await shop.number("select count(*) from commands where status = 402") == 0)
        }
    }

    @Test("a refused top-up leaves its payment free for a corrected one")
    func refusedPayment() async throws {
        try await withShop { shop, loop in
            let unknown = TopUp(
                credits: .package(try #require(PackageKey("none"))), payment: Payment(externalID: "pay_1"),
                fingerprint: Bits128(high: 0, low: 1))
            let results = try await apply(
                [
                    try shop.item("alice", .topUp(unknown)),
                    try shop.item("alice", try shop.topUp(5, "pay_1", fingerprint: 2)),
                ], loop)
            #expect(results.map(\.status) == [404, 201])
        }
    }

    @Test(
        "one payment sent to two end users at the same time, by two workers, is applied for one of them",
        arguments: [true, false])
    func paymentRace(sameRequest: Bool) async throws {
        try await withDatabase { connection, configuration in
            let shop = try await Shop(connection, configuration)
            let lanes = [try shop.lane(), try shop.lane()]
            let rounds = 30
            for round in 0..<rounds {
                // A single command whose batch fails would be parked. Two commands are locked by the two batches in
                // opposite order.
                let payments = round.isMultiple(of: 2) ? ["a\(round)"] : ["a\(round)", "b\(round)"]
                let results = try await withThrowingTaskGroup(of: [CommandResult].self) { group in
                    for (number, lane) in lanes.enumerated() {
                        let items = try (number == 0 ? payments : payments.reversed()).map { payment in
                            try shop.item(
                                "user_\(number)",
                                try shop.topUp(10, payment, fingerprint: sameRequest ? 1 : UInt64(number)))
                        }
                        group.addTask { try await apply(items, lane.loop) }
                    }
                    return try await group.reduce(into: []) { $0 += $1 }
                }
                #expect(results.count { $0.status == 201 && !$0.isReplay } == payments.count)
                #expect(results.count { $0.isReplay } == (sameRequest ? payments.count : 0))
                #expect(results.count { $0.code == "payment_already_applied" } == (sameRequest ? 0 : payments.count))
            }
            #expect(try await shop.number("select sum(balance)::bigint from accounts") == Int64(rounds) * 15)
            #expect(repetitions(lanes) > 0)
            try await shop.expectCleanBooks()
        }
    }

    @Test("a transfer changes both accounts in one transaction, also between the commands of either in its batch")
    func transfer() async throws {
        try await withShop { shop, loop in
            let results = try await apply(
                [
                    try shop.item("alice", try shop.grant(100)),
                    try shop.item("alice", try shop.transfer(60, to: "bob")),
                    try shop.item("bob", .use(UsageEvent(featureKey: shop.calls, units: 5))),
                    try shop.item("bob", try shop.transfer(5, to: "alice")),
                    try shop.item("alice", try shop.transfer(46, to: "bob")),
                    try shop.item("alice", try shop.transfer(1, to: "carol")),
                ], loop)
            #expect(results.map(\.status) == [201, 201, 201, 201, 402, 201])
            #expect(try await shop.number("select balance from accounts where end_user_id = 'alice'") == 44)
            #expect(try await shop.number("select balance from accounts where end_user_id = 'bob'") == 5)
            #expect(try await shop.number("select balance from accounts where end_user_id = 'carol'") == 1)
        }
    }

    @Test("a refused transfer to a new end user leaves no account for them behind")
    func refusedTransfer() async throws {
        try await withShop { shop, loop in
            let results = try await apply([try shop.item("alice", try shop.transfer(60, to: "bob"))], loop)
            #expect(results.map(\.status) == [402])
            #expect(try await shop.number("select count(*) from accounts") == 0)
        }
    }

    @Test("concurrent transfers in both directions never deadlock, and no credit is lost or made")
    func oppositeTransfers() async throws {
        try await withDatabase { connection, configuration in
            let shop = try await Shop(connection, configuration)
            let lanes = try (0..<4).map { _ in try shop.lane() }
            let users = (0..<6).map { "user_\($0)" }
            // Half of the end users have no account when the transfers begin.
            _ = try await apply(try users.prefix(3).map { try shop.item($0, try shop.grant(1_000)) }, lanes[0].loop)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (number, lane) in lanes.enumerated() {
                    group.addTask {
                        var random = SeededGenerator(seed: UInt64(number))
                        for _ in 0..<40 {
                            let items = try (0..<5).map { _ in
                                let sender = random.pick(users)
                                let receiver = random.pick(users.filter { $0 != sender })
                                return try shop.item(
                                    sender,
                                    try shop.transfer(Int64.random(in: 1...300, using: &random), to: receiver))
                            }
                            let results = try await apply(items, lane.loop)
                            #expect(results.allSatisfy { [201, 402].contains($0.status) })
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await shop.number("select sum(balance)::bigint from accounts") == 3_000)
            #expect(try await shop.number("select count(*) from accounts") == 6)
            #expect(repetitions(lanes) == 0, "deadlocks")
            try await shop.expectCleanBooks()
        }
    }

    @Test(
        "a job is reserved, charged, refunded and refused in separate batches, and repetitions get the first answer"
    )
    func reservation() async throws {
        try await withShop { shop, loop in
            _ = try await apply([try shop.item("alice", try shop.grant(1_000), id: 100)], loop)
            let account = AccountID(try await shop.number("select account_id from accounts"))
            let units = { (units: Int64) in Demand.measured(.units(units), .none) }
            let steps: [(AccountAction, UInt16)] = [
                (.reserve(ReservationRequest(featureKey: shop.calls, estimate: units(20))), 201),
                (.reservation(1, .progress(units(5))), 200), (.reservation(1, .progress(units(3))), 200),
                (.reservation(1, .extend(ttlSeconds: 600)), 200),
                (.reservation(1, .commit(units(12), shortfall: nil)), 200), (.reservation(1, .release), 409),
                (.reservation(2, .release), 404),
                (.refund(Refund(account: account, charge: 3, extent: .credits(try Millicredits(Int64(70))))), 201),
                (.refund(Refund(account: account, charge: 4)), 201),
                (.refund(Refund(account: account, charge: 4)), 409),
                (.refund(Refund(account: account, charge: 1)), 404),
                (.refund(Refund(account: AccountID(99), charge: 3)), 404), (.revoke(Revocation(block: 1)), 200),
                (.revoke(Revocation(block: 1)), 200), (.revoke(Revocation(block: 2)), 404),
                (.adjust(Adjustment(amount: try Millicredits(Int64(5)))), 201),
                (.createSpendCap(NewSpendCap(credits: .max, window: .day)), 201), (.deleteSpendCap(1), 204),
                (.deleteSpendCap(1), 404),
            ]
            var first: [CommandResult] = []
            for (number, step) in steps.enumerated() {
                let results = try await apply([try shop.item("alice", step.0, id: UInt64(number))], loop)
                #expect(
                    results.map(\.status) == [step.1],
                    "\(number). \(step.0): \(String(decoding: results[0].json, as: UTF8.self))")
                first += results
            }
            let again = try await apply(
                try steps.enumerated().map { try shop.item("alice", $0.element.0, id: UInt64($0.offset)) }, loop)
            #expect(again.allSatisfy { $0.isReplay })
            #expect(again.map(\.body) == first.map(\.body))
            #expect(again.map(\.status) == first.map(\.status))
            #expect(try await shop.number("select balance from accounts") == 5)
            #expect(try await shop.number("select count(*) from reservations where status = 'committed'") == 1)
        }
    }

    @Test(
        "64 charges at once that bring a balance below the threshold make one request, in any distribution over workers"
    )
    func oneRequest() async throws {
        try await withDatabase { connection, configuration in
            let shop = try await Shop(connection, configuration)
            let lanes = try (0..<4).map { _ in try shop.lane() }
            let rule = AutoTopUpRule(
                threshold: try Millicredits(Int64(500)), amount: .amount(try Millicredits(Int64(1_000))))
            _ = try await apply(
                [try shop.item("alice", try shop.grant(640)), try shop.item("alice", .setAutoTopUp(rule))],
                lanes[0].loop)
            let results = try await withThrowingTaskGroup(of: [CommandResult].self) { group in
                for lane in lanes {
                    let items = try (0..<16).map { _ in
                        try shop.item("alice", .use(UsageEvent(featureKey: shop.calls, units: 1)))
                    }
                    group.addTask { try await items.flatMapInOrder { try await apply([$0], lane.loop) } }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(results.map(\.status) == Array(repeating: 201, count: 64))
            #expect(try await shop.number("select balance from accounts") == 0)
            let account = AccountID(try await shop.number("select account_id from accounts"))
            let id = PublicID(.topUpRequest, account: account, number: 1)
            let events = try await shop.connection.texts("select concat_ws(' ', sequence, type, data) from events")
            #expect(
                events == [
                    "1 topup.requested "
                        + #"{"credits":1000,"effective_balance":490,"request_id":"\#(id)","threshold":500}"#
                ])
            try await shop.expectCleanBooks()
        }
    }

    @Test("a ceiling is exact, however many workers answer requests and charge at once")
    func exactCeiling() async throws {
        try await withDatabase { connection, configuration in
            let shop = try await Shop(connection, configuration)
            let lanes = try (0..<4).map { _ in try shop.lane() }
            let rule = AutoTopUpRule(
                threshold: try Millicredits(Int64(100)), amount: .amount(try Millicredits(Int64(100))),
                ceiling: AutoTopUpCeiling(
                    count: 7, window: .duration(try #require(CalendarDuration(iso8601: "P10Y")))))
            _ = try await apply([try shop.item("alice", .setAutoTopUp(rule))], lanes[0].loop)
            let account = AccountID(try await shop.number("select account_id from accounts"))
            func chargesAndAnswers() throws -> [AccountItem] {
                try (1...9).flatMap { number in
                    let answer = TopUp(
                        credits: nil, request: PublicID(.topUpRequest, account: account, number: Int64(number)))
                    return [
                        try shop.item("alice", .use(UsageEvent(featureKey: shop.calls, units: 10))),
                        try shop.item("alice", .topUp(answer)),
                    ]
                }
            }
            let results = try await withThrowingTaskGroup(of: [CommandResult].self) { group in
                for lane in lanes {
                    let items = try chargesAndAnswers()
                    group.addTask { try await items.flatMapInOrder { try await apply([$0], lane.loop) } }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            // Each request is paid once. The others of the 36 top-ups find it answered, or not made.
            #expect(results.allSatisfy { [201, 402, 404, 409].contains($0.status) })
            _ = try await apply(try chargesAndAnswers(), lanes[0].loop)
            _ = try await apply(
                [try shop.item("alice", .use(UsageEvent(featureKey: shop.calls, units: 1_000)))], lanes[0].loop)
            #expect(try await shop.number("select count(*) from events where type = 'topup.requested'") == 7)
            #expect(try await shop.number("select count(*) from topup_requests where status = 'paid'") == 7)
            #expect(try await shop.number("select lifetime_granted from accounts") == 700)
            #expect(try await shop.number("select max(sequence) from events") == 7)
            try await shop.expectCleanBooks()
        }
    }

    @Test("a top-up for a request is applied once for its payment, and another payment for it is a conflict")
    func requestPaidOnce() async throws {
        try await withShop { shop, loop in
            let rule = AutoTopUpRule(
                threshold: try Millicredits(Int64(100)), amount: .amount(try Millicredits(Int64(70))))
            _ = try await apply([try shop.item("alice", .setAutoTopUp(rule))], loop)
            let account = AccountID(try await shop.number("select account_id from accounts"))
            func topUp(_ payment: String, _ fingerprint: UInt64) throws -> AccountItem {
                try shop.item(
                    "alice",
                    .topUp(
                        TopUp(
                            credits: nil, request: PublicID(.topUpRequest, account: account, number: 1),
                            payment: Payment(externalID: payment), fingerprint: Bits128(high: 0, low: fingerprint))))
            }
            let first = try await apply([try topUp("pay_1", 1), try topUp("pay_1", 1), try topUp("pay_2", 2)], loop)
            #expect(first.map(\.status) == [201, 201, 409] && first.map(\.isReplay) == [false, true, false])
            #expect(first[2].code == "conflict")
            let later = try await apply([try topUp("pay_1", 1), try topUp("pay_2", 2), try topUp("pay_1", 3)], loop)
            #expect(later.map(\.status) == [201, 409, 409])
            #expect(later.map(\.code) == [nil, "conflict", "payment_already_applied"])
            #expect(try await shop.number("select balance from accounts") == 70)
            // 70 is below 100, so the next request was made with the top-up.
            let failed = try await apply([try shop.item("alice", .failTopUpRequest(2, reason: "declined"))], loop)
            #expect(failed.map(\.status) == [200] && failed[0].integer("failures") == 1)
            let settled = try await apply([try shop.item("alice", .failTopUpRequest(1, reason: nil))], loop)
            #expect(settled.map(\.code) == ["conflict"])
            #expect(
                try await shop.connection.texts(
                    "select concat_ws(' ', number, credits, status) from topup_requests order by number") == [
                        "1 70 paid", "2 70 failed", "3 70 open",
                    ])
        }
    }

    @Test("a transaction without events writes none, and events of one transaction carry its number")
    func transactionNumbers() async throws {
        try await withShop { shop, loop in
            let rule = AutoTopUpRule(
                threshold: try Millicredits(Int64(100)), amount: .amount(try Millicredits(Int64(70))),
                stopAfterFailures: 2)
            _ = try await apply([try shop.item("alice", try shop.grant(500))], loop)
            #expect(try await shop.number("select count(*) from events") == 0)
            _ = try await apply(
                try ["alice", "bob"].map { try shop.item($0, .setAutoTopUp(rule)) }
                    + [try shop.item("bob", .failTopUpRequest(1, reason: nil))], loop)
            _ = try await apply([try shop.item("bob", .failTopUpRequest(2, reason: nil))], loop)
            #expect(
                try await shop.connection.texts(
                    """
                    select concat_ws(' ', sequence, type, dense_rank() over (order by transaction_id)) from events
                    order by transaction_id, account_id, sequence
                    """) == [
                        "1 topup.requested 1", "2 topup.failed 1", "3 topup.requested 1", "4 topup.failed 2",
                        "5 topup.suspended 2",
                    ])
            #expect(try await shop.number("select event_count from accounts where end_user_id = 'bob'") == 5)
        }
    }
}

extension Array {
    /// The concatenated results of an operation on each element, one after another.
    fileprivate func flatMapInOrder<Result>(_ body: (Element) async throws -> [Result]) async rethrows -> [Result] {
        var results: [Result] = []
        for element in self { results += try await body(element) }
        return results
    }
}
