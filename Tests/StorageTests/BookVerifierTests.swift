import Commands
import Credits
import Ledger
import Metering
import Postgres
import Storage
import TestBooks
import TestDatabases
import Testing

@Suite("Book verifier")
struct BookVerifierTests {
    @Test("books that the ledger wrote are clean")
    func clean() async throws {
        let report = try await verified(after: "select 1")
        #expect(report.isClean)
        #expect(report.accounts == 2)
        #expect(report.entries == 8)
    }

    @Test(
        "every change that bypasses the ledger is found, and the entry named",
        arguments: [
            ("update entries set amount = -11 where sequence = 3 and account_id = 1", "I7", 3),
            ("update entries set units = 2 where sequence = 2 and account_id = 1", "I9", 2),
            ("update entries set reason = 'gift' where sequence = 1 and account_id = 1", "I9", 1),
            ("update entries set allocation_amounts = '{-9}' where sequence = 4 and account_id = 1", "I2", 4),
            (
                "update entries set recorded_at = recorded_at - interval '1 day' where sequence = 2 and account_id = 1",
                "I8", 2
            ),
            ("delete from entries where sequence = 2 and account_id = 1", "I7", 3),
            ("delete from entries where sequence = 4 and account_id = 1", "I7", nil),
            ("update blocks set remaining = remaining - 1 where account_id = 1", "I1", nil),
            ("update accounts set balance = balance + 1 where account_id = 1", "I2", nil),
            ("update accounts set last_hash = decode(repeat('ab', 32), 'hex') where account_id = 1", "I9", nil),
            ("update accounts set version = 9 where account_id = 1", "I7", nil),
        ] as [(String, String, Int64?)])
    func tampering(statement: String, invariant: String, sequence: Int64?) async throws {
        let report = try await verified(after: statement)
        #expect(report.violations.map(\.invariant) == [invariant])
        #expect(report.violations.first?.endUserID.rawValue == "alice")
        #expect(report.violations.first?.entry?.number == sequence)
    }

    @Test("entries without an account and uses without an entry are found")
    func orphans() async throws {
        let entries = try await verified(after: "update entries set account_id = 99 where account_id = 2")
        #expect(entries.findings.contains { $0.contains("without an account") })
        let commands = try await verified(
            after: """
                insert into commands (environment_id, command_id, account_id, revision, status, sequence, decided_at, request_id,
                    action)
                values (1, gen_random_uuid(), 1, 1, 201, 77, now(), 'req_1', 'usage.create')
                """)
        #expect(commands.findings.contains { $0.contains("without an entry") })
    }

    @Test(
        "reservations that hold other amounts than their entries say are found",
        arguments: [
            ("update reservations set hold_amounts = '{19}', held = 19", "I15"),
            (
                "update reservations set status = 'released', finished_at = now(), hold_blocks = '{}', hold_amounts = '{}', held = 0",
                "I15"
            ),
            ("update blocks set held = 11 where number = 1", "I1"),
            ("update accounts set reserved = 11", "I2"), ("update accounts set overage = 1", "I2"),
            ("update entries set hold_amounts = '{19}' where type = 'reserve'", "I2"),
            ("update entries set details = '{\"forfeited\":1}' where type = 'reserve'", "I9"),
            ("update blocks set revoked_at = created_at - interval '1 hour' where number = 1", "I19"),
        ])
    func tamperedJobs(statement: String, invariant: String) async throws {
        let report = try await verifiedJob(after: statement)
        #expect(report.violations.map(\.invariant) == [invariant])
    }

    @Test(
        "a payment that could be applied again, or is remembered for another block, and a miscounted reservation are found",
        arguments: [
            ("delete from payments", "could be applied again"),
            ("update payments set block_number = 1", "whose block does not name them"),
            ("update blocks set external_payment_id = 'pay_2' where number = 2", "whose block does not name them"),
            ("update accounts set reservation_count = 2", "a wrong number of reservations"),
            ("update reservations set held = 19", "not the sum of their holds"),
        ])
    func tamperedRows(statement: String, finding: String) async throws {
        let report = try await verifiedJob(after: statement)
        #expect(report.findings.contains { $0.contains(finding) }, "\(report.findings)")
    }

    @Test(
        "a scheduled block that is over, has landed too early or has an entry, and an account that would not be woken for it, are found",
        arguments: [
            ("update accounts set advanced_to = advanced_to + interval '2 days'", "is scheduled for an instant"),
            ("update blocks set scheduled = false, open = false where scheduled", "is scheduled for an instant"),
            (
                "update blocks set starts_at = created_at - interval '1 us', scheduled = false, open = false where number = 1;"
                    + " update blocks set starts_at = created_at + interval '1 us' where number = 2",
                "before its credits have landed"
            ),
            (
                "update blocks set scheduled = false, open = false where scheduled;"
                    + " update accounts set advanced_to = advanced_to + interval '2 days'",
                "has landed without its entry"
            ),
            ("update accounts set due_at = null", "due later than the first of them"),
        ])
    func tamperedSchedules(statement: String, finding: String) async throws {
        try await withDatabase { connection, _ in
            let books = try await TestBooks(connection)
            var loaded = try await LedgerStore.load([try books.key("alice")], on: connection)
            let later = Grant(
                credits: try Millicredits(Int64(7)), startsAt: loaded.now.adding(seconds: 86_400))
            for action in [.grant(later), try books.grant(5), .grant(later), .revoke(Revocation(block: 3))] {
                _ = loaded.accounts[0].apply(
                    action, idempotencyKey: nil, catalogue: books.catalogue, now: loaded.now)
            }
            try await LedgerStore.write(BatchPlan(accounts: loaded.accounts), on: connection)
            let clean = try await BookVerifier.verify(on: connection) { _ in }
            #expect(clean.isClean, "\(clean.violations) \(clean.findings)")
            try await connection.script("set session_replication_role = replica; \(statement)")
            let report = try await BookVerifier.verify(on: connection) { _ in }
            let found = report.violations.map(\.description) + report.findings
            #expect(found.count == 1 && found[0].hasPrefix("I26") && found[0].contains(finding), "\(found)")
        }
    }

    /// The verifier's report on an account with an active reservation and a payment, after a statement that breaks
    /// something.
    private func verifiedJob(after statement: String) async throws -> BookVerifier.Report {
        try await withDatabase { connection, _ in
            let books = try await TestBooks(connection)
            let paid = TopUp(
                credits: .amount(try Millicredits(Int64(500))), payment: Payment(price: 999, externalID: "pay_1"))
            let job = ReservationRequest(featureKey: books.feature, estimate: .measured(.units(1), .none))
            var loaded = try await LedgerStore.load([try books.key("alice")], on: connection)
            for action in [try books.grant(1_000), .topUp(paid), .reserve(job), books.use] {
                _ = loaded.accounts[0].apply(
                    action, idempotencyKey: nil, catalogue: books.catalogue, now: loaded.now)
            }
            let payment = NewPayment(
                key: PaymentKey(environmentID: books.environmentID, externalID: "pay_1"),
                accountID: loaded.accounts[0].account.id, block: 2,
                applied: AppliedPayment(fingerprint: Bits128(high: 1, low: 1), status: 201, body: []),
                commandID: Bits128(high: 1, low: 1), createdAt: loaded.now)
            try await LedgerStore.write(
                BatchPlan(accounts: loaded.accounts, payments: [payment]), on: connection)
            let clean = try await BookVerifier.verify(on: connection) { _ in }
            #expect(clean.isClean, "\(clean.violations) \(clean.findings)")
            try await connection.script("set session_replication_role = replica; \(statement)")
            return try await BookVerifier.verify(on: connection) { _ in }
        }
    }

    /// The verifier's report on two accounts with four entries each, after a statement that breaks something.
    private func verified(after statement: String) async throws -> BookVerifier.Report {
        var report: BookVerifier.Report?
        try await withDatabase { connection, _ in
            let books = try await TestBooks(connection)
            for name in ["alice", "bob"] {
                try await books.apply([try books.grant(1_000), books.use, books.use, books.use], to: name)
            }
            try await connection.script("set session_replication_role = replica; \(statement)")
            report = try await BookVerifier.verify(on: connection) { _ in }
        }
        return try #require(report)
    }
}
