import Testing

@Suite("A reservation holds credits for a job")
struct ReservationTests {
    @Test("It holds the cost of the estimate in burn order; held credits stay in the balance")
    func hold() throws {
        try ledger(
            """
            price tokens 3 per 10
            grant alice 10 p1 as first
            grant alice 100 p2 as second
            reserve alice 100 tokens ttl 60 -> ok 1
            last alice reserve 0 balance 110 reserved 30 units 100 version 1 reservation r1 holding first 10 second 20
            reservation alice r1 active held 30 uncovered 0 charged 0 until +60s
            effective alice 80
            held alice second 20
            use alice 81 -> insufficient_credits 81 of 80
            use alice 80
            blocks alice first 10 second 20
            """)
    }

    @Test("If the credits fall short, nothing is held")
    func insufficient() throws {
        try ledger(
            """
            grant alice 10
            reserve alice 11 -> insufficient_credits 11 of 10
            reserved alice 0
            entries alice 1
            reserve alice 10
            reserve alice 1 -> insufficient_credits 1 of 0
            reserve alice 0 -> ok 2
            """)
    }

    @Test("Under overage it holds the available credits, and the rest becomes overage only when it is charged")
    func uncovered() throws {
        try ledger(
            """
            create alice policy allow limit 30
            grant alice 10
            reserve alice 41 -> insufficient_credits 41 of 10
            reserve alice 40
            reservation alice r1 active held 10 uncovered 30
            overage alice 0
            commit alice r1 25 -> ok 25 0 15
            last alice commit -25 balance -15 reserved -10 overage 15
            overage alice 15
            reserve alice 15
            release alice r2
            overage alice 15
            """)
    }

    @Test("A commit below the hold charges the held blocks in burn order and returns the rest")
    func commitBelow() throws {
        try ledger(
            """
            grant alice 10 p1 as first
            grant alice 100 p2 as second
            reserve alice 50
            commit alice r1 30 -> ok 30 20 0
            last alice commit -30 balance 80 reserved -50 units 30 reservation r1 from first 10 second 20
            last alice commit -30 holding first -10 second -40
            reservation alice r1 committed held 0 charged 30 finished +0s
            effective alice 80
            """)
    }

    @Test("A commit above the hold takes the excess from the effective balance, after the held blocks")
    func commitAbove() throws {
        try ledger(
            """
            grant alice 20 p5 as held
            reserve alice 15
            grant alice 10 p1 as new
            commit alice r1 22 -> ok 22 0 0
            last alice commit -22 balance 8 reserved -15 from held 15 new 7
            """)
    }

    @Test("If the effective balance falls short too, block rejects and the reservation stays active")
    func reject() throws {
        try ledger(
            """
            grant alice 20
            reserve alice 15
            commit alice r1 21 -> insufficient_credits 6 of 5
            commit alice r1 21 reject -> insufficient_credits
            reservation alice r1 active held 15
            commit alice r1 20
            """)
    }

    @Test("A shortfall can be capped to the available credits, or become overage, also under block")
    func shortfalls() throws {
        try ledger(
            """
            grant alice 20
            reserve alice 15
            commit alice r1 50 cap -> ok 20 0 0
            last alice commit -20 balance 0 units 50
            grant bob 20
            reserve bob 15
            commit bob r1 50 overage -> ok 50 0 30
            overage bob 30
            use bob 1 -> insufficient_credits 1 of 0
            """)
    }

    @Test("Under allow and notify a shortfall becomes overage unless the commit asks otherwise; a limit applies")
    func overageLimit() throws {
        try ledger(
            """
            create alice policy notify limit 30
            grant alice 20
            reserve alice 15
            commit alice r1 51 -> insufficient_credits 36 of 5
            commit alice r1 51 overage -> insufficient_credits 36 of 5
            commit alice r1 50 reject -> insufficient_credits 35 of 5
            commit alice r1 50 -> ok 50 0 30
            create bob limit 5
            grant bob 1
            reserve bob 1
            commit bob r1 7 overage -> insufficient_credits 6 of 0
            commit bob r1 6 overage -> ok 6 0 5
            """)
    }

    @Test("Committing 0 charges nothing")
    func commitNothing() throws {
        try ledger(
            """
            price report flat 25
            grant alice 100
            reserve alice 1 report
            commit alice r1 0 -> ok 0 25 0
            last alice commit 0 balance 100 reserved -25 units 0
            """)
    }

    @Test("A release returns all held credits")
    func release() throws {
        try ledger(
            """
            grant alice 100
            reserve alice 40
            release alice r1 -> ok 0 40 0
            last alice release 0 balance 100 reserved -40 reservation r1 holding b1 -40
            reservation alice r1 released held 0
            effective alice 100
            """)
    }

    @Test("It lapses at the instant of its deadline, whenever the account is read")
    func lapse() throws {
        try ledger(
            """
            grant alice 100
            reserve alice 40 ttl 60
            at +60s-1us
            effective alice 60
            at +1us
            effective alice 100
            commit alice r1 10 -> reservation_not_active
            at +1d
            advance alice
            last alice release 0 reserved -40 deadline effective -1d
            reservation alice r1 expired finished -1d
            """)
    }

    @Test("After a final state every other action is refused")
    func notActive() throws {
        try ledger(
            """
            grant alice 100
            reserve alice 40
            reserve alice 10
            commit alice r1 40
            release alice r2
            commit alice r1 40 -> reservation_not_active 1
            release alice r1 -> reservation_not_active 1
            extend alice r1 60 -> reservation_not_active 1
            progress alice r1 50 -> reservation_not_active 1
            commit alice r2 1 -> reservation_not_active 2
            commit alice r3 1 -> unknown_reservation 3
            release bob r1 -> unknown_reservation 1
            entries alice 5
            """)
    }

    @Test("Credits do not expire while they are held; those that return past their expiry expire at once")
    func heldPastExpiry() throws {
        try ledger(
            """
            grant alice 100 +1h as short
            reserve alice 40 ttl 7200
            at +1h
            balance alice 40
            at +30m
            commit alice r1 30 -> ok 30 10 0
            log alice expire commit expire
            last alice expire -10 balance 0 from short 10 effective +0s
            entry alice e4 commit -30 balance 10 from short 30
            grant bob 100 +1h
            reserve bob 40 ttl 7200
            at +2h
            advance bob
            log bob expire release expire
            last bob expire -40 effective +0s
            entry bob e3 expire -60 effective -1h
            """)
    }

    @Test("At one instant reservations lapse first, by number, then blocks expire, by number")
    func sameInstant() throws {
        try ledger(
            """
            grant alice 10 p2 +1h as first
            grant alice 10 p1 +1h as second
            grant alice 10 p3 as kept
            reserve alice 15 ttl 3600
            reserve alice 10 ttl 3600
            at +1h
            advance alice
            log alice release expire expire release expire
            entry alice e6 release 0 reserved -15 deadline holding second -10 first -5
            entry alice e7 expire -5 from first 5
            entry alice e8 expire -10 from second 10
            entry alice e9 release 0 reserved -10 holding first -5 kept -5
            last alice expire -5 balance 10 from first 5
            """)
    }

    @Test("A lapse takes the other blocks that expire at its instant too, all by number and not in burn order")
    func sameInstantBeside() throws {
        try ledger(
            """
            grant alice 10 p60 +1h as first
            grant alice 10 p50 +1h as second
            grant alice 10 p40 +1h as third
            reserve alice 10 ttl 3600
            reserve alice 10 ttl 3600
            at +1h
            advance alice
            log alice release expire expire release expire
            entry alice e6 release 0 reserved -10 deadline holding third -10
            entry alice e7 expire -10 from first 10
            entry alice e8 expire -10 from third 10
            entry alice e9 release 0 reserved -10 deadline holding second -10
            last alice expire -10 balance 0 from second 10
            """)
    }

    @Test("An extension moves the deadline to now plus its time, never back, and only while it is active")
    func extend() throws {
        try ledger(
            """
            grant alice 100
            reserve alice 40 ttl 300
            extend alice r1 60
            reservation alice r1 active until +300s
            at +250s
            extend alice r1 60
            reservation alice r1 active until +60s
            entries alice 2
            at +60s
            extend alice r1 60 -> reservation_not_active
            """)
    }

    @Test("The rule of the reservation prices the commit, whatever rules came since")
    func lockedRule() throws {
        try ledger(
            """
            price tokens 2
            price tokens 5 from +1h
            grant alice 100
            reserve alice 10 tokens ttl 7200
            at +1h
            commit alice r1 12 -> ok 24
            last alice commit -24 version 1
            reserve alice 10 tokens
            reservation alice r2 active held 50
            archive tokens
            commit alice r2 9 -> ok 45
            """)
    }

    @Test("A reservation in credits holds that amount, whatever the rule, and has no units")
    func credits() throws {
        try ledger(
            """
            price tokens 2
            grant alice 100
            reserve alice 50cr tokens
            reservation alice r1 active held 50
            commit alice r1 30cr -> ok 30 20
            reserve alice 50cr tokens
            commit alice r2 10 -> ok 20 30
            last alice commit -20 units 10 version 1
            reserve alice 10 tokens
            commit alice r3 25cr -> ok 25 0
            reserve alice 50cr nothing -> unknown_feature
            """)
    }

    @Test("It is admitted like a use: unknown, unpriced and other kinds of feature are refused")
    func admission() throws {
        try ledger(
            """
            feature plain
            feature sso boolean
            feature seats limit
            grant alice 10
            reserve alice 1 nothing -> unknown_feature
            reserve alice 1 plain -> feature_not_priced
            reserve alice 1 sso -> feature_not_priced
            reserve alice 1 seats -> feature_not_priced
            set alice overrides api=off
            reserve alice 1 -> feature_not_in_plan
            """)
    }

    @Test("A hold takes only blocks that are open to the feature, and so does its commit")
    func restricted() throws {
        try ledger(
            """
            price video 1
            grant alice 30 p1 only video
            grant alice 10 p2
            reserve alice 11 -> insufficient_credits 11 of 10
            reserve alice 20 video
            reserve alice 10
            commit alice r2 11 -> insufficient_credits 1 of 0
            commit alice r1 25 -> ok 25
            """)
    }
}
