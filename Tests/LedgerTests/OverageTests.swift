import Testing

@Suite("Overage is what was used beyond the credits")
struct OverageTests {
    @Test("Under block nothing is debited, and nothing is partly debited")
    func block() throws {
        try ledger(
            """
            config policy block
            grant alice 60
            use alice 61 -> insufficient_credits 61 of 60
            balance alice 60
            overage alice 0
            """)
    }

    @Test("Under allow and notify the shortfall becomes overage", arguments: ["allow", "notify"])
    func allow(policy: String) throws {
        try ledger(
            """
            config policy \(policy)
            grant alice 60 as first
            use alice 100 -> ok 100
            last alice use -100 balance -40 overage 40 from first 60
            overage alice 40
            use alice 5
            last alice use -5 balance -45 overage 5 from
            """)
    }

    @Test("The end user's policy and limit replace the environment's")
    func precedence() throws {
        try ledger(
            """
            config policy allow limit 10
            use alice 11 -> insufficient_credits 11 of 0
            use alice 10
            set alice limit 20
            use alice 10
            use alice 1 -> insufficient_credits 1 of 0
            set alice policy block
            use alice 1 -> insufficient_credits 1 of 0
            set alice limit none policy none
            config policy allow limit 21
            use alice 1
            config limit none
            use alice 1000
            overage alice 1021
            """)
    }

    @Test("A limit bounds the overage, not the usage")
    func limit() throws {
        try ledger(
            """
            create alice policy allow limit 50
            grant alice 100
            check alice 150 -> allowed 150
            check alice 151 -> insufficient_credits 150
            use alice 151 -> insufficient_credits 151 of 100
            use alice 120
            check alice 31 -> insufficient_credits 30
            use alice 31 -> insufficient_credits 31 of 0
            use alice 30
            use alice 0
            overage alice 50
            """)
    }

    @Test(
        "A limit below the present overage forbids more overage, and nothing else",
        arguments: ["grant", "topup", "adjust"])
    func lowered(incoming: String) throws {
        try ledger(
            """
            create alice policy allow
            use alice 50
            set alice limit 20
            use alice 1 -> insufficient_credits 1 of 0
            use alice 0
            \(incoming) alice 30
            overage alice 20
            use alice 1 -> insufficient_credits 1 of 0
            \(incoming) alice 1
            use alice 1
            """)
    }

    @Test("New credits settle overage first: the incoming entry in full, then a settle entry")
    func settle() throws {
        try ledger(
            """
            create alice policy allow
            use alice 40
            grant alice 100 as first
            entry alice e2 grant 100 balance 60 to first 100
            last alice settle 0 balance 60 overage -40 from first 40
            blocks alice first 60
            lifetime alice 100
            use alice 70
            topup alice 4
            last alice settle 0 balance -6 overage -4 from b2 4
            adjust alice 3
            last alice settle 0 balance -3 overage -3 from b3 3
            grant bob 2
            transfer bob alice 2
            last alice settle 0 balance -1 overage -2 from b4 2
            log alice use grant settle use grant settle adjust settle transfer settle
            overage alice 1
            """)
    }

    @Test("Restricted credits settle nothing, and neither do existing credits")
    func notSettling() throws {
        try ledger(
            """
            price video 1
            create alice policy allow
            grant alice 100 only video
            use alice 40
            overage alice 40
            grant alice 30 only api as restricted
            overage alice 40
            use alice 50 video
            refund alice e4
            overage alice 40
            log alice use grant use refund
            reserve alice 30
            release alice r1
            overage alice 40
            """)
    }

    @Test("Several blocks that arrive at once settle overage in burn order")
    func severalBlocks() throws {
        try ledger(
            """
            create alice policy allow
            use alice 15
            grant bob 10 p60
            grant bob 10 p40
            transfer bob alice 20
            entry alice e2 transfer 20 to b1 10 b2 10
            last alice settle 0 overage -15 from b1 10 b2 5
            block alice b1 priority 40
            """)
    }
}
