import Testing

@Suite("Limits bound what an end user uses in a window")
struct LimitTests {
    @Test("Several limits hold at once, in units and in credits, and every one must have room")
    func several() throws {
        try ledger(
            """
            price video 10
            grant alice 10000
            limit alice five 100 units per PT5H -> ok 1
            limit alice week 150 units per week -> ok 1
            limit alice spend 1200 credits per month of video -> ok 1
            use alice 60
            check alice 41 -> quota_exceeded 40
            use alice 40 video
            limited alice five 100
            limited alice week 100
            limited alice spend 400
            use alice 1 -> quota_exceeded five
            use alice 0
            at 2026-04-12T05:00:00Z
            use alice 51 -> quota_exceeded week
            use alice 50 video
            limited alice spend 900
            """)
    }

    @Test("The limit that resets last is named, units before credits; at one instant the smaller key")
    func named() throws {
        try ledger(
            """
            price video 10
            grant alice 10000
            limit alice a-day 5 units per day
            limit alice z-month 5 units per month
            limit alice money 10 credits per month
            use alice 6 video -> quota_exceeded z-month
            limit alice z-month none
            use alice 6 video -> quota_exceeded a-day
            limit alice z-day 5 units per day
            use alice 6 video -> quota_exceeded a-day
            use alice 2 video -> spend_cap_reached money
            limit alice jobs 0 concurrent
            reserve alice 6 video -> quota_exceeded jobs
            use alice 1 video
            """)
    }

    @Test("Attributes choose the events that count, and each value of an attribute has a counter of its own")
    func attributes() throws {
        try ledger(
            """
            grant alice 10000
            limit alice class 10 units per day where model=large|huge
            limit alice member 5 units per day by member
            use alice 6 with model=small,member=ann -> quota_exceeded member
            use alice 5 with model=large,member=ann
            use alice 5 with model=huge,member=ben
            use alice 1 with model=large,member=cat -> quota_exceeded class
            use alice 5 with model=small,member=cat
            use alice 5
            use alice 1 -> quota_exceeded member
            limited alice class 10
            limited alice member for ann 5
            limited alice member for dan 0
            limited alice member 5
            """)
    }

    @Test("A limit of jobs counts active reservations; uses do not ask it")
    func concurrent() throws {
        try ledger(
            """
            grant alice 1000
            reserve alice 1
            limit alice jobs 2 concurrent
            limited alice jobs 1
            reserve alice 1 ttl 60
            reserve alice 1 -> quota_exceeded jobs
            use alice 5
            release alice r1
            reserve alice 1
            at 2026-04-12T00:01:00Z
            limited alice jobs 1
            reserve alice 1
            commit alice r3 1
            limited alice jobs 1
            """)
    }

    @Test("A limit counts what its window held before it was set, reservations with their estimate or their usage")
    func before() throws {
        try ledger(
            """
            price tokens dimensions in=1/1 out=2/1
            grant alice 10000
            use alice 7 with model=large
            at 2026-04-13
            use alice 3 with model=large
            use alice 2 with model=small
            reserve alice 10 with model=large
            reserve alice 20
            commit alice r2 4
            reserve alice 30
            release alice r3
            limit alice day 100 units per day by model
            limited alice day for large 13
            limited alice day for small 2
            limited alice day 4
            commit alice r1 1
            limited alice day for large 4
            use alice in=5,out=6 tokens
            limit alice out 10 units per day of tokens only out
            limited alice out 6
            use alice in=50,out=5 tokens -> quota_exceeded out
            use alice in=50,out=4 tokens
            """)
    }

    @Test("A job of quantities that is committed with none counts nothing in a limit that is set afterwards")
    func committedWithNone() throws {
        try ledger(
            """
            price tokens dimensions in=1/1 out=2/1
            grant alice 10000
            reserve alice in=12 tokens
            commit alice r1 none
            limit alice day 20 units per day
            limited alice day 0
            """)
    }

    @Test("Only another amount keeps the counter; anything else begins anew with what the window held")
    func replaced() throws {
        try ledger(
            """
            price video 10
            grant alice 1000
            limit alice five 10 units per day first_use
            use alice 4
            limit alice five 20 units per day first_use -> ok 0
            limited alice five 4
            use alice 2 video
            limit alice five 20 units per day first_use of video
            limited alice five 0
            limit alice five 20 units per day of video
            limited alice five 2
            limit alice five none
            use alice 900
            limit alice five 20 units per day
            limited alice five 906
            unlimit alice five
            unlimit alice five -> unknown_limit
            """)
    }

    @Test("A limit with a quota's key replaces the quota, and the quota comes back when it is deleted")
    func quota() throws {
        try ledger(
            """
            price mails 1
            feature mails quota 5/day
            grant alice 1000
            use alice 3 mails
            limit alice quota:mails 4 units per day
            quota alice mails 3
            use alice 2 mails -> quota_exceeded
            use alice 1 mails
            limit alice quota:mails none
            use alice 50 mails
            unlimit alice quota:mails
            quota alice mails 3
            limit alice quota:mails 4 credits per day -> wrong_quota
            limit alice quota:mails 4 units per day of api -> wrong_quota
            limit alice quota:nothing 4 units per day -> unknown_feature
            limit alice some 4 units per day of nothing -> unknown_feature
            """)
    }

    @Test("A job that ends while a limit replaces the quota leaves the quota too")
    func quotaOfJob() throws {
        try ledger(
            """
            price mails 1
            feature mails quota 60/day
            grant alice 1000
            reserve alice 50 mails
            limit alice quota:mails 100 units per day
            release alice r1
            unlimit alice quota:mails
            quota alice mails 0
            use alice 20 mails
            """)
    }

    @Test("A window that is open ends when it would have ended, also after a change of zone")
    func zones() throws {
        try ledger(
            """
            grant alice 1000
            limit alice day 5 units per day
            use alice 5
            config zone berlin
            limited alice day 5 until 2026-04-13
            use alice 1 -> quota_exceeded day
            at 2026-04-13
            limited alice day 0 until 2026-04-13T22:00:00Z
            use alice 5
            config zone none
            use alice 1 -> quota_exceeded day
            at 2026-04-13T22:00:00Z
            limited alice day 0 until 2026-04-14
            """)
    }

    @Test(
        "A quota that is lifted leaves the feature free, and a job under a window of first use counts in the open one")
    func lifted() throws {
        try ledger(
            """
            feature free quota 5/day
            limit alice quota:free none
            use alice 50 free
            unlimit alice quota:free
            use alice 6 free -> quota_exceeded
            grant alice 100000
            limit alice five 1000 units per PT5H first_use
            reserve alice 500cr ttl 86400
            at 2026-04-12T01:00:00Z
            reserve alice 500cr ttl 86400
            at 2026-04-12T02:00:00Z
            commit alice r1 300
            commit alice r2 300
            limited alice five 600
            """)
    }

    @Test("At most fifty limits apply to an end user, quotas and spend caps included")
    func count() throws {
        let many = (1...48).map { "limit alice l\($0) 5 units per day -> ok 1" }.joined(separator: "\n")
        try ledger(
            """
            feature mails quota 5/day
            cap alice 5 per day
            \(many)
            limit alice l49 5 units per day -> too_many
            cap alice 5 per day -> too_many
            limit alice l48 6 units per day -> ok 0
            limit alice l48 none -> ok 0
            limit alice l49 5 units per day -> ok 1
            feature more quota 5/day
            limit alice l50 5 units per day -> too_many
            limit alice quota:more 4 units per day -> ok 1
            limit alice quota:more none -> ok 0
            """)
    }
}
