import Catalogue
import Credits
import Ledger
import Metering
import Testing

@Suite("A grant makes one block")
struct GrantTests {
    @Test("Balance and lifetime rise by the grant; spending lowers only the balance")
    func sums() throws {
        try ledger(
            """
            grant alice 100
            balance alice 100
            lifetime alice 100
            last alice grant 100 balance 100 effective +0s recorded +0s
            use alice 40
            grant alice 1 +1h
            at +1h
            advance alice
            balance alice 60
            lifetime alice 101
            entries alice 4
            """)
    }

    @Test("A duration runs from the grant, in calendar months")
    func durations() throws {
        try ledger(
            """
            at 2026-01-31T12:00:00Z
            grant alice 1 P1M as month
            grant alice 2 P1MT12H as more
            grant alice 4 PT5H as hours
            grant alice 8 P1M1D as days
            at 2026-01-31T16:59:59.999999Z
            balance alice 15
            at +1us
            balance alice 11
            at 2026-02-28T12:00:00Z
            balance alice 10
            at 2026-03-01
            balance alice 8
            at 2026-03-01T12:00:00Z
            balance alice 0
            """)
    }

    @Test("A grant that is past its expiry already, or at it, is refused")
    func expiresInThePast() throws {
        try ledger(
            """
            grant alice 1 -1us -> expires_in_the_past
            grant alice 1 +0s -> expires_in_the_past
            grant alice 1 1999-01-01 -> expires_in_the_past
            grant alice 1 +1us -> ok
            entries alice 1
            balance alice 1
            """)
    }

    @Test("A grant restricted to a missing or an archived feature is refused")
    func unknownFeature() throws {
        try ledger(
            """
            price old 1
            archive old
            feature new
            grant alice 1 only api,nothing -> unknown_feature
            grant alice 1 only old -> unknown_feature
            grant alice 1 only new,api -> ok
            entries alice 1
            """)
    }

    @Test("A balance up to 2^53 − 1 is accepted, and one beyond is refused")
    func balanceRange() throws {
        try ledger(
            """
            grant alice max
            grant alice 1 -> amount_out_of_range
            balance alice 9007199254740991
            grant bob 9007199254740990
            grant bob 2 -> amount_out_of_range
            grant bob 1
            """)
    }

    @Test("The lifetime total stays in range too, even when the credits are spent")
    func lifetimeRange() throws {
        try ledger(
            """
            grant alice max
            use alice max
            balance alice 0
            grant alice 1 -> amount_out_of_range
            lifetime alice 9007199254740991
            entries alice 2
            """)
    }

    @Test("Refusals come in their order of precedence")
    func precedence() throws {
        try ledger(
            """
            grant alice max
            grant alice 1 +0s only nothing -> expires_in_the_past
            grant alice 1 +1s only nothing -> unknown_feature
            grant alice 1 +1s only api -> amount_out_of_range
            """)
    }

    @Test("A block records what was granted, in numbers that follow each other")
    func block() throws {
        var draft = try Self.draft()
        let feature = try #require(FeatureKey("api"))
        var catalogue = Catalogue()
        catalogue.features[feature] = Feature(key: feature)
        let now = Instant(microseconds: 1_000)
        let metadata = Metadata(canonicalJSON: #"{"a":1}"#)
        let credits = try Millicredits(Int64(25))
        let grant = Grant(
            credits: credits, source: .compensation, priority: 7, expiry: .at(Instant(microseconds: 2_000)),
            featureKeys: [feature], reason: "sorry", metadata: metadata)
        for number: Int32 in 1...3 {
            let outcome = draft.apply(.grant(grant), idempotencyKey: "k\(number)", catalogue: catalogue, now: now)
            guard case .granted(let granted, let entry, let balances) = outcome else {
                Issue.record("\(outcome)")
                return
            }
            #expect(
                granted.block
                    == Block(
                        number: number, original: credits, remaining: credits, held: .zero, priority: 7,
                        expiresAt: Instant(microseconds: 2_000), isPaid: false, featureSet: FeatureSet([feature]),
                        since: now))
            #expect(granted.source == .compensation)
            #expect(granted.reason == "sorry")
            #expect(granted.metadata == metadata)
            #expect(granted.createdAt == now)
            #expect(entry?.cause == EntryCause(idempotencyKey: "k\(number)", reason: "sorry", metadata: metadata))
            #expect(entry?.allocations == [Allocation(block: number, amount: 25)])
            #expect(balances.balance == 25 * Int64(number))
            #expect(balances == entry?.balancesAfter)
        }
        #expect(draft.grantedBlocks.map(\.block.number) == [1, 2, 3])
    }

    @Test("The first mutation of an end user makes the end user; a refusal does not")
    func endUserComesIntoBeing() throws {
        let now = Instant(microseconds: 1_000)
        var draft = try Self.draft()
        let refused = draft.apply(
            .grant(Grant(credits: .max, expiry: .at(now))), idempotencyKey: nil, catalogue: Catalogue(), now: now)
        #expect(refused == .refused(.expiresInThePast(now, now: now)))
        #expect(draft.profile == nil)
        #expect(!draft.isChanged)
        _ = draft.apply(.grant(Grant(credits: .max)), idempotencyKey: nil, catalogue: Catalogue(), now: now)
        #expect(draft.profile == EndUserProfile(name: nil, metadata: nil, createdAt: now, updatedAt: now))
        #expect(draft.isChanged)
    }

    @Test("An end user's profile is created once, changed by what is given, and makes no entry")
    func profile() throws {
        var draft = try Self.draft()
        let metadata = Metadata(canonicalJSON: "{}")
        func apply(_ action: AccountAction, at microseconds: Int64) -> Outcome {
            draft.apply(
                action, idempotencyKey: nil, catalogue: Catalogue(), now: Instant(microseconds: microseconds))
        }
        #expect(apply(.updateEndUser(EndUserChange()), at: 1) == .refused(.unknownEndUser))
        #expect(!draft.isChanged)
        var expected = EndUserProfile(
            name: "Alice", metadata: nil, createdAt: Instant(microseconds: 2), updatedAt: Instant(microseconds: 2))
        #expect(
            apply(.createEndUser(EndUserChange(name: .set("Alice"))), at: 2) == .endUser(expected, .none, created: true)
        )
        expected = EndUserProfile(
            name: "Alice", metadata: metadata, createdAt: Instant(microseconds: 2),
            updatedAt: Instant(microseconds: 3))
        #expect(
            apply(.updateEndUser(EndUserChange(metadata: .set(metadata))), at: 3)
                == .endUser(expected, .none, created: false))
        expected = EndUserProfile(
            name: nil, metadata: metadata, createdAt: Instant(microseconds: 2), updatedAt: Instant(microseconds: 4))
        #expect(
            apply(.updateEndUser(EndUserChange(name: .set(nil))), at: 4) == .endUser(expected, .none, created: false))
        #expect(draft.entries.isEmpty)
        #expect(draft.account.revision == 3)
        #expect(draft.profile == expected)
    }

    @Test(
        "a block number that no block has is refused beside grants of the same batch",
        arguments: [.min, -1, 0, 2, .max])
    func unknownBlock(number: Int32) throws {
        var draft = try Self.draft()
        let now = Instant(microseconds: 1)
        _ = draft.apply(
            .grant(Grant(credits: try Millicredits(Int64(5)))), idempotencyKey: nil, catalogue: Catalogue(), now: now)
        let outcome = draft.apply(
            .revoke(Revocation(block: number)), idempotencyKey: nil, catalogue: Catalogue(), now: now)
        #expect(outcome == .refused(.unknownBlock(number)))
    }

    private static func draft() throws -> AccountDraft {
        AccountDraft(
            account: Account(
                id: AccountID(1), environmentID: EnvironmentID(1), endUserID: try #require(EndUserID("alice"))),
            profile: nil)
    }
}
