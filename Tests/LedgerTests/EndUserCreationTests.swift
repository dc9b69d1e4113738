import Testing

@Suite("End users that only a call of their own creates")
struct EndUserCreationTests {
    @Test("Every action of an end user that was never created is refused, and changes nothing")
    func refused() throws {
        try ledger(
            """
            config users explicit
            grant alice 100 -> unknown_end_user
            grant alice 100 starts +1h -> unknown_end_user
            topup alice 100 -> unknown_end_user
            use alice 0 -> unknown_end_user
            adjust alice 5 -> unknown_end_user
            reserve alice 1 -> unknown_end_user
            cap alice 5 per day -> unknown_end_user
            set alice name A -> unknown_end_user
            refund alice e1 -> unknown_end_user
            revoke alice b1 -> unknown_end_user
            release alice r1 -> unknown_end_user
            uncap alice 1 -> unknown_end_user
            entries alice 0
            check alice 1 -> insufficient_credits      # a check still answers
            create alice
            grant alice 100
            balance alice 100
            """)
    }

    @Test("An end user that exists stays known, and a reason that comes later is not named first")
    func existing() throws {
        try ledger(
            """
            grant alice 100
            config users explicit
            grant alice 1
            grant bob 1 1999-01-01 -> unknown_end_user
            use bob 1 nothing -> unknown_end_user
            config users implicit
            grant bob 1
            """)
    }

    @Test("Both sides of a transfer must exist")
    func transfer() throws {
        try ledger(
            """
            grant alice 100
            config users explicit
            transfer alice bob 10 -> unknown_end_user
            transfer bob alice 10 -> unknown_end_user
            transfer bob carol 10 -> unknown_end_user
            balance alice 100
            entries bob 0
            create bob
            transfer alice bob 10
            balance bob 10
            """)
    }
}
