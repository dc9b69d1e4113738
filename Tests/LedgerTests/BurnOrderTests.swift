import Catalogue
import Credits
import Ledger
import Metering
import Testing

@Suite("Blocks burn in the order that the account's owner would choose")
struct BurnOrderTests {
    @Test("Soon expiring credits burn before later ones, never expiring ones last")
    func workedExample() throws {
        try ledger(
            """
            at 2026-04-11
            grant alice 3000 as free
            grant alice 24000 2026-04-18 as weekly
            grant alice 100000 2026-05-11 as monthly
            at 2026-04-12
            use alice 30000 -> ok
            blocks alice monthly 94000 free 3000
            last alice use -30000 balance 97000 from weekly 24000 monthly 6000
            """)
    }

    @Test("A lower priority burns first, whatever the expiries are")
    func priority() throws {
        try ledger(
            """
            grant alice 10 p50 +1d as soon
            grant alice 10 p49 as late
            grant alice 10 p0 +900d as first
            grant alice 10 p100 +1h as last
            blocks alice first 10 late 10 soon 10 last 10
            use alice 25
            last alice use -25 from first 10 late 10 soon 5
            """)
    }

    @Test("Plan grants have priority 10 and everything else 50")
    func defaultPriorities() throws {
        try ledger(
            """
            grant alice 1 p51 as p51
            grant alice 1 p50 as p50
            grant alice 1 topup as topup
            grant alice 1 promotional +1d as promotional
            grant alice 1 p11 as p11
            grant alice 1 plan as plan
            grant alice 1 p9 as p9
            grant alice 1 recurring as recurring
            grant alice 1 trial as trial
            grant alice 1 rollover as rollover
            grant alice 1 compensation as compensation
            grant alice 1 adjustment as adjustment
            grant alice 1 transfer as transfer
            grant alice 1 plan p50 as plan50
            blocks alice p9 1 plan 1 p11 1 promotional 1 p50 1 topup 1 recurring 1 trial 1 rollover 1 compensation 1 \
            adjustment 1 transfer 1 plan50 1 p51 1
            """)
    }

    @Test("Of blocks that are equal in all else the older burns first, and none are merged")
    func older() throws {
        try ledger(
            """
            grant alice 10 +1d as a
            grant alice 10 +1d as b
            grant alice 10 as c
            grant alice 10 as d
            use alice 15
            blocks alice b 5 c 10 d 10
            use alice 6
            last alice use -6 from b 5 c 1
            blocks alice c 9 d 10
            """)
    }

    @Test("An expiry one microsecond earlier burns first")
    func microsecond() throws {
        try ledger(
            """
            grant alice 10 +1d as later
            grant alice 10 +1d-1us as earlier
            use alice 1
            blocks alice earlier 9 later 10
            """)
    }

    @Test("Free blocks burn before paid ones of the same priority and expiry, also before older ones")
    func freeBeforePaid() throws {
        let paid = try block(1, isPaid: true)
        let free = try block(2)
        #expect(free.place < paid.place)
        #expect(paid.place > free.place)
        #expect(try block(1, isPaid: true).place < block(2, isPaid: true).place)
        #expect(try block(2, isPaid: true, since: 5).place < block(1, isPaid: true, since: 6).place)
        #expect(try block(2, since: 5, startsLater: true).place < block(1, since: 5).place)
        #expect(try block(1, since: 5, startsLater: true).place < block(2, since: 5, startsLater: true).place)
        #expect(try block(2, since: 9).place < block(1, isPaid: true, since: 5).place)
        #expect(try block(9, priority: 49, isPaid: true).place < free.place)
        #expect(try block(9, expiresAt: 5, isPaid: true).place < block(2, expiresAt: 6).place)
        #expect(try block(9, expiresAt: 5, isPaid: true).place < free.place)
    }

    @Test("The burn order is total: of any two blocks exactly one burns first, and it is transitive")
    func totalOrder() throws {
        var blocks: [Block] = []
        for priority: Int16 in [0, 10, 100] {
            for expiresAt: Int64? in [1, 2, nil] {
                for isPaid in [false, true] {
                    for _ in 0..<2 {
                        blocks.append(
                            try block(
                                Int32(blocks.count + 1), priority: priority, expiresAt: expiresAt, isPaid: isPaid))
                    }
                }
            }
        }
        for (left, first) in blocks.enumerated() {
            for (right, second) in blocks.enumerated() {
                #expect((first.place < second.place) == (left < right))
            }
        }
        #expect(BlockList(blocks.reversed()).map(\.number) == blocks.map(\.number))
    }

    @Test("A new free block takes its place before a paid one, and a charge takes it first")
    func grantBesidePaid() throws {
        let endUserID = try #require(EndUserID("alice"))
        let paid = try block(1, isPaid: true)
        let account = Account(
            id: AccountID(1), environmentID: EnvironmentID(1), endUserID: endUserID, version: 1, revision: 1,
            sums: AccountSums(
                balance: paid.remaining, reserved: .zero, overage: .zero, lifetimeGranted: paid.remaining),
            advancedTo: .epoch, blocks: BlockList([paid]))
        let book = AccountBook(blockCount: 1, reservationCount: 0, lastHash: .zero, salt: .zero)
        var draft = AccountDraft(account: account, book: book, profile: nil)
        _ = draft.apply(
            .grant(Grant(credits: paid.remaining)), idempotencyKey: nil, catalogue: Catalogue(),
            now: Instant(microseconds: 1))
        #expect(draft.account.blocks.map(\.number) == [2, 1])
    }

    @Test("A restricted block pays only for its features")
    func restricted() throws {
        try ledger(
            """
            price video 1
            price audio 1
            grant alice 100 p1 only video as video
            grant alice 50 p2 only video,audio as media
            grant alice 10 p3 as any
            spendable alice api 10
            spendable alice audio 60
            spendable alice video 160
            spendable alice nothing 10
            balance alice 160
            use alice 11 -> insufficient_credits 11 of 10
            use alice 55 audio -> ok
            last alice use -55 from media 50 any 5
            use alice 6 audio -> insufficient_credits 6 of 5
            use alice 102 video
            last alice use -102 from video 100 any 2
            use alice 3
            blocks alice
            balance alice 0
            """)
    }

    @Test("A charge never touches more blocks than it needs")
    func exactlyCovered() throws {
        try ledger(
            """
            grant alice 10 p1 as a
            grant alice 10 p2 as b
            use alice 10
            last alice use -10 balance 10 from a 10
            blocks alice b 10
            use alice 0
            last alice use 0 balance 10 from
            blocks alice b 10
            """)
    }

    private func block(
        _ number: Int32, priority: Int16 = 50, expiresAt: Int64? = nil, isPaid: Bool = false, since: Int64 = 0,
        startsLater: Bool = false
    ) throws -> Block {
        let credits = try Millicredits(Int64(10))
        return Block(
            number: number, original: credits, remaining: credits, held: .zero, priority: priority,
            expiresAt: expiresAt.map { Instant(microseconds: $0) }, isPaid: isPaid,
            since: Instant(microseconds: since), startsLater: startsLater)
    }
}
