import Catalogue
import Answers
import Credits
import Ledger
import Postgres
import Storage
import TestBooks
import TestDatabases
import Testing

@Suite("Random books")
struct RandomBooksTests {
    @Test(
        "accounts are loaded as they were written, with all the history that a refund needs, with and without checkpoints",
        arguments: 1...12)
    func sameAsInMemory(seed: UInt64) async throws {
        try await withDatabase { connection, _ in
            var books = try await RandomBooks(try await TestBooks(connection), seed: seed)
            for _ in 0..<60 { try await books.batch() }
            for account in books.remembered.values.map(\.account) {
                let spacing = CheckpointSpacing(entries: Int64(seed / 2), weight: 1_000)
                while spacing.entries > 0,
                    try await CheckpointStore.extend(
                        account.id, of: books.environmentID, upTo: account.version - 2, spacing: spacing,
                        on: connection) != nil
                {}
            }
            #expect(books.remembered.count == 3)
            for (name, known) in books.remembered {
                try await expectStored(known, of: name, in: books)
                try await expectPast(known, in: books)
                try await expectUsage(known, in: books)
            }
            try await expectExport(books)
            let report = try await BookVerifier.verify(on: connection) { _ in }
            #expect(report.isClean, "\(report.violations) \(report.findings)")
            #expect(report.accounts == 3)
        }
    }

    @Test("the random commands reach every kind of outcome")
    func coverage() async throws {
        try await withDatabase { connection, _ in
            var books = try await RandomBooks(try await TestBooks(connection), seed: 77)
            for _ in 0..<150 { try await books.batch() }
            #expect(
                books.outcomes.isSuperset(of: [
                    "granted", "used", "refunded", "revoked", "adjusted", "transferred", "reserved",
                    "reservationChanged", "spendCapCreated", "endUser", "refused", "autoTopUpSet",
                    "topUpRequestFailed",
                ]), "\(books.outcomes)")
        }
    }

    private func expectStored(
        _ known: RandomBooks.Remembered, of name: EndUserID, in books: RandomBooks
    ) async throws {
        let account = known.account
        let entries = try await EntryStore.list(
            environmentID: books.environmentID, accountID: account.id, EntryFilter(ascending: true, limit: 10_000),
            on: books.connection)
        #expect(entries == known.entries)
        let blocks = try await AccountReads.blocks(
            environmentID: books.environmentID, accountID: account.id, status: nil, now: account.advancedTo, after: nil,
            limit: 10_000, on: books.connection)
        #expect(Set(blocks.map(\.granted)) == Set(known.blocks.values))
        let reservations = try await ReservationStore.list(
            environmentID: books.environmentID, accountID: account.id, status: nil, before: nil, limit: 10_000,
            on: books.connection)
        #expect(reservations == known.reservations.values.sorted { $0.number > $1.number })
        let endUser = try await AccountReads.endUser(books.key(name), on: books.connection)
        #expect(endUser?.settings == account.settings)
        #expect(endUser?.profile == known.profile)
        let row = try await books.connection.run(
            PostgresQuery(
                "select due_at, test_clock_id from accounts where account_id = $1", [.int64(account.id.rawValue)])
        ).first
        let due = account.settings.testClock == nil ? account.dueAt(announcing: 72 * 3_600_000_000) : nil
        #expect(try row?.timestampOrNil(0) == due?.microseconds)
        #expect(try row?.uuidOrNil(1).map { Bits128($0) } == account.settings.testClock?.bits)
        let stored = try await books.connection.texts(
            """
            select concat_ws(' ', sequence, type, data, round(extract(epoch from at) * 1000000),
                round(extract(epoch from recorded_at) * 1000000))
            from events where account_id = $1 order by sequence
            """, [.int64(account.id.rawValue)])
        let expected = known.events.enumerated().map { index, event in
            let data = event.content.storedJSON(of: account.id)
            return "\(index + 1) \(event.content.type.rawValue) \(data) \(event.at.microseconds) "
                + "\(event.recordedAt.microseconds)"
        }
        #expect(stored == expected)
        let requests = try await books.connection.texts(
            """
            select concat_ws(' ', number, credits, status, round(extract(epoch from requested_at) * 1000000),
                round(extract(epoch from answered_at) * 1000000))
            from topup_requests where account_id = $1 order by number
            """, [.int64(account.id.rawValue)])
        let made = known.requests.values.sorted { $0.number < $1.number }.map { request in
            let credits = if case .amount(let credits) = request.amount { credits.rawValue } else { Int64(0) }
            return
                (["\(request.number) \(credits) \(request.status) \(request.requestedAt.microseconds)"]
                + (request.answeredAt.map { ["\($0.microseconds)"] } ?? [])).joined(separator: " ")
        }
        #expect(requests == made)
    }

    /// Expects the past state of the account at every instant in an entry, and just before it.
    private func expectPast(_ known: RandomBooks.Remembered, in books: RandomBooks) async throws {
        let stamps = known.entries.map { $0.type == .use ? $0.recordedAt : $0.effectiveAt }
        for stamp in Set(stamps).flatMap({ [$0, Instant(microseconds: $0.microseconds - 1)] }) {
            let before = known.entries.prefix(stamps.count { $0 <= stamp })
            let standing = try await LedgerReads.standing(
                environmentID: books.environmentID, accountID: known.account.id, at: stamp, on: books.connection)
            #expect(standing.version == before.last?.sequence ?? 0)
            #expect(standing.balances.balance == before.last?.balanceAfter ?? 0)
            #expect(standing.balances.reserved == before.last?.reservedAfter ?? 0)
            #expect(standing.overage == before.last?.overageAfter ?? 0)
            if before.count == known.entries.count {
                #expect(standing.lifetimeGranted == known.account.lifetimeGranted.rawValue)
            }
        }
        let half = Int64(known.entries.count / 2)
        for version in [half, known.account.version] {
            let before = known.entries.prefix(Int(version))
            let histories = try await LedgerReads.blockHistories(
                environmentID: books.environmentID, accountID: known.account.id, version: version,
                on: books.connection)
            let remaining = Dictionary(
                before.flatMap(\.allocations).map { ($0.block, $0.amount) }, uniquingKeysWith: +
            ).filter { $0.value > 0 }
            let held = Dictionary(before.flatMap(\.holds).map { ($0.block, $0.amount) }, uniquingKeysWith: +)
            #expect(
                Dictionary(uniqueKeysWithValues: histories.map { ($0.granted.block.number, $0.remaining) }) == remaining
            )
            for history in histories { #expect(history.held == held[history.granted.block.number] ?? 0) }
        }
        let holds = try await LedgerReads.holdHistories(
            environmentID: books.environmentID, accountID: known.account.id, version: known.account.version,
            on: books.connection)
        #expect(
            Dictionary(uniqueKeysWithValues: holds.map { ($0.reservation, Set($0.allocations)) })
                == Dictionary(
                    uniqueKeysWithValues: known.account.reservations.filter { $0.held > 0 }.map {
                        ($0.number, Set($0.holds))
                    }))
    }

    private func expectUsage(_ known: RandomBooks.Remembered, in books: RandomBooks) async throws {
        let charges = known.entries.filter { $0.type == .use || $0.type == .commit }
        let givenBack = known.entries.filter { $0.cause.details.isSettlement }.reduce(0) { sum, entry in
            sum + entry.amount + entry.cause.details.forfeited
        }
        let totals = try await UsageReads.totals(
            environmentID: books.environmentID, account: known.account.name, featureKey: nil, from: nil, to: nil,
            groupBy: .feature, on: books.connection)
        #expect(totals.reduce(0) { $0 + $1.cost } == charges.reduce(0) { $0 - $1.amount } - givenBack)
        for total in totals {
            guard case .feature(let key) = total.group else {
                Issue.record("\(total)")
                continue
            }
            let own = charges.filter { $0.cause.featureKey == key }
            #expect(total.charges == own.count)
            // The entries of a reservation state its units so far, so the largest number is the total.
            let reserved = Dictionary(grouping: own.filter { $0.cause.reservation != nil }) { $0.cause.reservation }
            let units =
                own.filter { $0.cause.reservation == nil }.reduce(0) { $0 + Self.units($1) }
                + reserved.values.reduce(0) { $0 + (($1.map(Self.units).max()) ?? 0) }
            #expect(total.units == units)
        }
    }

    private static func units(_ entry: Entry) -> Int64 {
        entry.cause.units ?? entry.cause.details.quantities.values.reduce(0, +)
    }

    /// Expects an export, page by page, with every entry once, by account and sequence.
    private func expectExport(_ books: RandomBooks) async throws {
        var last: (accountID: AccountID, sequence: Int64)?
        var found: [Entry] = []
        while true {
            let page = try await LedgerReads.export(
                environmentID: books.environmentID, accountID: nil, after: last, on: books.connection, entries: 7)
            found += page.map(\.entry)
            guard let end = page.last else { break }
            last = (end.owner.account, end.entry.sequence)
        }
        let all = books.remembered.values.sorted { $0.account.id < $1.account.id }.flatMap(\.entries)
        #expect(found == all.map { $0.with(counterparty: nil) })
    }
}
