import Catalogue
import Credits
import Ledger
import Testing

/// In scripts an erased end user is kept as `alice.1`, with the number of the erasure.
@Suite("An erasure closes an account, which keeps its credits and its entries")
struct ErasureTests {
    @Test("Holds are given back, scheduled grants never land, settings and limits are gone, and the credits stay")
    func effects() throws {
        try ledger(
            """
            grant alice 100
            grant alice 50 starts +1h as later
            reserve alice 30
            reserve alice 20
            cap alice 5 per day
            set alice policy allow name A
            erase alice -> ok
            entries alice.1 5
            balance alice.1 100
            effective alice.1 100
            reserved alice.1 0
            scheduled alice.1
            at +2h
            advance alice.1
            balance alice.1 100
            entries alice.1 5
            """)
    }

    @Test("Nobody can change an erased account, nor send credits to it")
    func closed() throws {
        try ledger(
            """
            grant alice 100
            grant bob 10
            reserve alice 30
            erase alice
            grant alice.1 1 -> unknown_end_user
            topup alice.1 1 -> unknown_end_user
            use alice.1 1 -> unknown_end_user
            refund alice.1 e1 -> unknown_end_user
            revoke alice.1 b1 -> unknown_end_user
            adjust alice.1 5 -> unknown_end_user
            reserve alice.1 1 -> unknown_end_user
            release alice.1 r1 -> unknown_end_user
            cap alice.1 5 per day -> unknown_end_user
            create alice.1 -> unknown_end_user
            set alice.1 name A -> unknown_end_user
            transfer alice.1 bob 1 -> unknown_end_user
            transfer bob alice.1 1 -> unknown_end_user
            erase alice.1 -> unknown_end_user
            balance alice.1 100
            entries alice.1 3
            balance bob 10
            """)
    }

    @Test("The id belongs to a new end user, and an end user who does not exist cannot be erased")
    func again() throws {
        try ledger(
            """
            erase alice -> unknown_end_user
            grant alice 100
            erase alice
            erase alice -> unknown_end_user
            balance alice 0
            grant alice 7
            balance alice 7
            entries alice 1
            erase alice
            balance alice.2 7
            balance alice.1 100
            """)
    }

    @Test("What is left still expires, as an entry that names nobody")
    func expiry() throws {
        try ledger(
            """
            grant alice 100 +1d
            erase alice
            at +2d
            advance alice.1
            entries alice.1 2
            balance alice.1 0
            """)
    }

    @Test("The opaque id follows from the account's number alone, and no other id is taken for one")
    func opaqueID() throws {
        let id = EndUserID(erased: AccountID(7))
        #expect(id.rawValue == "erased_0000000000003g000000000000" && id.isErased)
        for text in ["erased_", "erased_7", "erased_z000000000003g000000000000", "Erased_0000000000003g000000000000"] {
            #expect(try !#require(EndUserID(text)).isErased, "\(text)")
        }
    }

    @Test("An erasure keeps the chain: entries of before have the old id and salt, entries after it neither")
    func chain() throws {
        var draft = AccountDraft(
            account: Account(
                id: AccountID(7), environmentID: EnvironmentID(1), endUserID: try #require(EndUserID("alice"))),
            profile: nil)
        let now = Instant(microseconds: 1_700_000_000_000_000)
        let grant = Grant(credits: try Millicredits(5), expiry: .at(now.adding(seconds: 60)), reason: "hello")
        for action in [.grant(grant), .eraseEndUser] as [AccountAction] {
            _ = draft.apply(action, idempotencyKey: "key", catalogue: Catalogue(), now: now)
        }
        draft.advance(to: now.adding(seconds: 60), in: Catalogue())
        let erasure = try #require(draft.erasure)
        #expect(erasure.upTo == 1 && erasure.owner.endUserID.rawValue == "alice" && erasure.owner.salt == .zero)
        #expect(draft.book.salt == nil && draft.account.endUserID.isErased && draft.profile?.erasedAt == now)
        let opaque = EntryOwner(account: AccountID(7), endUserID: draft.account.endUserID, salt: nil)
        #expect(draft.entries[0].expectedHash(after: .zero, of: erasure.owner) == draft.entries[0].hash)
        #expect(draft.entries[0].expectedHash(after: .zero, of: opaque) == nil)
        #expect(
            draft.entries[1].expectedHash(after: draft.entries[0].hash, of: opaque) == draft.entries[1].hash)
    }
}
