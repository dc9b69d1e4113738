import Testing

@Suite("A transfer moves credits between two end users: both accounts change, or neither")
struct TransferTests {
    @Test("Each portion becomes a block with its expiry and priority; one entry on each side")
    func portions() throws {
        try ledger(
            """
            grant alice 30 p10 +1d price 100 as soon
            grant alice 30 p20 as late
            transfer alice bob 40 -> ok 40
            last alice transfer -40 balance 20 from soon 30 late 10 counterparty bob
            last bob transfer 40 balance 40 to b1 30 b2 10 counterparty alice
            block bob b1 priority 10 expires +1d source transfer free
            block bob b2 priority 20 expires never source transfer
            entries alice 3
            entries bob 1
            """)
    }

    @Test("Only unrestricted and free credits can be moved, whatever the policy", arguments: ["block", "allow"])
    func unrestricted(policy: String) throws {
        try ledger(
            """
            create alice policy \(policy)
            grant alice 30 only api
            grant alice 20
            grant alice 5 +1h
            reserve alice 40 ttl 7200
            at +1h
            transfer alice bob 16 -> insufficient_credits 16 of 15
            entries bob 0
            transfer alice bob 15
            balance bob 15
            """)
    }

    @Test("Credits that are restricted to features stay where they are")
    func restricted() throws {
        try ledger(
            """
            grant alice 30 p10 only api
            grant alice 20
            transfer alice bob 21 -> insufficient_credits 21 of 20
            entries bob 0
            transfer alice bob 20
            balance alice 30
            balance bob 20
            """)
    }

    @Test("Transferred credits settle the receiver's overage")
    func settles() throws {
        try ledger(
            """
            create bob policy allow
            use bob 7
            grant alice 10
            transfer alice bob 10
            last bob settle 0 balance 3 overage -7
            """)
    }

    @Test("End users on different clocks cannot transfer credits")
    func clocks() throws {
        try ledger(
            """
            clock 1 2026-04-12
            grant alice 10
            create bob clock 1
            create carol clock 1
            transfer alice bob 1 -> different_clocks
            grant bob 10
            transfer bob carol 4
            transfer bob alice 1 -> different_clocks
            balance carol 4
            """)
    }
}
