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
}
