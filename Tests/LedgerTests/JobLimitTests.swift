import Testing

@Suite("A job that grows beyond its estimate must fit the limits of its end user")
struct JobLimitTests {
    @Test("Progress and commits that do not fit a limit of units are refused, and change nothing")
    func units() throws {
        try ledger(
            """
            grant alice 1000
            limit alice week 50 units per week
            reserve alice 40
            progress alice r1 45 -> ok 45
            limited alice week 45
            progress alice r1 51 -> quota_exceeded week
            commit alice r1 51 -> quota_exceeded week
            reservation alice r1 active charged 45 watermark 45
            commit alice r1 50 -> ok 5
            limited alice week 50
            """)
    }

    @Test("What adds nothing fits a full limit")
    func nothing() throws {
        try ledger(
            """
            grant alice 1000
            limit alice week 50 units per week
            reserve alice 40
            use alice 10
            commit alice r1 40 -> ok 40
            """)
    }

    @Test("Under cap the most units that fit are charged, at their price")
    func capUnits() throws {
        try ledger(
            """
            price mails 3
            grant alice 1000
            limit alice week 50 units per week
            reserve alice 40 mails
            use alice 4
            commit alice r1 60 cap -> ok 138
            last alice commit -138 units 46
            limited alice week 50
            reserve alice 1 -> quota_exceeded week
            """)
    }

    @Test("Under cap a job in quantities that does not fit a limit of units is refused")
    func capQuantities() throws {
        try ledger(
            """
            price chat dimensions in=1/1 out=2/1
            grant alice 1000
            limit alice week 50 units per week
            reserve alice in=10,out=10 chat
            commit alice r1 in=30,out=21 cap -> quota_exceeded week
            commit alice r1 in=30,out=20 cap -> ok 70
            """)
    }

    @Test("Under overage all of it is charged and counted, beyond the limit")
    func overage() throws {
        try ledger(
            """
            grant alice 1000
            limit alice week 50 units per week
            limit alice money 50 credits per week
            reserve alice 40
            reserve alice 10
            commit alice r1 60 -> quota_exceeded week
            commit alice r1 60 overage -> ok 60
            limited alice week 70
            set alice policy allow
            progress alice r2 30 -> ok 30
            limited alice money 90
            """)
    }

    @Test("A limit of credits holds for what a job costs; under cap it is charged up to the limit")
    func credits() throws {
        try ledger(
            """
            price mails 3
            grant alice 1000
            cap alice 100 per day
            reserve alice 20 mails
            progress alice r1 34 -> spend_cap_reached
            progress alice r1 30 -> ok 90
            commit alice r1 40 -> spend_cap_reached
            commit alice r1 40 cap -> ok 10
            last alice commit -10 units 40
            reservation alice r1 committed charged 100
            """)
    }

    @Test("A window that is over takes nothing more")
    func over() throws {
        try ledger(
            """
            grant alice 1000
            limit alice day 50 units per day
            reserve alice 40 ttl 604800
            at 2026-04-13
            use alice 50
            commit alice r1 60 -> quota_exceeded day
            commit alice r1 45 -> ok 45
            limited alice day 50
            """)
    }

    @Test("A quota that a feature gets after a reservation neither counts nor judges it")
    func later() throws {
        try ledger(
            """
            price mails 1
            grant alice 1000
            reserve alice 5 mails
            feature mails quota 10/day
            commit alice r1 20 -> ok 20
            quota alice mails 0
            reserve alice 5 mails
            commit alice r2 11 -> quota_exceeded
            """)
    }

    @Test("Growth of a job that has counted nothing in a window of first use counts in the one that is open now")
    func firstUse() throws {
        try ledger(
            """
            grant alice 1000
            limit alice five 50 units per PT5H first_use
            limit alice member 10 units per PT5H first_use by member
            reserve alice 0
            at +60s
            use alice 1
            progress alice r1 51 -> quota_exceeded five
            progress alice r1 9 -> ok 9
            limited alice five 10
            reserve alice 1 with member=ann
            at +60s
            use alice 10 with member=ben
            commit alice r2 1 with member=ben -> quota_exceeded member
            commit alice r2 1 with member=cat -> ok 1
            at +18000s
            progress alice r1 30 -> reservation_not_active 1
            """)
    }

    @Test("A commit that is cut to fit gets back what its progress was charged beyond that")
    func capGivesBack() throws {
        try ledger(
            """
            price tokens volume 10@9 *@2
            price bits rows model=small:2/1 model=large:5/1
            grant alice 1000
            limit alice month 20 units per month of tokens
            reserve alice 10 tokens
            progress alice r1 10 -> ok 90
            commit alice r1 50 cap -> ok 0 90 0 50
            reservation alice r1 committed charged 40
            limit alice large 5 credits per day where model=large
            reserve alice 10 bits with model=small
            progress alice r2 4 -> ok 8
            commit alice r2 10 with model=large cap -> ok 0 12 0 3
            limited alice large 5
            balance alice 955
            """)
    }

    @Test("A commit with other attributes leaves the counters of its reservation and must fit those of its own")
    func otherAttributes() throws {
        try ledger(
            """
            grant alice 1000
            limit alice large 10 units per day where model=large
            limit alice model 20 units per day by model
            limit alice all 30 units per day
            reserve alice 8 with model=small
            limited alice model for small 8
            commit alice r1 9 with model=large -> ok 9
            limited alice model for small 0
            limited alice model for large 9
            limited alice large 9
            limited alice all 9
            reserve alice 5 with model=small
            commit alice r2 5 with model=large -> quota_exceeded large
            commit alice r2 5 with model=large cap -> ok 1
            limited alice all 10
            last alice commit -1 units 1
            """)
    }

    @Test("The attributes of a commit choose its price row in the rule version of its reservation")
    func otherPrice() throws {
        try ledger(
            """
            price bits rows model=small:2/1 model=large:5/1
            grant alice 1000
            reserve alice 10 bits with model=small
            reservation alice r1 active held 20
            progress alice r1 4 -> ok 8
            commit alice r1 10 with model=tiny -> feature_not_priced
            commit alice r1 10 with model=large -> ok 42
            reservation alice r1 committed charged 50
            reserve alice 10 bits with model=large
            progress alice r2 4 -> ok 20
            commit alice r2 4 with model=small -> ok 0 30 0 12
            log alice commit refund
            last alice refund 12 settlement reservation r2
            balance alice 942
            """)
    }
}
