import Testing

@Suite("Balances show the credits that exist, that are held and that can be spent")
struct BalancesTests {
    @Test("Held credits stay in the balance, which is the rest of the blocks, and leave the effective balance")
    func sums() throws {
        try ledger(
            """
            grant alice 100 as first
            grant alice 50 only api as second
            use alice 30
            reserve alice 60
            balance alice 120
            reserved alice 60
            effective alice 60
            held alice first 60
            spendable alice api 60
            spendable alice other 10
            """)
    }

    @Test("Overage lowers the balance and not the spendable balance")
    func owed() throws {
        try ledger(
            """
            create alice policy allow
            grant alice 10
            use alice 25 -> ok 25
            balance alice -15
            overage alice 15
            effective alice -15
            grant alice 40 only api as restricted
            balance alice 25
            overage alice 15
            spendable alice api 40
            check alice 40 -> allowed
            """)
    }

    @Test("An expired block counts for nothing, except for its held credits")
    func expired() throws {
        try ledger(
            """
            grant alice 100 +1h as short
            reserve alice 30 ttl 7200
            at +1h
            balance alice 30
            reserved alice 30
            effective alice 0
            spendable alice api 0
            """)
    }

    @Test("Lifetime granted rises with grants, top-ups, adjustments upwards and transfers in, and never decreases")
    func lifetime() throws {
        try ledger(
            """
            grant alice 100
            topup alice 50
            adjust alice 25
            lifetime alice 175
            use alice 60
            refund alice e4
            adjust alice -20
            revoke alice b1
            lifetime alice 175
            transfer alice bob 10
            lifetime alice 175
            lifetime bob 10
            """)
    }

    @Test("The version counts the account's ledger entries, and nothing else")
    func version() throws {
        try ledger(
            """
            create alice name Alice
            cap alice 100 per day
            entries alice 0
            grant alice 100
            reserve alice 10
            extend alice r1 900
            entries alice 2
            use alice 101 -> spend_cap_reached
            set alice overrides none
            uncap alice 1
            use alice 101 -> insufficient_credits 101 of 90
            entries alice 2
            """)
    }

    @Test("A balance and a total stay within 2^53 − 1, whatever comes in")
    func range() throws {
        try ledger(
            """
            grant alice max
            topup alice 1 -> amount_out_of_range
            adjust alice 1 -> amount_out_of_range
            use alice 5
            topup alice 1 -> amount_out_of_range   # all that was ever granted is an amount, too
            grant bob 1
            transfer bob alice 1 -> amount_out_of_range
            balance bob 1
            create carol policy allow
            use carol max
            balance carol -9007199254740991
            use carol 1 -> amount_out_of_range
            check carol 1 -> unanswered
            """)
    }
}
