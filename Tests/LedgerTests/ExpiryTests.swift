import Catalogue
import Credits
import Ledger
import Metering
import Testing

@Suite("Blocks expire at their instant, whenever the account is read")
struct ExpiryTests {
    @Test("A block is spendable before its instant and not at it")
    func exactInstant() throws {
        try ledger(
            """
            grant alice 10 2026-04-18 as week
            at 2026-04-17T23:59:59.999999Z
            spendable alice api 10
            use alice 4
            balance alice 6
            at 2026-04-18
            spendable alice api 0
            balance alice 0
            use alice 1 -> insufficient_credits 1 of 0
            last alice expire -6 balance 0 effective 2026-04-18 recorded 2026-04-18 from week 6
            entries alice 3
            """)
    }

    @Test("A check and a balance see the expiry without any command")
    func seenBeforeAnyCommand() throws {
        try ledger(
            """
            grant alice 10 +1h
            grant alice 5
            at +1h-1us
            check alice 15 -> allowed 15
            at +1us
            check alice 6 -> insufficient_credits 5
            balance alice 5
            entries alice 3
            """)
    }

    @Test("Late expiries are booked in due order, each at the instant at which it was due")
    func dueOrder() throws {
        try ledger(
            """
            grant alice 1 p1 2026-06-01 as june
            grant alice 2 p2 2026-05-01 as may
            grant alice 4 p0 2026-07-01 as july
            grant alice 8 p3 as never
            at 2026-05-15
            use alice 0
            last alice use 0 balance 13
            at 2026-08-01
            advance alice
            last alice expire -4 balance 8 effective 2026-07-01 recorded 2026-08-01 from july 4
            entries alice 8
            blocks alice never 8
            """)
        let draft = try draft(expiries: [30, 10, 20], advancedTo: 40)
        #expect(draft.entries.suffix(3).map(\.effectiveAt.microseconds) == [10, 20, 30])
        #expect(draft.entries.suffix(3).map(\.recordedAt.microseconds) == [40, 40, 40])
        #expect(draft.entries.suffix(3).map(\.amount) == [-2, -3, -1])
    }

    @Test("Blocks that expire at the same instant have an entry each")
    func sameInstant() throws {
        let draft = try draft(expiries: [10, 10, 10], advancedTo: 10)
        #expect(
            draft.entries.suffix(3).map(\.allocations) == [
                [Allocation(block: 1, amount: -1)], [Allocation(block: 2, amount: -2)],
                [Allocation(block: 3, amount: -3)],
            ])
        #expect(draft.account.blocks.isEmpty)
        #expect(draft.account.dueAt == nil)
    }

    @Test("A block that is spent does not expire again")
    func spent() throws {
        try ledger(
            """
            grant alice 10 +1d
            use alice 10
            at +2d
            advance alice
            entries alice 2
            balance alice 0
            """)
    }

    @Test("A block expires before a command of the same instant can spend it")
    func beforeTheCommand() throws {
        try ledger(
            """
            grant alice 10 p1 +1d as day
            grant alice 10 p2 as never
            at +1d
            use alice 10
            last alice use -10 from never 10
            entries alice 4
            """)
    }

    @Test("An event that occurred before the expiry cannot spend what has expired since")
    func lateEvent() throws {
        try ledger(
            """
            grant alice 10 +1d
            at +2d
            use alice 1 occurred -2d -> insufficient_credits 1 of 0
            balance alice 0
            """)
    }

    @Test("A clock that steps back leaves the account where it was")
    func clockBackwards() throws {
        try ledger(
            """
            grant alice 10 +1d as day
            at +1d
            advance alice
            grant alice 5 +1h as hour
            at -2d
            spendable alice api 5
            use alice 5
            last alice use -5 balance 0 effective +2d recorded +2d from hour 5
            grant alice 1 +2d -> expires_in_the_past
            grant alice 1 +2d+1us -> ok
            """)
    }

    @Test("The next due instant is the earliest expiry of the remaining blocks")
    func dueAt() throws {
        #expect(try draft(expiries: [], advancedTo: 0).account.dueAt == nil)
        #expect(try draft(expiries: [30, 10, 20], advancedTo: 0).account.dueAt?.microseconds == 10)
        #expect(try draft(expiries: [30, 10, 20], advancedTo: 9).account.dueAt?.microseconds == 10)
        #expect(try draft(expiries: [30, 10, 20], advancedTo: 10).account.dueAt?.microseconds == 20)
        #expect(try draft(expiries: [30, 10, 20], advancedTo: 30).account.dueAt == nil)
        #expect(try !draft(expiries: [10], advancedTo: 0).account.hasDue(at: Instant(microseconds: 9)))
        #expect(try draft(expiries: [10], advancedTo: 0).account.hasDue(at: Instant(microseconds: 10)))
    }

    @Test("An advance with nothing due writes nothing")
    func nothingDue() throws {
        let before = try draft(expiries: [10], advancedTo: 0)
        var after = AccountDraft(account: before.account, profile: before.profile)
        after.advance(to: Instant(microseconds: 9), in: Catalogue())
        #expect(!after.isChanged)
        #expect(after.entries.isEmpty)
        #expect(after.account.advancedTo.microseconds == 9)
        #expect(after.account.revision == before.account.revision)
        after.advance(to: Instant(microseconds: 10), in: Catalogue())
        #expect(after.isChanged)
        after.advance(to: Instant(microseconds: 3), in: Catalogue())
        #expect(after.account.advancedTo.microseconds == 10)
    }

    /// An account with blocks of 1, 2, 3, … mc with these expiries, in µs.
    private func draft(expiries: [Int64], advancedTo: Int64) throws -> AccountDraft {
        let account = Account(
            id: AccountID(1), environmentID: EnvironmentID(1), endUserID: try #require(EndUserID("alice")))
        var draft = AccountDraft(account: account, profile: nil)
        for (index, expiry) in expiries.enumerated() {
            let grant = Grant(credits: try Millicredits(Int64(index + 1)), expiry: .at(Instant(microseconds: expiry)))
            let outcome = draft.apply(
                .grant(grant), idempotencyKey: nil, catalogue: Catalogue(), now: Instant(microseconds: 0))
            guard case .granted = outcome else { throw ScriptError("not granted") }
        }
        draft.advance(to: Instant(microseconds: advancedTo), in: Catalogue())
        return draft
    }
}
