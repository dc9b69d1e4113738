import Testing

@Suite("A check gives the answer that a use would get")
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

    @Test("An unknown end user gets the same answer as one with an empty account")
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

    @Test("A disabled override denies; an enabled one has no effect on credits")
    func overrides() throws {
        try ledger(
            """
            feature plain
            grant alice 5
            set alice overrides api=off,plain=off
            check alice 1 -> feature_not_in_plan 0
            check alice 1 plain -> feature_not_in_plan 0
            use alice 1 -> feature_not_in_plan
            set alice overrides api=on,plain=on
            check alice 5 -> allowed 5
            check alice 6 -> insufficient_credits 5
            check alice 1 plain -> feature_not_priced 0
            set alice overrides nothing=on -> unknown_feature
            """)
    }

    @Test("A boolean feature is allowed unless an override denies it, and is never used up")
    func boolean() throws {
        try ledger(
            """
            feature sso boolean
            check alice 1 sso -> allowed 9007199254740991
            use alice 1 sso -> feature_not_priced
            create alice overrides sso=off
            check alice 1 sso -> feature_not_in_plan 0
            use alice 1 sso -> feature_not_in_plan
            set alice overrides sso=5 -> wrong_override
            set alice overrides sso=5/day -> wrong_override
            """)
    }

    @Test("A limit feature allows up to the end user's number; without a number it has no limit")
    func limit() throws {
        try ledger(
            """
            feature seats limit
            check alice 1000000 seats -> allowed 9007199254740991
            create alice overrides seats=5
            check alice 5 seats -> allowed 5
            check alice 6 seats -> quota_exceeded 5
            use alice 1 seats -> feature_not_priced
            set alice overrides seats=0
            check alice 0 seats -> allowed 0
            check alice 1 seats -> quota_exceeded 0
            set alice overrides api=5 -> wrong_override
            """)
    }

    @Test("The reason is the first that fails: quota, cap, credits")
    func order() throws {
        try ledger(
            """
            price mails 10
            feature mails quota 5/day
            cap alice 30 per day
            grant alice 20
            check alice 6 mails -> quota_exceeded 2
            check alice 4 mails -> spend_cap_reached 2
            check alice 3 mails -> insufficient_credits 2
            check alice 2 mails -> allowed 2
            """)
    }

    @Test("Overage is affordable within its limit")
    func overage() throws {
        try ledger(
            """
            price tokens 3
            create alice policy allow limit 20
            grant alice 11
            check alice 10 tokens -> allowed 10
            check alice 11 tokens -> insufficient_credits 10
            use alice 10 tokens
            check alice 1 tokens -> insufficient_credits 0
            set alice limit none
            check alice 1 tokens -> allowed 3002399751580324      # what is owed stays an amount
            """)
    }

    @Test("A metered feature with a quota and no rule costs nothing")
    func quotaAlone() throws {
        try ledger(
            """
            feature calls quota 5/day
            check alice 5 calls -> allowed 5
            use alice 5 calls -> ok 0
            check alice 1 calls -> quota_exceeded 0
            use alice in=1 calls -> units_expected
            """)
    }
}
