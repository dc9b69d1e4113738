import Testing

@Suite("A hold in credits may be over several features")
struct SeveralFeaturesTests {
    @Test("It takes only blocks that are open to every one of its features, and its entry names them in their order")
    func blocks() throws {
        try ledger(
            """
            price mails 2
            grant alice 100 only api as api
            grant alice 50 only mails,api as both
            grant alice 20 as any
            reserve alice 71cr over mails,api -> insufficient_credits 71 of 70
            reserve alice 60cr over mails,api with member=ann ttl 60 -> ok 1
            last alice reserve 0 reserved 60 over mails,api with member=ann reservation r1 holding both 50 any 10
            reservation alice r1 active held 60 uncovered 0 charged 0 until +60s of mails watermark none
            effective alice 110
            """)
    }

    @Test("A charge takes from the hold first, then from blocks that are open to the feature that it names")
    func excess() throws {
        try ledger(
            """
            price mails 2
            grant alice 100 only api as api
            grant alice 10 as any
            reserve alice 10cr over api,mails
            commit alice r1 6 of mails -> insufficient_credits 2 of 0
            commit alice r1 30 of api -> ok 30 0
            last alice commit -30 reserved -10 of api units 30 added 30 reservation r1 from any 10 api 20
            """)
    }

    @Test("Each feature has a watermark of its own and its own charges")
    func watermarks() throws {
        try ledger(
            """
            price mails 2
            grant alice 1000
            reserve alice 500cr over api,mails
            progress alice r1 10 of api -> ok 10
            progress alice r1 10 of mails -> ok 20
            progress alice r1 7 of api -> ok 0
            progress alice r1 10 of mails -> ok 0
            progress alice r1 15 of api -> ok 5
            last alice commit -5 reserved -5 of api units 15 added 5 version 1 reservation r1
            reservation alice r1 active held 465 charged 35
            reservation alice r1 active of api charged 15 watermark 15 of mails charged 20 watermark 10
            entries alice 5
            """)
    }

    @Test("A commit charges the total of one feature and ends the hold; the others are charged at their watermarks")
    func commit() throws {
        try ledger(
            """
            price mails 2
            grant alice 1000
            reserve alice 100cr over api,mails
            progress alice r1 30 of api -> ok 30
            commit alice r1 10 of mails -> ok 20 50
            last alice commit -20 balance 950 reserved -70 of mails units 10 added 10 reservation r1
            reservation alice r1 committed held 0 charged 50
            reservation alice r1 committed of api charged 30 watermark 30 of mails charged 20 watermark 10
            log alice reserve commit commit
            progress alice r1 40 of api -> reservation_not_active 1
            commit alice r1 40 -> reservation_not_active 1
            """)
    }

    @Test("A commit below the watermark of its feature counts as the watermark")
    func commitBelow() throws {
        try ledger(
            """
            price mails 2
            grant alice 100
            reserve alice 50cr over api,mails
            progress alice r1 10 of mails -> ok 20
            commit alice r1 4 of mails -> ok 0 30
            last alice commit 0 of mails units 10 added 0
            """)
    }

    @Test("The rule version in force at the reservation is locked for each feature")
    func versions() throws {
        try ledger(
            """
            price mails 2
            price mails 5 from +60s
            price api 3 from +60s
            grant alice 1000
            reserve alice 100cr over api,mails
            at +60s
            progress alice r1 10 of api -> ok 10
            commit alice r1 10 of mails -> ok 20
            last alice commit -20 of mails version 1
            reserve alice 100cr over api,mails
            progress alice r2 10 of api -> ok 30
            last alice commit -30 of api version 2
            """)
    }

    @Test("Release and lapse settle at the watermarks; their entry has no feature")
    func ends() throws {
        try ledger(
            """
            price mails 2
            grant alice 1000
            limit alice week 1000 units per week of api,mails
            limit alice money 1000 credits per week
            reserve alice 100cr over api,mails ttl 60
            reserve alice 100cr over api,mails
            progress alice r1 10 of api -> ok 10
            progress alice r1 5 of mails -> ok 10
            progress alice r2 4 of mails -> ok 8
            limited alice money 200
            release alice r2 -> ok 0 92
            last alice release 0 reserved -92 reservation r2 holding b1 -92
            reservation alice r2 released held 0 charged 8
            at +60s
            reservation alice r1 expired held 0 charged 20
            limited alice week 19
            limited alice money 28
            balance alice 972
            effective alice 972
            """)
    }

    @Test("The hold grows by its estimate when it is used up, from blocks that are open to every feature")
    func growth() throws {
        try ledger(
            """
            price mails 2
            grant alice 100 only api as api
            grant alice 15 as any
            reserve alice 10cr over api,mails
            progress alice r1 10 of api -> ok 10
            log alice commit reserve
            last alice reserve 0 reserved 5 over api,mails reservation r1 holding any 5
            progress alice r1 3 of mails -> insufficient_credits 1 of 0
            progress alice r1 20 of api -> ok 10
            last alice commit -10 of api from any 5 api 5
            reservation alice r1 active held 0 charged 20
            """)
    }

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

    @Test("Progress and commits name one of the features; for one feature the name may be left out")
    func wrongFeature() throws {
        try ledger(
            """
            price mails 2
            grant alice 1000
            reserve alice 100cr over api,mails
            progress alice r1 10 -> wrong_feature
            progress alice r1 10 of calls -> wrong_feature
            commit alice r1 10 -> wrong_feature
            commit alice r1 10 of calls cap -> wrong_feature
            entries alice 2
            reserve alice 10 mails
            progress alice r2 2 -> ok 4
            progress alice r2 3 of mails -> ok 2
            progress alice r2 4 of api -> wrong_feature
            commit alice r2 4 of api -> wrong_feature
            commit alice r2 4 of mails -> ok 2
            commit alice r2 4 of api -> reservation_not_active 2
            release alice r1 -> ok
            progress alice r1 10 -> reservation_not_active 1
            """)
    }

    @Test("The first reason that any feature has refuses the reservation, and names the first feature with it")
    func gate() throws {
        try ledger(
            """
            price mails 2
            feature plain
            feature sso boolean
            feature calls quota 5/day
            price old 1
            archive old
            create alice overrides api=off
            reserve alice 10cr over plain,api,none,old -> unknown_feature none
            reserve alice 10cr over plain,api,old,none -> unknown_feature old
            reserve alice 10cr over plain,api,mails -> feature_not_in_plan api
            reserve alice 10cr over mails,sso,plain -> feature_not_priced sso
            reserve alice 10cr over mails,plain,sso -> feature_not_priced plain
            cap alice 5 per day
            reserve alice 10cr over mails,plain -> feature_not_priced plain
            reserve alice 10cr over mails,calls -> spend_cap_reached
            uncap alice 1
            reserve alice 10cr over mails,calls -> insufficient_credits 10 of 0
            grant alice 10
            reserve alice 10cr over mails,calls -> ok 1
            """)
    }

    @Test("Under overage it holds what there is, and the rest becomes overage when it is charged")
    func overage() throws {
        try ledger(
            """
            price mails 2
            create alice policy allow limit 25
            grant alice 10
            reserve alice 36cr over api,mails -> insufficient_credits 36 of 10
            reserve alice 30cr over api,mails
            reservation alice r1 active held 10 uncovered 20
            progress alice r1 15 of api -> ok 15 0 5
            commit alice r1 10 of mails -> ok 20 0 20
            overage alice 25
            """)
    }

    @Test("A feature is reported in one measure, whatever the others are reported in")
    func measures() throws {
        try ledger(
            """
            price mails 2
            price chat dimensions in=1/1 out=2/1
            grant alice 1000
            reserve alice 500cr over api,mails,chat
            progress alice r1 30cr of api -> ok 30
            progress alice r1 5 of api -> credits_expected
            progress alice r1 5 of mails -> ok 10
            progress alice r1 5 of chat -> quantities_expected
            progress alice r1 in=5,out=4 of chat -> ok 13
            last alice commit -13 of chat added 9
            progress alice r1 out=6 of chat -> ok 4
            last alice commit -4 of chat added 2
            commit alice r1 40cr of mails -> ok 30
            last alice commit -30 of mails
            reservation alice r1 committed charged 87 of mails charged 40 watermark 5
            """)
    }

    @Test("Progress that costs nothing writes no entry, so the next commit adds its units too")
    func addedUnits() throws {
        try ledger(
            """
            price tokens 3 per 1000
            grant alice 1000
            reserve alice 500cr over api,tokens
            progress alice r1 1 of tokens -> ok 1
            last alice commit -1 of tokens units 1 added 1
            progress alice r1 333 of tokens -> ok 0
            progress alice r1 334 of tokens -> ok 1
            last alice commit -1 of tokens units 334 added 333
            commit alice r1 7 of api -> ok 7
            last alice commit -7 of api units 7 added 7
            """)
    }

    @Test("A refund of a commit covers all commits of the same feature, and those of no other")
    func refund() throws {
        try ledger(
            """
            price mails 2
            grant alice 1000
            reserve alice 500cr over api,mails
            progress alice r1 10 of api -> ok 10
            progress alice r1 10 of mails -> ok 20
            commit alice r1 30 of api -> ok 20
            refund alice e3 units 15 -> ok 15
            last alice refund 15 of api refunds e5
            refund alice e3 -> ok 15
            log alice refund refund
            refund alice e5 -> already_refunded 0
            refund alice e4 units 5 -> ok 10
            last alice refund 10 of mails refunds e4
            refund alice e4 units 6 -> already_refunded 10
            refund alice e4 -> ok 10
            balance alice 1000
            """)
    }

    @Test("Where the total of a feature costs less than what it was charged, the difference comes from its commits")
    func givenBack() throws {
        try ledger(
            """
            price tokens volume 10@9 *@2
            grant alice 1000
            reserve alice 100cr over api,tokens
            progress alice r1 10 of tokens -> ok 90
            progress alice r1 20 of api -> ok 20
            commit alice r1 11 of tokens -> ok 0 100 0 68
            log alice reserve commit refund
            last alice refund 68 settlement reservation r1 of tokens refunds e3
            reservation alice r1 committed charged 42 of api charged 20 of tokens charged 22
            balance alice 958
            refund alice e4 -> ok 20
            refund alice e3 -> ok 22
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

@Suite("Reservations and commits in credits take attributes")
struct CreditsWithAttributesTests {
    @Test("They choose the counters exactly as for units, and a commit without its own has those of the reservation")
    func counters() throws {
        try ledger(
            """
            grant alice 1000
            limit alice member 100 credits per day by member
            limit alice large 70 credits per day where model=large
            reserve alice 60cr with member=ann -> ok 1
            last alice reserve 0 reserved 60 of api with member=ann
            limited alice member for ann 60
            limited alice member 0
            check alice 41cr with member=ann -> spend_cap_reached
            reserve alice 41cr with member=ann -> spend_cap_reached member
            reserve alice 71cr with member=ben,model=large -> spend_cap_reached large
            reserve alice 71cr with member=ben,model=small -> ok 2
            commit alice r1 40cr -> ok 40 20
            last alice commit -40 of api with member=ann
            limited alice member for ann 40
            limited alice large 0
            """)
    }

    @Test("A commit in credits with other attributes leaves the counters of its reservation")
    func otherAttributes() throws {
        try ledger(
            """
            grant alice 1000
            limit alice member 100 credits per day by member
            use alice 80 with member=cat
            reserve alice 60cr with member=ann
            reserve alice 50 with member=ann -> spend_cap_reached member
            reserve alice 40 with member=ann
            commit alice r1 30cr with member=cat -> spend_cap_reached member
            commit alice r1 30cr with member=ben -> ok 30 30
            last alice commit -30 of api with member=ben
            limited alice member for ann 40
            limited alice member for ben 30
            commit alice r2 20cr with member=cat -> ok 20 20
            limited alice member for ann 0
            limited alice member for cat 100
            """)
    }

    @Test("They choose no price; progress of a hold in credits is priced by its attributes")
    func price() throws {
        try ledger(
            """
            price bits rows model=small:2/1 model=large:5/1
            grant alice 1000
            reserve alice 20cr bits with model=tiny -> ok 1
            progress alice r1 1 -> feature_not_priced bits
            commit alice r1 10cr with model=none -> ok 10
            reserve alice 20cr bits with model=large
            progress alice r2 2 -> ok 10
            commit alice r2 5 with model=small -> ok 0 10 0 0
            reservation alice r2 committed charged 10
            """)
    }

    @Test("A limit that is set later counts them under their attributes")
    func limitSetLater() throws {
        try ledger(
            """
            grant alice 1000
            reserve alice 60cr with member=ann
            commit alice r1 40cr
            reserve alice 60cr with member=ann
            commit alice r2 25cr with member=ben
            reserve alice 60cr with member=ann
            limit alice member 500 credits per day by member
            limited alice member for ann 100
            limited alice member for ben 25
            limited alice member 0
            """)
    }
}
