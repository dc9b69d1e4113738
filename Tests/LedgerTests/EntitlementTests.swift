import Testing

@Suite("A check answers what a use would be answered")
struct EntitlementTests {
    @Test("It is allowed as long as the spendable credits cover the cost")
    func allowed() throws {
        try ledger(
            """
            price tokens 3 per 1000
            grant alice 4
            check alice 4 -> allowed 4
            check alice 5 -> insufficient_credits 4
            check alice 1333 tokens -> allowed 1333
            check alice 1334 tokens -> insufficient_credits 1333
            use alice 1334 tokens -> insufficient_credits 5 of 4
            use alice 1333 tokens -> ok 4
            check alice 0 -> allowed 0
            check alice 1 -> insufficient_credits 0
            """)
    }

    @Test("An end user never seen before is answered as one with an empty account")
    func unseen() throws {
        try ledger(
            """
            price gift 0
            check zoe 1 -> insufficient_credits 0
            check zoe 0 -> allowed 0
            check zoe 5 gift -> allowed 9007199254740991
            check zoe 1 nothing -> unknown_feature 0
            balance zoe 0
            entries zoe 0
            """)
    }

    @Test("The reason is the first that fails")
    func reasons() throws {
        try ledger(
            """
            feature plain
            price old 1
            archive old
            check alice 1 nothing -> unknown_feature 0
            check alice 1 old -> unknown_feature 0
            check alice 1 plain -> feature_not_priced 0
            check alice 1 -> insufficient_credits 0
            """)
    }

    @Test("A flat price is affordable any number of times or not at all")
    func flat() throws {
        try ledger(
            """
            price report flat 250
            grant alice 249
            check alice 1 report -> insufficient_credits 0
            grant alice 1
            check alice 1 report -> allowed 9007199254740991
            """)
    }

    @Test("Credits restricted to other features do not count")
    func restricted() throws {
        try ledger(
            """
            price video 2
            grant alice 100 only video
            grant alice 7
            check alice 7 -> allowed 7
            check alice 8 -> insufficient_credits 7
            check alice 53 video -> allowed 53
            check alice 54 video -> insufficient_credits 53
            """)
    }

    @Test("The answer changes at the instants at which prices and blocks do")
    func overTime() throws {
        try ledger(
            """
            price calls 1
            price calls 3 from +1h
            grant alice 5
            grant alice 5 +2h
            check alice 1 calls -> allowed 10
            at +1h-1us
            check alice 1 calls -> allowed 10
            at +1us
            check alice 1 calls -> allowed 3
            at +1h-1us
            check alice 1 calls -> allowed 3
            at +1us
            check alice 1 calls -> allowed 1
            check alice 2 calls -> insufficient_credits 1
            """)
    }
}
