import Catalogue
import Credits
import Ledger
import Testing

@Suite("A grant that starts later lands by itself")
struct ScheduledGrantTests {
    @Test("Until its start a block counts in no sum; at it the credits come in, as an entry that was due then")
    func landing() throws {
        try ledger(
            """
            grant alice 100 starts +1h as later
            block alice later scheduled remaining 0 original 100 arrives +1h
            scheduled alice later
            blocks alice
            balance alice 0
            lifetime alice 0
            entries alice 0
            spendable alice api 0
            due alice +1h
            use alice 1 -> insufficient_credits 1 of 0
            at +1h-1us
            balance alice 0
            check alice 1 -> insufficient_credits
            at +1us
            balance alice 100              # no command and no scheduler has run
            lifetime alice 100
            check alice 100
            at +2h
            use alice 30
            entry alice e1 grant 100 balance 100 effective -2h recorded +0s to later 100
            last alice use -30 balance 70
            scheduled alice
            block alice later remaining 70
            """)
    }

    @Test("A start that is not after now lands at once")
    func atOnce() throws {
        try ledger(
            """
            grant alice 10 starts +0s as now
            last alice grant 10 balance 10 effective +0s recorded +0s to now 10
            grant alice 20 starts -1us
            grant alice 30 starts 1999-01-01
            balance alice 60
            scheduled alice
            grant alice 40 starts +1us
            balance alice 60
            entries alice 3
            """)
    }

    @Test("A duration counts from the start, and an expiry lies after the start")
    func expiry() throws {
        try ledger(
            """
            grant alice 1 starts +1h PT1H as a
            block alice a expires +2h
            grant alice 2 starts -1h PT2H as b
            block alice b expires +1h
            grant alice 4 starts -2h PT2H -> ends_in_the_past
            grant alice 4 starts -3h PT2H -> ends_in_the_past
            grant alice 4 starts +1h +1h -> expires_before_start
            grant alice 4 starts +1h +30m -> expires_before_start
            grant alice 4 starts +1h +0s -> expires_in_the_past
            grant alice 4 starts -1h -1h -> expires_in_the_past
            grant alice 8 starts +1h +1h+1us as c
            entries alice 1
            at +3h
            advance alice
            log alice grant expire grant grant expire expire
            entry alice e2 expire -2 balance 0 effective -2h
            entry alice e3 grant 1 balance 1 effective -2h to a 1
            entry alice e4 grant 8 balance 9 effective -2h to c 8
            entry alice e5 expire -8 balance 1 effective -2h+1us
            entry alice e6 expire -1 balance 0 effective -1h
            """)
    }

    @Test("At one instant holds lapse and blocks expire before grants land, and grants land by number")
    func sameInstant() throws {
        try ledger(
            """
            grant alice 5 starts +1h as first
            grant alice 50 +1h as old
            reserve alice 20 ttl 3600
            grant alice 6 starts +1h as second
            at +2h
            advance alice
            log alice release expire grant grant
            last alice grant 6 balance 11 effective -1h to second 6
            entry alice e5 grant 5 balance 5 effective -1h to first 5
            """)
    }

    @Test("The age in the burn order counts from the landing, which comes before a command of the same instant")
    func age() throws {
        try ledger(
            """
            grant alice 1 starts +2h as c
            grant alice 1 starts +1h as b
            grant alice 1 as a
            at +1h
            grant alice 1 as later
            at +1h
            grant alice 1 as last
            blocks alice a 1 b 1 later 1 c 1 last 1
            grant alice 1 p1 starts +1h as urgent
            at +1h
            blocks alice urgent 1 a 1 b 1 later 1 c 1 last 1
            use alice 3
            last alice use -3 from urgent 1 a 1 b 1
            """)
    }

    @Test("Credits that land settle overage at the instant of the landing; restricted ones settle nothing")
    func overage() throws {
        try ledger(
            """
            config policy allow
            use alice 30
            grant alice 100 starts +1h as later
            grant alice 100 starts +30m only api as bound
            overage alice 30
            at +2h
            advance alice
            entry alice e2 grant 100 balance 70 effective -90m to bound 100
            entry alice e3 grant 100 balance 170 effective -1h to later 100
            entry alice e4 settle 0 balance 170 overage -30 effective -1h from later 30
            blocks alice bound 100 later 70
            """)
    }

    @Test("A block revoked before its landing never lands, and the revocation makes no entry")
    func revocation() throws {
        try ledger(
            """
            grant alice 100 starts +1h as later
            revoke alice later -> ok 100
            block alice later revoked remaining 0
            revoke alice later -> ok 0
            entries alice 0
            scheduled alice
            at +2h
            balance alice 0
            lifetime alice 0
            grant alice 7 starts +1h as other
            at +1h
            revoke alice other -> ok 7             # it landed at this very instant
            last alice revoke -7 balance 0 from other 7
            entries alice 2
            """)
    }

    @Test("Scheduled credits count when credits come in, so that they have room when they land")
    func range() throws {
        try ledger(
            """
            grant alice 9007199254740000 starts +1h as huge
            grant alice 992 -> amount_out_of_range
            grant alice 992 starts +2h -> amount_out_of_range
            topup alice 992 -> amount_out_of_range
            adjust alice 992 -> amount_out_of_range
            grant bob 992
            transfer bob alice 992 -> amount_out_of_range
            grant alice 991
            grant alice 1 starts +2h -> amount_out_of_range
            revoke alice huge -> ok 9007199254740000
            grant alice 992
            grant carol max starts +1h
            at +1h
            balance carol 9007199254740991
            lifetime carol 9007199254740991
            """)
    }

    @Test("A transfer takes no scheduled credits, and an end user on a test clock gets them when the clock passes")
    func clocks() throws {
        try ledger(
            """
            grant alice 100 starts +1h
            transfer alice bob 1 -> insufficient_credits 1 of 0
            at +1h
            transfer alice bob 1
            clock 1 +0s
            create carol clock 1
            grant carol 10 starts +1d as later
            at +2d
            balance carol 0
            clock 1 -1d
            balance carol 10
            use carol 4
            entry carol e1 grant 10 balance 10 effective -1d recorded -1d
            grant dave 5 starts +9d as far
            clock 2 +30d
            create dave clock 2
            balance dave 5
            entry dave e1 grant 5 balance 5 effective +9d recorded +30d
            """)
    }

    @Test("Scheduled and open blocks together are at most 10,000")
    func count() throws {
        let later = Instant(microseconds: 9_000)
        var draft = try AccountDraft.crowded(until: later)
        func grant(_ startsAt: Instant?) throws -> Outcome {
            draft.apply(
                .grant(Grant(credits: try Millicredits(Int64(1)), startsAt: startsAt)), idempotencyKey: nil,
                catalogue: Catalogue(), now: .epoch)
        }
        guard case .granted = try grant(nil) else { throw ScriptError("the 10,000th block is refused") }
        #expect(try grant(nil) == .refused(.tooMany(.blocks)))
        #expect(try grant(later) == .refused(.tooMany(.blocks)))
        #expect(draft.openRows == 10_000)
    }

    @Test("A start after the last instant is refused")
    func endOfTime() throws {
        var draft = AccountDraft(
            account: Account(
                id: AccountID(1), environmentID: EnvironmentID(1), endUserID: try #require(EndUserID("alice"))),
            profile: nil)
        func grant(_ startsAt: Instant, _ expiry: Grant.Expiry = .never) throws -> Outcome {
            draft.apply(
                .grant(Grant(credits: try Millicredits(Int64(1)), startsAt: startsAt, expiry: expiry)),
                idempotencyKey: nil, catalogue: Catalogue(), now: .epoch)
        }
        let day = try #require(CalendarDuration(iso8601: "P1D"))
        #expect(
            try grant(Instant(microseconds: Instant.latest.microseconds + 1))
                == .refused(.startsTooLate(now: .epoch)))
        #expect(try grant(.latest, .after(day)) == .refused(.expiresTooLate(now: .epoch)))
        guard case .granted(let granted, nil, _) = try grant(.latest) else {
            throw ScriptError("a start at the last instant is refused")
        }
        #expect(granted.block.since == .latest && granted.startsAt == .latest)
    }

    @Test("The entry of a landing carries the reason, the metadata and the payment of the grant, and no key")
    func cause() throws {
        let metadata = Metadata(canonicalJSON: #"{"a":1}"#)
        let later = Instant(microseconds: 5_000)
        let account = Account(
            id: AccountID(1), environmentID: EnvironmentID(1), endUserID: try #require(EndUserID("alice")))
        var draft = AccountDraft(account: account, profile: nil)
        let grant = Grant(
            credits: try Millicredits(Int64(3)), startsAt: later, payment: Payment(externalID: "pay_1"),
            reason: "march", metadata: metadata)
        _ = draft.apply(.grant(grant), idempotencyKey: "k", catalogue: Catalogue(), now: .epoch)
        #expect(draft.entries.isEmpty && draft.account.revision == 1 && draft.profile != nil)
        let read = try #require(draft.grantedBlocks.first)
        let expected = EntryCause(
            reason: "march", metadata: metadata, details: EntryDetails(externalPaymentID: "pay_1"))
        // In the batch of the grant, and in a later one that has loaded the block.
        var next = AccountDraft(account: draft.account, book: draft.book, profile: draft.profile)
        next.history.blocks = [1: read]
        for batch in [draft, next] {
            var batch = batch
            batch.advance(to: later, in: Catalogue())
            #expect(batch.entries.map(\.cause) == [expected])
            #expect(batch.account.scheduled.isEmpty && batch.account.balance == grant.credits)
            #expect(batch.account.revision == 2)
        }
    }

    @Test("A list of scheduled blocks keeps the order of landing and the sum of the credits, whatever is set")
    func list() throws {
        func block(_ number: Int32, at: Int64, isScheduled: Bool = true, credits: Int64 = 10) throws -> Block {
            Block(
                number: number, original: try Millicredits(credits), remaining: .zero, held: .zero, priority: 50,
                expiresAt: nil, isPaid: false, since: Instant(microseconds: at), startsLater: true,
                isScheduled: isScheduled)
        }
        var list = ScheduledBlocks([try block(3, at: 5), try block(2, at: 9)])
        list.set(try block(1, at: 5))
        #expect(list.map(\.number) == [1, 3, 2] && list.credits == 30)
        list.set(try block(3, at: 5, isScheduled: false))
        #expect(list.map(\.number) == [1, 2] && list.credits == 20 && list.block(3) == nil)
        list.set(try block(3, at: 5, isScheduled: false))
        list.set(try block(1, at: 20, credits: 4))
        #expect(list.map(\.number) == [2, 1] && list.credits == 14)
        #expect(list.block(1)?.since == Instant(microseconds: 20))
        #expect(list == ScheduledBlocks([try block(1, at: 20, credits: 4), try block(2, at: 9)]))
    }
}
