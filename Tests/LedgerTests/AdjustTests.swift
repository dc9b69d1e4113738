import Testing

@Suite("An adjustment corrects by hand")
struct AdjustTests {
    @Test("Upwards it makes a block of priority 50 that never expires")
    func upwards() throws {
        try ledger(
            """
            adjust alice 25 -> ok 25
            block alice b1 original 25 source adjustment priority 50 expires never free
            last alice adjust 25 balance 25 to b1 25
            """)
    }

    @Test("Downwards it takes in burn order from all spendable blocks, restricted ones too")
    func downwards() throws {
        try ledger(
            """
            price video 1
            grant alice 10 p9 as last
            grant alice 10 p1 only video as first
            grant alice 10 p2 as middle
            adjust alice -15 -> ok -15
            last alice adjust -15 balance 15 from first 10 middle 5
            """)
    }

    @Test(
        "It never takes more than exists, whatever the policy, and nothing that is held", arguments: ["block", "allow"])
    func notMore(policy: String) throws {
        try ledger(
            """
            create alice policy \(policy)
            grant alice 30
            reserve alice 10
            adjust alice -21 -> insufficient_credits 21 of 20
            adjust alice -20
            adjust alice -1 -> insufficient_credits 1 of 0
            balance alice 10
            """)
    }
}
