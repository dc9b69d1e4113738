import Commands
import Credits
import Ledger
import Postgres
import Storage
import TestBooks
import TestDatabases
import Testing

@Suite("Ledger store")
struct LedgerStoreTests {
    @Test("a batch loads what the previous one wrote")
    func roundTrip() async throws {
        try await withDatabase { connection, _ in
            let books = try await TestBooks(connection)
            let month = try #require(CalendarDuration(iso8601: "P1M"))
            var restricted = Grant(credits: try Millicredits(Int64(500)), priority: 3, expiry: .after(month))
            restricted.featureKeys = [books.feature]
            restricted.metadata = Metadata(canonicalJSON: #"{"a":1}"#)
            try await books.apply([.grant(restricted), try books.grant(70), books.use], to: "alice")
            let first = try await LedgerStore.load([try books.key("alice")], on: connection)
            try await LedgerStore.write(BatchPlan(accounts: first.accounts), on: connection)
            let account = first.accounts[0].account
            #expect(account.version == 3)
            #expect(account.balances.balance == 560)
            #expect(account.blocks.map(\.remaining.rawValue) == [490, 70])
            #expect(account.blocks.first?.featureKeys == [books.feature])
            #expect(account.blocks.first?.priority == 3)
            let entries = try await EntryStore.list(
                environmentID: books.environmentID, accountID: account.id, EntryFilter(ascending: true, limit: 10),
                on: connection)
            #expect(entries.map(\.sequence) == [1, 2, 3])
            #expect(entries.last?.hash == first.accounts[0].book.lastHash)
            #expect(entries[0].cause.metadata == restricted.metadata)
        }
    }

    @Test("an end user who was only refused leaves no row behind")
    func refusalOfNewEndUser() async throws {
        try await withDatabase { connection, _ in
            let books = try await TestBooks(connection)
            let outcomes = try await books.apply([books.use], to: "bob")
            guard case .refused(.insufficientCredits)? = outcomes.first else {
                Issue.record("\(outcomes)")
                return
            }
            #expect(try await rowCount("accounts", connection) == 0)
        }
    }

    @Test("a hundred end users are loaded and written in one batch, each with its own state")
    func manyAccounts() async throws {
        try await withDatabase { connection, _ in
            let books = try await TestBooks(connection)
            let keys = try (0..<100).map { try books.key("user_\($0)") }
            var loaded = try await LedgerStore.load(keys, on: connection)
            for index in keys.indices {
                _ = loaded.accounts[index].apply(
                    try books.grant(Int64(index + 1)), idempotencyKey: nil, catalogue: books.catalogue, now: loaded.now)
            }
            try await LedgerStore.write(BatchPlan(accounts: loaded.accounts), on: connection)
            let again = try await LedgerStore.load(keys.reversed(), on: connection)
            try await LedgerStore.write(BatchPlan(accounts: again.accounts), on: connection)
            #expect(again.accounts.map(\.account.endUserID) == keys.reversed().map(\.endUserID))
            #expect(again.accounts.map(\.account.balance.rawValue) == (1...100).reversed())
        }
    }

    @Test("a decided command is found again, and its id cannot be used twice")
    func decidedCommands() async throws {
        try await withDatabase { connection, _ in
            let books = try await TestBooks(connection)
            let key = CommandKey(environmentID: books.environmentID, id: Bits128(high: 1, low: 2))
            let decision = DecidedCommand(
                key: key, fingerprint: Bits128(high: 3, low: 4), status: 402, position: .none, content: .body([1, 2]),
                action: .grantCredits, actor: Actor(keyID: Bits128(high: 5, low: 6), address: "192.0.2.1"),
                requestID: "req_1", attempt: nil, decidedAt: .epoch)
            var needs = BatchNeeds()
            needs.commands = [key]
            let loaded = try await LedgerStore.load([try books.key("alice")], needs: needs, on: connection)
            #expect(loaded.decided.isEmpty)
            try await LedgerStore.write(BatchPlan(accounts: [], decided: [decision]), on: connection)
            let found = try await CommandStore.find(key, on: connection)
            #expect(found == decision)
            let error = await #expect(throws: PostgresError.self) {
                try await LedgerStore.write(BatchPlan(accounts: [], decided: [decision]), on: connection)
            }
            #expect(error?.constraint == "commands_pkey")
        }
    }

    @Test(
        "the database refuses to change or delete an entry",
        arguments: ["update entries set amount = 0", "delete from entries", "truncate entries"])
    func appendOnly(statement: String) async throws {
        try await withDatabase { connection, _ in
            let books = try await TestBooks(connection)
            try await books.apply([try books.grant(5)], to: "alice")
            await #expect(throws: PostgresError.self) { try await connection.script(statement) }
            #expect(try await rowCount("entries", connection) == 1)
        }
    }

    @Test(
        "the database refuses amounts that the rules forbid",
        arguments: [
            ("update blocks set remaining = -1", "blocks_amounts_ordered"),
            ("update blocks set remaining = original + 1", "blocks_amounts_ordered"),
            ("update blocks set held = remaining + 1", "blocks_amounts_ordered"),
            ("update blocks set open = false", "blocks_open_while_remaining"),
            ("update blocks set scheduled = true", "blocks_scheduled_before_start"),
            ("update blocks set starts_at = now(), expires_at = now()", "blocks_expire_after_start"),
            ("update accounts set balance = -1", "accounts_balance_covered"),
            ("update accounts set balance = 9007199254740992", "accounts_amounts_in_range"),
        ])
    func constraints(statement: String, constraint: String) async throws {
        try await withDatabase { connection, _ in
            let books = try await TestBooks(connection)
            try await books.apply([try books.grant(5)], to: "alice")
            let error = await #expect(throws: PostgresError.self) { try await connection.script(statement) }
            #expect(error?.constraint == constraint)
        }
    }
}

func rowCount(_ table: String, _ connection: PostgresConnection) async throws -> Int64 {
    try await connection.run(PostgresQuery(PostgresStatement("select count(*) from \(table)"))).first?.int64(0) ?? -1
}
