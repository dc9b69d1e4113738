import Testing

@Suite("A use costs what the rule in force says")
struct PricingTests {
    @Test("Per unit: units times the unit cost, divided by the units per cost and rounded up once")
    func perUnit() throws {
        try ledger(
            """
            price tokens 3 per 1000
            grant alice 100
            use alice 1 tokens -> ok 1
            use alice 1000 tokens -> ok 3
            use alice 1001 tokens -> ok 4
            use alice 7 -> ok 7
            """)
    }

    @Test("A package is paid whole")
    func package() throws {
        try ledger(
            """
            price mails package 10 for 30
            grant alice 1000
            use alice 1 mails -> ok 30
            use alice 10 mails -> ok 30
            use alice 11 mails -> ok 60
            use alice 0 mails -> ok 0
            check alice 300 mails -> insufficient_credits 290
            """)
    }

    @Test("Graduated: each tier's units at its own cost, plus the fee of each tier that is entered")
    func graduated() throws {
        try ledger(
            """
            price tokens graduated 10000@10 *@5
            grant alice 1000000
            use alice 12000 tokens -> ok 110000
            use alice 10000 tokens -> ok 100000
            price fees graduated 10@1+100 20@2+7 *@3+1000
            use alice 10 fees -> ok 110
            use alice 11 fees -> ok 119
            use alice 20 fees -> ok 137
            use alice 21 fees -> ok 1140
            use alice 0 fees -> ok 0
            """)
    }

    @Test("Volume: all units at the cost of the tier that their number falls in, plus its fee")
    func volume() throws {
        try ledger(
            """
            price tokens volume 10000@10 *@5
            grant alice 1000000
            use alice 12000 tokens -> ok 60000
            use alice 10000 tokens -> ok 100000
            use alice 10001 tokens -> ok 50005
            price fees volume 10@9 *@2+5
            use alice 10 fees -> ok 90
            use alice 11 fees -> ok 27
            use alice 0 fees -> ok 0
            """)
    }

    @Test("The maximum of affordable units is found even where more units cost less")
    func affordableByVolume() throws {
        try ledger(
            """
            price tokens volume 10@9 100@2+5 *@100
            grant alice 80
            check alice 9 tokens -> insufficient_credits 37
            check alice 37 tokens -> allowed 37
            check alice 38 tokens -> insufficient_credits 37
            grant bob 8
            check bob 1 tokens -> insufficient_credits 0
            """)
    }

    @Test("Tiers of scope period fill over the calendar month in UTC, whatever the zone")
    func period() throws {
        try ledger(
            """
            config zone berlin
            price calls period 10@10 20@5+7 *@1+3
            grant alice 1000
            at 2026-04-30T20:00:00Z
            use alice 4 calls -> ok 40
            use alice 8 calls -> ok 77        # six in the first tier, two in the second, which is entered
            use alice 8 calls -> ok 40
            at 2026-04-30T23:59:59.999999Z    # in Berlin it is May
            check alice 2 calls -> allowed 840
            use alice 2 calls -> ok 5
            at 2026-05-01
            use alice 4 calls -> ok 40
            """)
    }

    @Test("The period is that of the charge, not that of the event")
    func periodOfCharge() throws {
        try ledger(
            """
            price calls period 10@10 *@1
            grant alice 1000
            use alice 10 calls -> ok 100
            at 2026-05-01
            use alice 2 calls occurred 2026-04-20 -> ok 20
            use alice 10 calls -> ok 82
            """)
    }

    @Test("Dimensions are priced each by its own model and round up each on its own")
    func dimensions() throws {
        try ledger(
            """
            price chat dimensions in=3/1000 out=15/1000 image=flat:250
            grant alice 1000
            use alice in=1,out=1 chat -> ok 2
            use alice in=1000,out=1001,image=2 chat -> ok 269
            use alice in=0 chat -> ok 0
            last alice use 0
            use alice in=1,other=1 chat -> unknown_dimension other
            use alice 1 chat -> quantities_expected
            use alice in=1 -> units_expected
            check alice in=1000 chat -> allowed any
            """)
    }

    @Test("The first row that matches the event's attributes prices it, and without such a row there is no price")
    func rows() throws {
        try ledger(
            """
            price chat rows model=large,tier=gold:2/1 model=large:5/1 model=small:flat:3
            grant alice 1000
            use alice 10 chat with model=large -> ok 50
            use alice 10 chat with model=large,tier=gold -> ok 20
            use alice 10 chat with model=large,tier=silver -> ok 50
            use alice 10 chat with model=small -> ok 3
            use alice 10 chat with model=huge -> feature_not_priced
            use alice 10 chat -> feature_not_priced
            check alice 10 chat -> feature_not_priced 0
            price chat rows model=large:5/1 else:7/1
            use alice 10 chat -> ok 70
            last alice use -70 version 2
            """)
    }

    @Test("A new version applies from its instant, and the counted units of the period continue")
    func versions() throws {
        try ledger(
            """
            price calls period 10@10 *@1
            price calls period 5@20 *@2 from +1h
            grant alice 1000
            use alice 4 calls -> ok 40
            last alice use -40 version 1
            at +1h
            use alice 2 calls -> ok 22
            last alice use -22 version 2
            """)
    }
}
