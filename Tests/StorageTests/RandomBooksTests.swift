import Credits
import Ledger
import Postgres
import Storage
import TestDatabases
import Testing

@Suite("Random books")
struct RandomBooksTests {
    @Test(
        "what is loaded is what was written, and its past is all that a refund needs: the same as if nothing were forgotten",
        arguments: 1...12)
    func sameAsInMemory(seed: UInt64) async throws {
        try await withDatabase { connection, _ in
            var books = try await RandomBooks(try await Books(connection), seed: seed)
            for _ in 0..<60 { try await books.batch() }
            #expect(books.remembered.count == 3)
            for (name, known) in books.remembered {
                try await expectStored(known, of: name, in: books)
            }
            let report = try await BookVerifier.verify(on: connection) { _ in }
            #expect(report.isClean, "\(report.violations) \(report.findings)")
            #expect(report.accounts == 3)
        }
    }

    @Test("the random commands reach every kind of outcome")
    func coverage() async throws {
        try await withDatabase { connection, _ in
            var books = try await RandomBooks(try await Books(connection), seed: 77)
            for _ in 0..<150 { try await books.batch() }
            #expect(
                books.outcomes.isSuperset(of: [
                    "granted", "used", "refunded", "revoked", "adjusted", "transferred", "reserved",
                    "reservationChanged", "spendCapCreated", "endUser", "refused",
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
        #expect(entries.map(\.entry) == known.entries)
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
        #expect(try row?.timestampOrNil(0) == account.scheduledAt?.microseconds)
        #expect(try row?.uuidOrNil(1).map { Bits128($0) } == account.settings.testClock?.bits)
    }
}
