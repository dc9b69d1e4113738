import Catalogue
import Credits
import Ledger
import Metering
import Testing

@Suite("A refund reverses a use or a commit")
struct RefundTests {
    @Test("Credits go back to the blocks that they came from, the last taken first")
    func lastTakenFirst() throws {
        try ledger(
            """
            grant alice 30 p1 as first
            grant alice 30 p2 as second
            grant alice 30 p3 as third
            use alice 70
            refund alice e4 credits 15 -> ok 15
            last alice refund 15 balance 35 to third 10 second 5 refunds e4
            refund alice e4 credits 30
            last alice refund 30 to second 25 first 5 refunds e4
            refund alice e4 -> ok 25
            last alice refund 25 balance 90 to first 25
            """)
    }

    @Test("It never returns more than the charge took in total")
    func notMore() throws {
        try ledger(
            """
            grant alice 100
            use alice 70
            refund alice e2 credits 71 -> already_refunded 70
            refund alice e2 credits 50
            refund alice e2 credits 21 -> already_refunded 20
            refund alice e2
            refund alice e2 -> already_refunded 0
            refund alice e2 credits 1 -> already_refunded 0
            balance alice 100
            entries alice 4
            """)
    }

    @Test("The last units return the rest of the charge")
    func lastUnits() throws {
        try ledger(
            """
            grant alice 100
            use alice 10
            refund alice e2 credits 5
            refund alice e2 units 4 -> ok 4
            refund alice e2 units 6 -> ok 1
            balance alice 100
            """)
    }

    @Test("A refund by units returns shares of the charge, rounded so that all units return all credits")
    func units() throws {
        try ledger(
            """
            price tokens 1 per 3
            grant alice 100
            use alice 10 tokens -> ok 4
            refund alice e2 units 4 -> ok 1
            last alice refund 1 units 4
            refund alice e2 units 4 -> ok 2
            refund alice e2 units 3 -> already_refunded 1
            refund alice e2 units 2 -> ok 1
            refund alice e2 units 1 -> already_refunded 0
            balance alice 100
            """)
    }

    @Test("A charge of 0 cannot be refunded, nor an entry that is not a charge of this end user")
    func nothing() throws {
        try ledger(
            """
            grant alice 10
            use alice 0
            refund alice e2 -> already_refunded 0
            refund alice e1 -> unknown_charge 1
            refund alice e3 -> unknown_charge 3
            refund bob e2 -> unknown_charge 2
            """)
    }

    @Test("Credits of an expired block become a compensation block for 30 days, or for the stated time")
    func expired() throws {
        try ledger(
            """
            grant alice 30 +1h p1 only api as short
            grant alice 30 p2 as long
            use alice 50
            at +1h
            refund alice e3 -> ok 50 0 0 3
            last alice refund 50 to long 20 b3 30
            block alice b3 source compensation priority 50 expires 2026-05-12T01:00:00Z free only api original 30
            lifetime alice 60
            use alice 50
            refund alice e5 until never
            block alice b3 remaining 30
            at +60d
            balance alice 30
            """)
    }

    @Test("A stated expiry of a compensation must be in the future")
    func statedExpiry() throws {
        try ledger(
            """
            grant alice 10 +1h
            grant alice 10
            use alice 15
            at +1h
            refund alice e3 until +0s -> expires_in_the_past
            refund alice e3 until P1D
            block alice b3 expires +1d remaining 10
            """)
    }

    @Test("Compensation has a block for each restriction, unrestricted credits first")
    func restrictions() throws {
        try ledger(
            """
            price video 1
            grant alice 10 p1 +1h only video
            grant alice 10 p2 +1h only api,video
            grant alice 10 p3 +1h
            grant alice 10 p4 +1h only video
            use alice 40 video
            at +1h
            refund alice e5 -> ok 40 0 0 5 6 7
            block alice b5 original 10 source compensation
            block alice b6 original 20 only video
            block alice b7 original 10 only api,video
            last alice refund 40 to b6 20 b5 10 b7 10
            """)
    }

    @Test("Credits of a revoked block are forfeited, and count as refunded")
    func revoked() throws {
        try ledger(
            """
            grant alice 30 p1 as kept
            grant alice 30 p2 as back
            use alice 50
            revoke alice back
            refund alice e3 -> ok 50 0 20
            last alice refund 30 balance 30 forfeited 20 to kept 30
            refund alice e3 -> already_refunded 0
            block alice back remaining 0 revoked
            """)
    }

    @Test("A refund reduces the charge's overage, then refills blocks, then returns overage that was settled since")
    func overage() throws {
        try ledger(
            """
            create alice policy allow
            grant alice 20 as own
            use alice 100                       # 20 of the block, 80 owed
            grant alice 30                      # settles 30 of them
            overage alice 50
            refund alice e2 credits 40 -> ok 40 40 0
            last alice refund 40 balance -10 overage -40 to
            refund alice e2 credits 25 -> ok 25 10 0
            last alice refund 25 balance 15 overage -10 to own 15
            refund alice e2 -> ok 35 0 0 3
            last alice refund 35 balance 50 to own 5 b3 30
            block alice b3 source compensation original 30 expires +30d
            """)
    }

    @Test("Unrestricted compensation settles other overage")
    func compensationSettles() throws {
        try ledger(
            """
            create alice policy allow
            grant alice 10 +1h
            use alice 10
            at +1h
            use alice 4
            refund alice e2
            entry alice e4 refund 10 balance 6 to b2 10
            last alice settle 0 balance 6 overage -4 from b2 4
            """)
    }

    @Test("The oldest debt is settled first")
    func oldestDebt() throws {
        try ledger(
            """
            create alice policy allow
            use alice 10
            use alice 10
            grant alice 15                      # all of the first, half of the second
            refund alice e2 -> ok 10 5 0 2
            refund alice e1 -> ok 10 0 0 3
            overage alice 0
            balance alice 15
            """)
    }

    @Test("Period tiers, quotas and caps do not move back")
    func nothingMovesBack() throws {
        try ledger(
            """
            price calls period 10@10 *@1
            feature calls quota 20/day
            cap alice 1000 per day
            grant alice 1000
            use alice 10 calls -> ok 100
            refund alice e2
            use alice 1 calls -> ok 1
            quota alice calls 11
            spent alice 1 101
            use alice 10 calls -> quota_exceeded
            """)
    }

    @Test("A commit is refunded like a use; the commits of one reservation together")
    func commits() throws {
        try ledger(
            """
            grant alice 100 as block
            reserve alice 40
            commit alice r1 30
            refund alice e3 units 10 -> ok 10
            last alice refund 10 to block 10 reservation r1 refunds e3
            reserve alice 20
            progress alice r2 5
            commit alice r2 12
            log alice reserve commit commit
            refund alice e6 credits 8 -> ok 8
            entry alice e8 refund 7 refunds e7
            last alice refund 1 refunds e6
            refund alice e7 credits 5 -> already_refunded 4
            refund alice e6 -> ok 4
            balance alice 80
            """)
    }

    @Test("A balance that would leave its range is refused")
    func range() throws {
        try ledger(
            """
            grant alice 10
            use alice 10
            grant bob max
            use bob 5
            refund bob e2 credits 6 -> already_refunded 5
            refund bob e2
            balance bob 9007199254740991
            """)
    }

    @Test("A refund that would open a block beyond the 10,000th is refused")
    func mostBlocks() throws {
        var (draft, catalogue) = (try AccountDraft.crowded(until: .latest), Catalogue())
        let credit = try Millicredits(Int64(1))
        let feature = try Self.sell(.flat(amount: credit), in: &catalogue)
        func apply(_ action: AccountAction, at seconds: Int64) -> Outcome {
            draft.apply(
                action, idempotencyKey: nil, catalogue: catalogue, now: Instant.epoch.adding(seconds: seconds))
        }
        _ = apply(.grant(Grant(credits: credit, expiry: .at(Instant.epoch.adding(seconds: 60)))), at: 0)
        guard case .used(let use, _) = apply(.use(UsageEvent(featureKey: feature, units: 1)), at: 0) else {
            throw ScriptError("the use is refused")
        }
        _ = apply(.grant(Grant(credits: credit)), at: 90)
        let refund = AccountAction.refund(Refund(account: AccountID(1), charge: use.sequence))
        #expect(apply(refund, at: 90) == .refused(.tooMany(.blocks)))
        _ = apply(.use(UsageEvent(featureKey: feature, units: 1)), at: 90)
        guard case .refunded(let result, _) = apply(refund, at: 90) else {
            throw ScriptError("the refund is refused")
        }
        #expect(result.compensation.count == 1)
    }

    @Test(
        "A report that gives credits back is refused while the account has no place for a block that may have to take them"
    )
    func givenBackToFullAccount() throws {
        var (draft, catalogue) = (try AccountDraft.crowded(until: .latest), Catalogue())
        let feature = try Self.sell(
            .volume([
                Tier(upTo: 10, unitCost: try Millicredits(Int64(9))),
                Tier(upTo: nil, unitCost: try Millicredits(Int64(2))),
            ]), in: &catalogue)
        func apply(_ action: AccountAction) -> Outcome {
            draft.apply(action, idempotencyKey: nil, catalogue: catalogue, now: .epoch)
        }
        func units(_ number: Int64) -> Demand { .measured(.units(number), .none) }
        _ = apply(.grant(Grant(credits: try Millicredits(Int64(1_000)))))
        _ = apply(.reserve(ReservationRequest(featureKey: feature, estimate: units(10))))
        _ = apply(.reservation(1, .progress(units(10))))
        for report in [ReservationAction.progress(units(11)), .commit(units(11), shortfall: nil)] {
            #expect(apply(.reservation(1, report)) == .refused(.tooMany(.blocks)))
        }
        guard case .reservationChanged(let job, _, _) = apply(.reservation(1, .commit(units(10), shortfall: nil)))
        else { throw ScriptError("the commit is refused") }
        #expect(job.charged.rawValue == 90)
    }

    /// Adds a feature with a price to a catalogue.
    private static func sell(_ model: PricingModel, in catalogue: inout Catalogue) throws -> FeatureKey {
        let feature = try #require(FeatureKey("calls"))
        catalogue.features[feature] = Feature(key: feature)
        catalogue.prices[feature] = PriceList([
            MeteringRule(
                id: PublicID(.rule, Bits128(high: 1, low: 1)), featureKey: feature, version: 1, price: Price(model),
                effectiveFrom: .epoch)
        ])
        return feature
    }
}

extension AccountDraft {
    /// An account with 9,999 scheduled blocks, one fewer than it may have.
    ///
    /// - Parameter start: The instant at which they land.
    static func crowded(until start: Instant) throws -> AccountDraft {
        let scheduled = (1...9_999).map { number in
            Block(
                number: Int32(number), original: .zero, remaining: .zero, held: .zero, priority: 50, expiresAt: nil,
                isPaid: false, since: start, startsLater: true, isScheduled: true)
        }
        return AccountDraft(
            account: Account(
                id: AccountID(1), environmentID: EnvironmentID(1), endUserID: try #require(EndUserID("alice")),
                version: 0, revision: 1, sums: .zero, scheduled: ScheduledBlocks(scheduled)),
            book: AccountBook(blockCount: 9_999, reservationCount: 0, lastHash: .zero, salt: .zero), profile: nil)
    }
}
