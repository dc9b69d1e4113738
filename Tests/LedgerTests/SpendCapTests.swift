import Testing

@Suite("A spend cap bounds the credits of a window, whatever the balance")
struct SpendCapTests {
    @Test("A cap allows a number of credits per window, for all features or for one")
    func window() throws {
        try ledger(
            """
            price video 10
            grant alice 1000
            cap alice 50 per day -> ok 1
            cap alice 20 per PT1H only video -> ok 2
            use alice 30
            check alice 21 -> spend_cap_reached 20
            use alice 21 -> spend_cap_reached 1
            check alice 3 video -> spend_cap_reached 2
            use alice 3 video -> spend_cap_reached
            use alice 2 video -> ok 20
            spent alice 1 50
            spent alice 2 20
            at 2026-04-12T01:00:00Z
            spent alice 2 0
            use alice 1 video -> spend_cap_reached 1
            at 2026-04-13
            use alice 2 video
            """)
    }

    @Test("Windows are days, weeks and months of the environment's zone")
    func zone() throws {
        try ledger(
            """
            config zone berlin
            grant alice 1000
            cap alice 10 per day
            use alice 10
            at 2026-04-12T22:00:00Z
            use alice 10
            """)
    }

    @Test("It is checked after the quota and before the credits; 0 credits forbid every use with a cost")
    func order() throws {
        try ledger(
            """
            price mails 1
            price free 0
            feature mails quota 5/day
            cap alice 0 per month
            check alice 6 mails -> quota_exceeded 0
            check alice 5 mails -> spend_cap_reached 0
            use alice 0 mails
            use alice 100 free
            """)
    }

    @Test("Overage counts too")
    func overage() throws {
        try ledger(
            """
            create alice policy allow
            grant alice 10
            cap alice 30 per day
            check alice 30 -> allowed 30
            use alice 30
            check alice 1 -> spend_cap_reached 0
            """)
    }

    @Test("A reservation counts its estimate, and once finished its charge")
    func reservations() throws {
        try ledger(
            """
            grant alice 1000
            cap alice 50 per day
            reserve alice 40
            use alice 11 -> spend_cap_reached
            commit alice r1 30
            spent alice 1 30
            reserve alice 20
            release alice r2
            spent alice 1 30
            reserve alice 20
            commit alice r3 45 -> spend_cap_reached
            commit alice r3 45 overage -> ok 45
            spent alice 1 75
            use alice 0
            use alice 1 -> spend_cap_reached
            at 2026-04-12T23:59:00Z
            reserve alice 0
            at 2026-04-13
            use alice 20
            commit alice r4 5
            spent alice 1 20
            """)
    }

    @Test("A cap counts what was spent in its window before it was made, and no longer when it is deleted")
    func made() throws {
        try ledger(
            """
            grant alice 200
            use alice 40
            at 2026-04-13T05:00:00Z
            use alice 40
            reserve alice 10
            cap alice 80 per day
            spent alice 1 50
            use alice 31 -> spend_cap_reached
            use alice 30
            commit alice r1 4
            spent alice 1 74
            uncap alice 1
            use alice 30
            uncap alice 1 -> unknown_spend_cap 1
            cap alice 5 per day -> ok 2
            cap alice 5 per day only nothing -> unknown_feature
            """)
    }

    @Test("An end user has at most fifty caps")
    func count() throws {
        let fifty = (1...50).map { "cap alice \($0) per month -> ok \($0)" }.joined(separator: "\n")
        try ledger(
            """
            \(fifty)
            cap alice 51 per month -> too_many
            uncap alice 7
            cap alice 51 per month -> ok 51
            """)
    }
}
