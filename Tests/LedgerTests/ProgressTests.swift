import Testing

@Suite("A job in progress is charged up to a watermark that only rises")
struct ProgressTests {
    @Test("Each report charges its new units; repeating or reordering reports changes nothing")
    func watermark() throws {
        try ledger(
            """
            grant alice 100
            reserve alice 40
            progress alice r1 10 -> ok 10
            last alice commit -10 balance 90 reserved -10 units 10 reservation r1 from b1 10 holding b1 -10
            progress alice r1 10 -> ok 0
            progress alice r1 7 -> ok 0
            progress alice r1 30 -> ok 20
            reservation alice r1 active held 10 charged 30 watermark 30
            entries alice 4
            commit alice r1 35 -> ok 5 5
            last alice commit -5 balance 65 reserved -10 units 35
            reservation alice r1 committed charged 35
            """)
    }

    @Test("A commit below the watermark counts as the watermark")
    func commitBelow() throws {
        try ledger(
            """
            grant alice 100
            reserve alice 40
            progress alice r1 30
            commit alice r1 20 -> ok 0 10
            last alice commit 0 balance 70 units 30
            """)
    }

    @Test("A hold that is used up grows by another step, as far as the credits allow")
    func growth() throws {
        try ledger(
            """
            grant alice 100
            reserve alice 40
            progress alice r1 40 -> ok 40
            log alice commit reserve
            last alice reserve 0 reserved 40 reservation r1 holding b1 40
            progress alice r1 90 -> ok 50
            last alice reserve 0 reserved 10
            progress alice r1 100 -> ok 10
            last alice commit -10 balance 0 reserved -10
            reservation alice r1 active held 0 charged 100
            progress alice r1 101 -> insufficient_credits 1 of 0
            reservation alice r1 active watermark 100
            commit alice r1 100 -> ok 0
            """)
    }

    @Test("Progress beyond hold and credits is refused under block, and otherwise overage within its limit")
    func overage() throws {
        try ledger(
            """
            grant alice 20
            reserve alice 15
            progress alice r1 21 -> insufficient_credits 6 of 5
            reservation alice r1 active held 15 charged 0
            set alice policy allow limit 10
            progress alice r1 31 -> insufficient_credits 16 of 5
            progress alice r1 30 -> ok 30 0 10
            overage alice 10
            """)
    }

    @Test("A lapse settles at the last watermark, and so does a release")
    func ends() throws {
        try ledger(
            """
            grant alice 100
            reserve alice 40 ttl 60
            reserve alice 40
            progress alice r1 10
            progress alice r2 5
            release alice r2 -> ok 0 35
            at +60s
            balance alice 85
            effective alice 85
            reservation alice r1 expired charged 10 held 0
            """)
    }

    @Test("Progress is priced as a whole: its steps cost as much as one event of all units")
    func wholePrice() throws {
        try ledger(
            """
            price tokens 3 per 1000
            price packs package 10 for 30
            grant alice 1000
            reserve alice 5000 tokens
            progress alice r1 1 -> ok 1
            progress alice r1 333 -> ok 0
            progress alice r1 334 -> ok 1
            commit alice r1 1001 -> ok 2
            reserve alice 30 packs
            progress alice r2 1 -> ok 30
            progress alice r2 10 -> ok 0
            progress alice r2 11 -> ok 30
            """)
    }

    @Test("Where more units cost less, the difference is given back, so that a job costs the price of its total")
    func volume() throws {
        try ledger(
            """
            price tokens volume 10@9 *@2
            grant alice 1000
            reserve alice 10 tokens
            progress alice r1 10 -> ok 90
            progress alice r1 11 -> ok 0 0 0 68
            log alice commit refund
            last alice refund 68 settlement reservation r1
            balance alice 978
            progress alice r1 46 -> ok 70
            commit alice r1 50 -> ok 8
            balance alice 900
            refund alice e3 units 25 -> ok 50
            """)
    }

    @Test("What a refund has given back is not given back again when the price of the total falls")
    func volumeAfterRefund() throws {
        try ledger(
            """
            price tokens volume 10@9 100@2+5 *@1
            grant alice 1000
            reserve alice 10 tokens
            progress alice r1 10 -> ok 90
            refund alice e3 -> ok 90
            progress alice r1 11 -> ok 0 0 0 0
            balance alice 1000
            progress alice r1 100 -> ok 178
            progress alice r1 101 -> ok 0 0 0 104
            commit alice r1 101 -> ok 0
            balance alice 926
            """)
    }

    @Test("A job that ends by itself after its price fell has paid the price of its watermark")
    func fallen() throws {
        try ledger(
            """
            price tokens volume 10@9 *@2
            grant alice 100
            reserve alice 10 tokens ttl 60
            progress alice r1 10 -> ok 90
            progress alice r1 11 -> ok 0 0 0 68
            at +60s
            reservation alice r1 expired charged 22
            balance alice 78
            """)
    }

    @Test(
        "The difference goes back first to what is owed, then to the blocks, the last one first; expired ones are made good"
    )
    func givenBack() throws {
        try ledger(
            """
            price tokens volume 10@9 *@2
            grant alice 30 +60s
            grant alice 50
            set alice policy allow
            reserve alice 0 tokens
            progress alice r1 10 -> ok 90 0 10
            at +61s
            progress alice r1 11 -> ok 0 0 0 68
            overage alice 0
            """)
    }

    @Test("Each charged unit fills the tiers of the period once")
    func period() throws {
        try ledger(
            """
            price calls period 10@10 *@1
            grant alice 1000
            reserve alice 8 calls
            reservation alice r1 active held 80
            check alice 10 calls -> allowed
            progress alice r1 6 -> ok 60
            use alice 2 calls -> ok 20
            progress alice r1 9 -> ok 21         # two more in the first tier
            use alice 1 calls -> ok 1
            commit alice r1 15 -> ok 6
            reserve alice 5 calls
            commit alice r2 5 -> ok 5
            grant bob 1000
            reserve bob 8 calls
            commit bob r1 9 -> ok 90
            use bob 2 calls -> ok 11
            """)
    }

    @Test("Each quantity rises independently")
    func quantities() throws {
        try ledger(
            """
            price chat dimensions in=1/1 out=2/1
            grant alice 1000
            reserve alice in=10,out=10 chat
            progress alice r1 in=5 -> ok 5
            progress alice r1 in=3,out=4 -> ok 8
            reservation alice r1 active watermark in=5,out=4
            progress alice r1 7 -> quantities_expected
            commit alice r1 in=6 -> ok 1
            """)
    }

    @Test("A job is reported in one measure; the final commit may be in the other")
    func oneMeasure() throws {
        try ledger(
            """
            price tokens 2
            grant alice 1000
            reserve alice 50 tokens
            progress alice r1 10 -> ok 20
            progress alice r1 30cr -> units_expected
            commit alice r1 50cr -> ok 30
            reserve alice 100cr tokens
            progress alice r2 30cr -> ok 30
            progress alice r2 20 -> credits_expected
            commit alice r2 20 -> ok 10
            """)
    }

    @Test("The total charge of a job must be an amount, even if each of its steps is one")
    func range() throws {
        try ledger(
            """
            create alice policy allow
            price calls period *@6000000000000000
            reserve alice 1 calls
            progress alice r1 1 -> ok 6000000000000000
            refund alice e2
            progress alice r1 2 -> amount_out_of_range
            reservation alice r1 active charged 6000000000000000 watermark 1
            """)
    }
}
