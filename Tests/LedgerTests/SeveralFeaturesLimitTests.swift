import Testing

@Suite("A hold over several features counts in the limits of all of them")
struct SeveralFeaturesLimitTests {
    @Test("A limit in units counts the sum of the watermarks of the features that it covers, and not the estimate")
    func unitsOfAll() throws {
        try ledger(
            """
            price mails 2
            grant alice 1000
            limit alice one 35 units per week of api
            limit alice week 50 units per week of api,mails
            reserve alice 500cr over api,mails
            limited alice week 0
            progress alice r1 30 of api -> ok 30
            progress alice r1 20 of mails -> ok 40
            limited alice week 50
            limited alice one 30
            progress alice r1 31 of api -> quota_exceeded week
            commit alice r1 21 of mails -> quota_exceeded week
            commit alice r1 20 of mails -> ok 0
            limited alice week 50
            limited alice one 30
            use alice 1 -> quota_exceeded week
            """)
    }

    @Test("A limit in units of one feature does not bound another")
    func unitsOfOne() throws {
        try ledger(
            """
            price mails 2
            grant alice 1000
            limit alice one 35 units per week of api
            reserve alice 500cr over api,mails
            progress alice r1 100 of mails -> ok 200
            progress alice r1 36 of api -> quota_exceeded one
            commit alice r1 35 of api -> ok 35
            limited alice one 35
            """)
    }

    @Test("A limit in credits over one feature counts the estimate, and at the end only what that feature was charged")
    func creditsOfOne() throws {
        try ledger(
            """
            price mails 2
            grant alice 1000
            limit alice all 500 credits per week
            limit alice money 100 credits per week of api
            reserve alice 101cr over api,mails -> spend_cap_reached money
            reserve alice 80cr over api,mails
            limited alice money 80
            progress alice r1 30 of mails -> ok 60
            limited alice money 80
            progress alice r1 20 of api -> ok 20
            last alice reserve 0 reserved 80 over api,mails
            limited alice money 80
            progress alice r1 50 of mails -> ok 40
            limited alice all 120
            use alice 21 -> spend_cap_reached money
            progress alice r1 101 of api -> spend_cap_reached money
            commit alice r1 25 of api -> ok 5 35
            limited alice money 25
            limited alice all 125
            """)
    }

    @Test("Quotas of each feature and limits of jobs are asked, each once")
    func quotas() throws {
        try ledger(
            """
            price mails 2
            feature calls quota 5/day
            limit alice jobs 1 concurrent of mails,calls
            grant alice 1000
            reserve alice 10cr over mails,calls
            limited alice jobs 1
            reserve alice 10cr over api,mails -> quota_exceeded jobs
            progress alice r1 5 of calls -> ok 0
            quota alice calls 5
            progress alice r1 6 of calls -> quota_exceeded
            progress alice r1 6 of mails -> ok 12
            commit alice r1 5 of calls -> ok 0
            limited alice jobs 0
            quota alice calls 5
            """)
    }

    @Test("Progress counts in the window of first use in which the hold was made, although the estimate opens none")
    func firstUse() throws {
        try ledger(
            """
            price mails 2
            grant alice 1000
            limit alice five 50 units per PT5H first_use of api,mails
            reserve alice 100cr over api,mails
            at +60s
            progress alice r1 10 of mails -> ok 20
            limited alice five 10 until +5h-60s
            at +60s
            progress alice r1 41 of api -> quota_exceeded five
            progress alice r1 40 of api -> ok 40
            limited alice five 50 until +5h-120s
            """)
    }

    @Test("Under cap the named feature is cut so that the sum fits, and not below its watermark")
    func capUnits() throws {
        try ledger(
            """
            price mails 2
            grant alice 1000
            limit alice week 50 units per week of api,mails
            reserve alice 500cr over api,mails
            progress alice r1 30 of api -> ok 30
            commit alice r1 40 of mails cap -> ok 40
            last alice commit -40 of mails units 20 added 20
            limited alice week 50
            grant bob 1000
            limit bob week 50 units per week of api,mails
            reserve bob 500cr over api,mails
            progress bob r1 30 of api -> ok 30
            progress bob r1 20 of mails -> ok 40
            limit bob week 40 units per week of api,mails
            commit bob r1 60 of mails cap -> ok 0
            last bob commit 0 of mails units 20
            """)
    }

    @Test("Under cap the named feature is charged the credits with which the sum fits")
    func capCredits() throws {
        try ledger(
            """
            price mails 2
            grant alice 1000
            limit alice money 100 credits per week of api,mails
            limit alice one 45 credits per week of api
            reserve alice 40cr over api,mails
            progress alice r1 40 of api -> ok 40
            commit alice r1 40 of mails -> spend_cap_reached money
            commit alice r1 40 of mails cap -> ok 60
            last alice commit -60 of mails units 40 added 40
            reservation alice r1 committed charged 100 of api charged 40 of mails charged 60
            limited alice money 100
            limited alice one 40
            """)
    }

    @Test("Under cap a feature gives back at most what it was charged, where the others alone exceed a limit")
    func capOfOthers() throws {
        try ledger(
            """
            price mails 2
            grant alice 1000
            limit alice member 100 credits per day by member
            use alice 60 with member=bob
            reserve alice 100cr over api,mails with member=ann
            progress alice r1 100cr of mails -> ok 100
            commit alice r1 0cr of api with member=bob cap -> ok 0
            reservation alice r1 committed charged 100
            balance alice 840
            """)
    }

    @Test("A commit with other attributes moves the whole job to their counters, where it must fit")
    func otherAttributes() throws {
        try ledger(
            """
            price mails 2
            grant alice 1000
            limit alice member 20 units per day by member
            reserve alice 100cr over api,mails with member=ann
            progress alice r1 8 of api -> ok 8
            limited alice member for ann 8
            commit alice r1 5 of mails with member=ben -> ok 10
            last alice commit -10 of mails with member=ben
            limited alice member for ann 0
            limited alice member for ben 13
            use alice 10 with member=cat
            reserve alice 100cr over api,mails with member=ann
            progress alice r2 8 of api -> ok 8
            commit alice r2 3 of mails with member=cat -> quota_exceeded member
            commit alice r2 3 of mails with member=cat cap -> ok 4
            limited alice member for cat 20
            limited alice member for ann 0
            """)
    }

    @Test("A limit that is set later counts ended holds by the same sums, under the attributes of their commits")
    func limitSetLater() throws {
        try ledger(
            """
            price mails 2
            grant alice 1000
            reserve alice 100cr over api,mails with member=ann
            progress alice r1 10 of api
            commit alice r1 5 of mails
            reserve alice 100cr over api,mails with member=ann
            progress alice r2 7 of mails
            release alice r2
            reserve alice 100cr over api,mails with member=ann
            progress alice r3 3 of api
            commit alice r3 4 of mails with member=ben
            reserve alice 100cr over api,mails
            progress alice r4 6 of api
            limit alice units 1000 units per day by member
            limited alice units for ann 22
            limited alice units for ben 7
            limited alice units 6
            limit alice one 1000 units per day of api by member
            limited alice one for ann 10
            limited alice one for ben 3
            limited alice one 6
            limit alice money 1000 credits per day of mails by member
            limited alice money for ann 24
            limited alice money for ben 8
            limited alice money 100
            """)
    }

    @Test("Progress in units goes on counting after a commit in credits")
    func commitInCredits() throws {
        try ledger(
            """
            price mails 2
            grant alice 1000
            limit alice before 1000 units per day
            reserve alice 100cr over api,mails
            progress alice r1 9 of api -> ok 9
            progress alice r1 4 of mails -> ok 8
            commit alice r1 30cr of api -> ok 21
            reservation alice r1 committed of api charged 30 watermark 9 of mails charged 8 watermark 4
            limited alice before 13
            limit alice later 1000 units per day
            limited alice later 13
            limit alice one 1000 units per day of api
            limited alice one 9
            """)
    }
}
