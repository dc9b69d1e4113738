import Catalogue
import Commands
import Credits
import Ledger
import Metering
import OldEntries
import Postgres
import Storage
import TestBooks
import TestDatabases
import Testing

@Suite("Erasures")
struct ErasureTests {
    /// Every text of alice that the books contain.
    private static let texts = ["alice", "Alice Smith", "canary-reason", "canary-note", "canary-value"]

    @Test("the text is removed slice by slice, the hashes stay, and the books are clean before, between and after")
    func slices() async throws {
        try await withDatabase { connection, _ in
            let books = try await Self.books(connection)
            let before = try await Self.export(books)
            #expect(before.isWhole && before.text.contains("canary-reason"))
            let sums = "select count(*)::text from checkpoint_usage where attribute <> ''"
            #expect(try await connection.texts(sums) == ["1"])
            let reason = "select data::json ->> 'reason' from events where type = 'topup.failed'"
            #expect(try await connection.texts(reason) == ["canary-reason"])
            let hashes = "select string_agg(encode(hash, 'hex'), ' ' order by account_id, sequence) from entries"
            let chain = try await connection.texts(hashes)

            // The remainder of a price is a part of the books.
            try await connection.script(
                """
                insert into counters (environment_id, account_id, counter_id, window_start, window_end, used)
                values (1, 1, '00000000-0000-0000-0000-000000000001', 'epoch', 'infinity', 3)
                """)
            // A receiver of webhooks has repeated what it was sent, and another one has answered for bob.
            try await connection.script(
                #"""
                insert into webhook_endpoints (environment_id, endpoint_id, url, secret, created_at, updated_at, enabled_at)
                values (1, '00000000-0000-0000-0000-000000000007', 'https://example.com/', 'x', now(), now(), now());
                insert into webhook_deliveries (environment_id, endpoint_id, account_id, event_sequence, event_type, attempts)
                select 1, '00000000-0000-0000-0000-000000000007', account_id, 1, 'topup.failed',
                    '[{"error":"status 500","response":"{\"id\":\"alice\",\"path\":\"\\","status":500},'
                    '{"error":null,"response":"","status":200}]'
                from unnest(array[1, 1, 1, 1, 2]) as k (account_id)
                """#)
            try await books.apply([.eraseEndUser], to: "alice")
            let opaque = try #require(
                try await connection.texts("select end_user_id from accounts where account_id = 1").first)
            #expect(opaque == "erased_0000000000000g000000000000")
            let running = try await ErasureStore.isRunning(try books.key("alice"), on: connection)
            #expect(running)
            var slices = 0
            while true {
                // Whatever is still there, nothing shows it.
                let report = try await BookVerifier.verify(on: connection) { _ in }
                #expect(report.isClean, "\(report.violations) \(report.findings)")
                let export = try await Self.export(books)
                #expect(export.isWhole)
                for text in Self.texts { #expect(!export.text.contains(text), "\(text)") }
                guard try await Self.removeSlice(upTo: 3, on: connection) != nil else { break }
                slices += 1
            }
            #expect(slices > 8)
            // The erasure itself has added entries.
            let hashesAfter = Set(try await connection.texts(hashes).joined(separator: " ").split(separator: " "))
            #expect(hashesAfter.isSuperset(of: chain.joined(separator: " ").split(separator: " ")))
            #expect(try await connection.texts("select used::text from counters where account_id = 1") == ["3"])
            let answers = """
                select distinct account_id || ' ' || (attempts::json -> 0 ->> 'error') || ' '
                    || coalesce(attempts::json -> 0 ->> 'response', 'none') || ' ' || (attempts::json -> 1 ->> 'status')
                from webhook_deliveries order by 1
                """
            #expect(
                try await connection.texts(answers) == [
                    "1 status 500 none 200", #"2 status 500 {"id":"alice","path":"\ 200"#,
                ])
            try await connection.script("delete from webhook_deliveries where account_id = 2")
            for table in try await connection.texts(Self.tables) {
                let rows = try await connection.texts("select t::text from \(table) t")
                for text in Self.texts {
                    let bytes = Array(text.utf8).map { String($0, radix: 16) }.joined()
                    #expect(!rows.contains { $0.contains(text) || $0.contains(bytes) }, "\(text) in \(table): \(rows)")
                }
            }
            #expect(try await connection.texts("select count(*)::text from events where type like 'topup.%'") == ["3"])
            #expect(try await connection.texts("select count(*)::text from checkpoints") == ["1"])
            // Before and after have the same members apart from the personal ones.
            let after = try await Self.export(books)
            let lines = Set(before.text.split(separator: "\n"))
            let kept = after.text.split(separator: "\n").filter { new in
                lines.contains { $0.hasPrefix(new.dropLast()) }
            }
            #expect(kept.count == lines.count)
        }
    }

    private static let tables = """
        select c.relname::text from pg_class c
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') order by 1
        """

    @Test("two processes share the erasures")
    func concurrent() async throws {
        try await withDatabase { connection, configuration in
            let books = try await Self.books(connection)
            try await books.apply([.eraseEndUser], to: "alice")
            try await books.apply([.eraseEndUser], to: "bob")
            let other = try await PostgresConnection.connect(configuration)
            defer { other.close() }
            let alice = try #require(try await ErasureStore.next(after: nil, on: connection))
            try await other.script("begin; select from erasures where account_id = 1 for update")
            #expect(try await ErasureStore.removeSlice(of: alice, on: connection) == nil)
            while try await Self.removeSlice(on: connection) != nil {}
            #expect(try await connection.texts("select end_user_id from erasures") == ["alice"])
            try await other.script("rollback")
            while try await Self.removeSlice(on: connection) != nil {}
            #expect(try await connection.texts("select count(*)::text from erasures") == ["0"])
        }
    }

    @Test("environments take turns, and a slice that fails is done again after the other erasures")
    func turns() async throws {
        try await withDatabase { connection, _ in
            let books = try await Self.books(connection)
            for name in ["alice", "bob"] { try await books.apply([.eraseEndUser], to: name) }
            try await connection.script(
                """
                insert into environments (tenant_id, kind) values ('00000000-0000-0000-0000-000000000001', 'test');
                insert into accounts (environment_id, account_id, end_user_id) overriding system value values (2, 9, 'carol');
                insert into erasures (environment_id, account_id, end_user_id, salt, up_to, revision)
                select 2, 9, 'carol', salt, 0, 0 from accounts where account_id = 9;
                alter table entries add constraint stop check (account_id <> 1 or personal_digest is null) not valid
                """)
            let alice = try #require(try await ErasureStore.next(after: nil, on: connection))
            #expect(alice.accountID == AccountID(1))
            await #expect(throws: PostgresError.self) {
                try await ErasureStore.removeSlice(of: alice, on: connection)
            }
            let carol = try #require(try await ErasureStore.next(after: alice.environmentID, on: connection))
            #expect(carol.accountID == AccountID(9))
            _ = try await ErasureStore.removeSlice(of: carol, on: connection)
            #expect(try await ErasureStore.next(after: carol.environmentID, on: connection) == nil)
            let bob = try #require(try await ErasureStore.next(after: nil, on: connection))
            #expect(bob.accountID == AccountID(2))
            _ = try await ErasureStore.removeSlice(of: bob, on: connection)
            #expect(try await connection.texts("select end_user_id from erasures") == ["alice"])
            try await connection.script("alter table entries drop constraint stop")
            while try await Self.removeSlice(on: connection) != nil {}
            #expect(try await connection.texts("select count(*)::text from erasures") == ["0"])
        }
    }

    @Test("sums by attribute wait for a checkpoint that is being made, and a later one makes none")
    func checkpoints() async throws {
        try await withDatabase { connection, configuration in
            let books = try await Self.books(connection)
            try await books.apply([books.use, .eraseEndUser], to: "alice")
            let other = try await PostgresConnection.connect(configuration)
            defer { other.close() }
            try await other.script("begin")
            // Extending makes no further checkpoint, and holds the lock that excludes the erasure.
            _ = try await CheckpointStore.extend(
                AccountID(1), of: books.environmentID, upTo: 1, spacing: .standard, on: other)
            let erasure = try #require(try await ErasureStore.next(after: nil, on: connection))
            var removed = 1
            while removed > 0 {
                removed = try #require(try await ErasureStore.removeSlice(of: erasure, on: connection))
            }
            let sums = "select count(*)::text from checkpoint_usage where attribute <> ''"
            #expect(try await connection.texts(sums) == ["1"])
            try await other.script("rollback")
            let made = try await CheckpointStore.extend(
                AccountID(1), of: books.environmentID, upTo: 99, spacing: .standard, on: connection)
            #expect(made != nil)
            #expect(try await connection.texts(sums) == ["1"])
            while try await Self.removeSlice(on: connection) != nil {}
            #expect(try await connection.texts(sums) == ["0"])
        }
    }

    @Test(
        "a parked message loses an end user of its environment, and one of no environment only a long id",
        arguments: [
            (environment: 1, id: "al", isRemoved: true), (environment: 2, id: "alice-alice", isRemoved: false),
            (environment: nil, id: "al", isRemoved: false), (environment: nil, id: "alice-alice", isRemoved: true),
        ] as [(environment: Int32?, id: String, isRemoved: Bool)])
    func parked(environment: Int32?, id: String, isRemoved: Bool) async throws {
        try await withDatabase { connection, _ in
            let books = try await TestBooks(connection)
            try await books.apply([try books.grant(1)], to: id)
            try await CommandStore.park(
                queue: "q", environmentID: environment.map { EnvironmentID($0) }, commandID: nil, requestID: nil,
                error: "no", message: [UInt8(id.utf8.count)] + Array(id.utf8), on: connection)
            try await books.apply([.eraseEndUser], to: id)
            while try await Self.removeSlice(on: connection) != nil {}
            let left = try await connection.texts("select octet_length(message)::text from parked_commands")
            #expect(left == [isRemoved ? "0" : "\(id.utf8.count + 1)"])
        }
    }

    /// Removes the next slice of the first erasure.
    ///
    /// - Returns: The rows that lost their text; nil when there is no erasure that another process is not working on.
    private static func removeSlice(
        upTo limit: Int64 = ErasureStore.rowsPerSlice, on connection: PostgresConnection
    ) async throws -> Int? {
        guard let erasure = try await ErasureStore.next(after: nil, on: connection) else { return nil }
        return try await ErasureStore.removeSlice(of: erasure, upTo: limit, on: connection)
    }

    @Test("the same id is a new end user, and the opaque account is closed and still expires")
    func again() async throws {
        try await withDatabase { connection, _ in
            let books = try await Self.books(connection)
            try await books.apply([.eraseEndUser], to: "alice")
            while try await Self.removeSlice(on: connection) != nil {}
            let opaque = EndUserID(erased: AccountID(1)).rawValue
            #expect(try await books.apply([try books.grant(5)], to: opaque) == [.refused(.unknownEndUser)])
            #expect(try await books.apply([.eraseEndUser], to: "mallory") == [.refused(.unknownEndUser)])
            try await books.apply([try books.grant(5)], to: "alice")
            let balances = "select end_user_id || ' ' || balance from accounts order by account_id"
            #expect(try await connection.texts(balances) == ["\(opaque) 931", "bob 40", "alice 5"])
            let report = try await BookVerifier.verify(on: connection) { _ in }
            #expect(report.isClean, "\(report.violations) \(report.findings)")
        }
    }

    @Test("entries of version 1 lose their text too, are counted, and others' transfers get the opaque id")
    func version1() async throws {
        try await withDatabase { connection, _ in
            let books = try await Self.books(connection)
            try await Self.downgrade(connection)
            let clean = try await BookVerifier.verify(on: connection) { _ in }
            #expect(clean.isClean && clean.unprovable == 0, "\(clean.violations)")
            try await books.apply([.eraseEndUser], to: "alice")
            while try await Self.removeSlice(upTo: 2, on: connection) != nil {}
            let report = try await BookVerifier.verify(on: connection) { _ in }
            #expect(report.isClean, "\(report.violations) \(report.findings)")
            // All of alice's entries of before, and bob's side of the transfer.
            let old = try await connection.texts(
                "select count(*)::text from entries where version = 1 and account_id = 1")
            #expect(old == ["\(report.unprovable - 1)"])
            let other =
                "select details::json ->> 'counterparty' from entries where account_id = 2 and type = 'transfer'"
            #expect(try await connection.texts(other) == [EndUserID(erased: AccountID(1)).rawValue])
            #expect(try await Self.export(books).isWhole)
        }
    }

    @Test("text that was left in an erased account is found, and so is a digest that is missing or wrong")
    func verified() async throws {
        for (statement, invariant) in [
            ("update entries set reason = 'x' where account_id = 1 and sequence = 1", "I27"),
            ("update entries set personal_digest = null where account_id = 1 and sequence = 1", "I9"),
            (
                "update entries set personal_digest = decode(repeat('ab', 32), 'hex') where account_id = 1 and sequence = 1",
                "I9"
            ),
        ] {
            try await withDatabase { connection, _ in
                let books = try await Self.books(connection)
                try await books.apply([.eraseEndUser], to: "alice")
                while try await Self.removeSlice(on: connection) != nil {}
                try await connection.script("set session_replication_role = replica; \(statement)")
                let report = try await BookVerifier.verify(on: connection) { _ in }
                #expect(report.violations.map(\.invariant) == [invariant], "\(statement)")
            }
        }
    }

    @Test("a text that was changed behind the digest of the right one is found")
    func hidden() async throws {
        try await withDatabase { connection, _ in
            _ = try await Self.books(connection)
            let salt = try #require(
                try await connection.texts("select encode(salt, 'hex') from accounts where account_id = 1").first)
            let key = EntryKey(environmentID: EnvironmentID(1), accountID: AccountID(1), sequence: 1)
            let entry = try #require(try await EntryStore.find([key], on: connection)[key]?.entry)
            let bytes = stride(from: 0, to: 64, by: 2).compactMap { UInt8(salt.dropFirst($0).prefix(2), radix: 16) }
            let owner = EntryOwner(
                account: AccountID(1), endUserID: try #require(EndUserID("alice")),
                salt: Salt(bytes: bytes))
            let digest = try #require(entry.digest(of: owner))
            try await connection.script("set session_replication_role = replica")
            _ = try await connection.run(
                PostgresQuery(
                    "update entries set reason = 'other', personal_digest = $1 where account_id = 1 and sequence = 1",
                    [.bytes(digest.bytes)]))
            let report = try await BookVerifier.verify(on: connection) { _ in }
            #expect(report.violations.map(\.invariant) == ["I27"])
        }
    }

    @Test(
        "an entry loses nothing else, also while its account is being erased",
        arguments: [
            "update entries set amount = 0 where account_id = 1",
            "update entries set personal_digest = sha256('x') where account_id = 1",
            "update entries set reason = 'other' where account_id = 1",
            "update entries set reason = null where account_id = 1",
            "update entries set hash = sha256('x'), reason = null, metadata = null, idempotency_key = null, details = null, personal_digest = sha256('x') where account_id = 1",
            "update entries set reason = null, metadata = null, idempotency_key = null, details = '{\"forfeited\":1}', personal_digest = sha256('x') where account_id = 1",
            "update entries set sequence = sequence where account_id = 1", "delete from entries where account_id = 1",
            "truncate entries", "update accounts set end_user_id = 'eve' where account_id = 1",
            "update accounts set salt = null where account_id = 1",
            "update accounts set salt = sha256('x') where account_id = 1",
            "update accounts set erased_at = null, salt = sha256('x') where account_id = 1",
            "update events set data = '{}' where account_id = 1", "update events set type = 'x' where account_id = 1",
            "update events set data = jsonb_set(data::jsonb, '{failures}', '9')::text where account_id = 1 and type = 'topup.failed'",
            "delete from events where account_id = 1", "truncate events",
            "update commands set response = '' where account_id = 1",
            "update commands set fingerprint = null where account_id = 1 and response is not null",
        ])
    func narrow(statement: String) async throws {
        try await withDatabase { connection, _ in
            let books = try await Self.books(connection)
            try await books.apply([.eraseEndUser], to: "alice")
            await #expect(throws: PostgresError.self, "\(statement)") { try await connection.script(statement) }
        }
    }

    @Test("nothing loses its text without an erasure")
    func onlyErased() async throws {
        try await withDatabase { connection, _ in
            _ = try await Self.books(connection)
            for statement in [
                "update entries set reason = null, metadata = null, idempotency_key = null, details = null, personal_digest = sha256('x')",
                "update blocks set reason = null", "update reservations set metadata = null",
                "update payments set response = ''", "update commands set response = null, fingerprint = null",
                "update accounts set end_user_id = 'erased_x', salt = null, erased_at = now() where account_id = 1",
                "update events set data = jsonb_set(data::jsonb, '{reason}', 'null', false)::text",
            ] {
                await #expect(throws: PostgresError.self, "\(statement)") { try await connection.script(statement) }
            }
        }
    }

    // MARK: - Books

    /// Alice with text in every table that can have some, and bob, with whom she exchanges credits.
    private static func books(_ connection: PostgresConnection) async throws -> TestBooks {
        let books = try await TestBooks(connection)
        let metadata = Metadata(canonicalJSON: #"{"note":"canary-note","z":[1.0,1E400,-0]}"#)
        let attributes = Attributes(["canary": .string("canary-value")])
        let name = EndUserChange(name: .set("Alice Smith"), metadata: .set(metadata))
        let paid = TopUp(
            credits: .amount(try Millicredits(Int64(500))), payment: Payment(price: 999, externalID: "pay_1"),
            reason: "canary-reason", metadata: metadata)
        let job = ReservationRequest(
            featureKey: books.feature, estimate: .measured(.units(1), attributes), metadata: metadata)
        let use = UsageEvent(
            featureKey: books.feature, measure: .units(1), attributes: attributes, metadata: metadata)
        try await books.apply(
            [
                .createEndUser(name),
                .grant(Grant(credits: try Millicredits(Int64(500)), reason: "canary-reason", metadata: metadata)),
                .topUp(paid), .reserve(job), .reserve(job),
                .reservation(1, .progress(.measured(.units(1), attributes))),
                .use(use), .adjust(Adjustment(amount: try Millicredits(Int64(10)), reason: "canary-reason")),
                .createSpendCap(NewSpendCap(featureKey: nil, credits: .max, window: .day)),
                .setLimit(
                    try #require(LimitKey("canary-value")),
                    Limit(unit: .units, amount: 9, window: .day, per: "canary")), .use(use), .use(use),
                .setAutoTopUp(
                    AutoTopUpRule(
                        threshold: try Millicredits(Int64(5_000)), amount: .amount(try Millicredits(Int64(1))))),
                .failTopUpRequest(1, reason: "canary-reason"),
            ], to: "alice")
        try await declare(["canary"], by: [books.feature.rawValue], on: connection)
        let checkpoint = try await CheckpointStore.extend(
            AccountID(1), of: books.environmentID, upTo: 20, spacing: .standard, on: connection)
        #expect(checkpoint != nil)
        try await books.apply([try books.grant(1)], to: "bob")
        var loaded = try await LedgerStore.load([try books.key("alice"), try books.key("bob")], on: connection)
        let transfer = Transfer(receiver: try books.key("bob").endUserID, credits: try Millicredits(Int64(39)))
        var (alice, bob) = (loaded.accounts[0], loaded.accounts[1])
        _ = AccountDraft.transfer(
            transfer, from: &alice, to: &bob, idempotencyKey: "transfer-key", catalogue: books.catalogue,
            now: loaded.now)
        loaded.accounts = [alice, bob]
        let command = { (id: UInt64, key: CommandKey?, account: Int64, receiver: Int64?) -> DecidedCommand in
            DecidedCommand(
                key: key ?? CommandKey(environmentID: books.environmentID, id: Bits128(high: 0, low: id)),
                fingerprint: Bits128(high: 7, low: 7), status: 201,
                position: .account(AccountID(account), revision: 1), content: .body(Array("alice canary-note".utf8)),
                receiver: receiver.map { AccountID($0) }, action: .transferCredits,
                actor: Actor(keyID: nil, address: nil), requestID: "req_1", attempt: nil, decidedAt: loaded.now)
        }
        let payment = NewPayment(
            key: PaymentKey(environmentID: books.environmentID, externalID: "pay_1"), accountID: AccountID(1), block: 2,
            applied: AppliedPayment(
                fingerprint: Bits128(high: 1, low: 1), status: 201, body: Array("alice canary-reason".utf8)),
            commandID: Bits128(high: 1, low: 1), createdAt: loaded.now)
        try await LedgerStore.write(
            BatchPlan(
                accounts: loaded.accounts, payments: [payment],
                decided: [
                    command(1, nil, 1, nil), command(2, nil, 2, 1),
                    command(3, CommandKey(environmentID: books.environmentID, idempotencyKey: "transfer-key"), 1, 2),
                ]), on: connection)
        try await CommandStore.park(
            queue: "", environmentID: books.environmentID, commandID: nil, requestID: nil, error: "no alice",
            message: [5] + Array("alice canary-note".utf8), on: connection)
        return books
    }

    private static func export(_ books: TestBooks) async throws -> (text: String, isWhole: Bool) {
        let page = try await LedgerReads.export(
            environmentID: books.environmentID, accountID: nil, after: nil, on: books.connection)
        var audit = ExportAudit()
        for line in page { audit.take(line.line) }
        let text = page.map { String(decoding: $0.line, as: UTF8.self) }.joined(separator: "\n")
        return (text, audit.findings.isEmpty)
    }

    /// Gives all entries the form in which an earlier release has written them.
    private static func downgrade(_ connection: PostgresConnection) async throws {
        try await connection.script("set session_replication_role = replica")
        for (account, name, other) in [(1, "alice", "bob"), (2, "bob", "alice")] as [(Int64, String, String)] {
            let owner = EntryOwner(account: AccountID(account), endUserID: try #require(EndUserID(name)), salt: nil)
            var previous = EntryHash.zero
            let sequences = try await connection.run(
                PostgresQuery("select sequence from entries where account_id = $1 order by 1", [.int64(account)]))
            for row in sequences {
                let key = EntryKey(
                    environmentID: EnvironmentID(1), accountID: AccountID(account), sequence: try row.int64(0))
                let entry = try #require(try await EntryStore.find([key], on: connection)[key]?.entry)
                let old = try #require(
                    entry.ofVersion1(
                        after: previous, of: owner, counterparty: entry.type == .transfer ? EndUserID(other) : nil))
                previous = old.hash
                _ = try await connection.run(
                    PostgresQuery(
                        """
                        update entries set version = 1, hash = $3, details = $4 where account_id = $1 and sequence = $2
                        """,
                        [
                            .int64(account), .int64(entry.sequence), .bytes(previous.bytes),
                            old.cause.details.storedJSON.map { .text($0) } ?? .null,
                        ]))
            }
            _ = try await connection.run(
                PostgresQuery(
                    "update accounts set last_hash = $2 where account_id = $1",
                    [.int64(account), .bytes(previous.bytes)]))
        }
        try await connection.script("set session_replication_role = origin")
    }
}
