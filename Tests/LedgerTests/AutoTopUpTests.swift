import Catalogue
import Credits
import Ledger
import Metering
import Testing

@Suite("An automatic top-up is requested by the level of the balance")
struct AutoTopUpTests {
    @Test("A balance below the threshold makes one request, and none while it is open")
    func oneAtATime() throws {
        try ledger(
            """
            grant alice 150
            rule alice below 100 add 500
            events alice
            use alice 50                           # 100 are left, which is not below 100
            events alice
            use alice 1
            events alice topup.requested
            event alice 1 topup.requested of q1 figures 100,99,500 at +0s recorded +0s
            auto alice open q1
            use alice 99
            use alice 1 -> insufficient_credits
            events alice topup.requested
            topup alice q1 as paid
            block alice paid original 500 source topup
            auto alice
            balance alice 500
            events alice topup.requested
            use alice 450
            event alice 2 topup.requested of q2 figures 100,50,500
            """)
    }

    @Test("Whatever lowers the effective balance counts: holds, transfers, revocations, adjustments and expiries")
    func everyCause() throws {
        try ledger(
            """
            rule alice below 100 add 1 -> ok 1
            topup alice q1                         # 1 is still below 100
            unrule alice
            fail alice q2 -> ok 1 0
            grant alice 100
            rule alice below 50 add 7
            events alice topup.requested topup.requested topup.failed
            reserve alice 52
            event alice 4 topup.requested of q3 figures 50,49,7
            topup alice 1 for q3
            release alice r1
            transfer alice bob 60
            event alice 5 topup.requested of q4 figures 50,42,7
            topup alice 100 for q4
            adjust alice -100
            event alice 6 topup.requested of q5 figures 50,42,7
            topup alice q5
            event alice 7 topup.requested of q6 figures 50,49,7
            topup alice 100 for q6 as last
            revoke alice last
            event alice 8 topup.requested of q7 figures 50,49,7
            grant bob 50 +1h
            rule bob below 70 add 7
            events bob
            at +1h
            advance bob
            event bob 1 topup.requested of q1 figures 70,60,7 at +0s
            """)
    }

    @Test("A request that time makes counts from the instant at which it was due")
    func byTime() throws {
        try ledger(
            """
            grant alice 100 +1h as early
            grant alice 40 +2h
            rule alice below 50 add 500 cooldown 600
            due alice +1h
            at +3h
            advance alice
            event alice 1 topup.requested of q1 figures 50,40,500 at -2h recorded +0s
            """)
        try ledger(
            """
            grant alice 100 +1h as early
            grant alice 100 starts +1h
            rule alice below 50 add 500
            at +2h
            advance alice                          # what lands at the same instant is counted before the level is judged
            events alice
            """)
    }

    @Test("A PUT below the threshold requests at once, and a DELETE leaves the open request answerable")
    func ruleChanges() throws {
        try ledger(
            """
            package small 300 price 500
            package old 5 price 1 archived
            rule alice below 100 add old -> unknown_package
            rule alice below 100 add none -> unknown_package
            auto alice none
            unrule alice -> unknown_rule
            rule alice below 100 add small -> ok 1
            event alice 1 topup.requested of q1 figures 100,0 text small
            rule alice below 200 add 50 -> ok 0
            events alice topup.requested
            unrule alice
            auto alice none
            unrule alice -> unknown_rule
            topup alice q1 as bought
            block alice bought original 300 paid
            use alice 299
            events alice topup.requested
            rule alice below 2 add 50 -> ok 1
            event alice 2 topup.requested of q2 figures 2,1,50
            unrule alice
            fail alice q2 declined -> ok 1 0
            event alice 3 topup.failed of q2 figures 1 text declined
            at +3d
            advance alice
            events alice topup.requested topup.requested topup.failed
            """)
    }

    @Test("A threshold of 0 asks only below 0 and after a refused charge")
    func zero() throws {
        try ledger(
            """
            rule alice below 0 add 10
            events alice
            use alice 5 -> insufficient_credits
            event alice 1 topup.requested of q1 figures 0,0,10
            topup alice q1
            events alice topup.requested
            use alice 10
            set alice policy allow
            use alice 1
            event alice 2 topup.requested of q2 figures 0,-1,10
            """)
    }

    @Test("A charge refused for want of credits counts as a fall below the threshold until the next top-up")
    func refusedCharge() throws {
        try ledger(
            """
            grant alice 1000
            rule alice below 10 add 500 cooldown 3600
            use alice 1001 -> insufficient_credits
            event alice 1 topup.requested of q1 figures 10,1000,500 at +0s
            use alice 1001 -> insufficient_credits
            events alice topup.requested
            fail alice q1 -> ok 1 0
            grant alice 1000                       # a grant is no top-up
            due alice +1h
            at +2h
            advance alice
            event alice 3 topup.requested of q2 figures 10,2000,500 at -1h recorded +0s
            topup alice 1
            fail alice q2 -> ok 2 0
            at +2h
            advance alice
            events alice topup.requested topup.failed topup.requested topup.failed
            reserve alice 9000 -> insufficient_credits
            events alice topup.requested topup.failed topup.requested topup.failed topup.requested
            topup alice q3
            reserve alice 10
            commit alice r1 9000 -> insufficient_credits
            adjust alice -9000 -> insufficient_credits
            transfer alice bob 9000 -> insufficient_credits
            at +1h
            advance alice
            events alice topup.requested topup.failed topup.requested topup.failed topup.requested topup.requested
            """)
        try ledger(
            """
            grant alice 1000
            rule alice below 10 add 500
            adjust alice -9000 -> insufficient_credits
            transfer alice bob 9000 -> insufficient_credits
            events alice                           # neither is a charge
            unrule alice
            use alice 9000 -> insufficient_credits
            rule alice below 10 add 500
            events alice                           # without a rule nothing is noted
            """)
    }

    @Test("The cooldown counts from one request to the next, and its end is a due instant")
    func cooldown() throws {
        try ledger(
            """
            rule alice below 100 add 10 cooldown 600
            event alice 1 topup.requested of q1 at +0s
            at +5m
            topup alice q1
            events alice topup.requested
            due alice +5m
            at +5m-1us
            advance alice
            events alice topup.requested
            at +1us
            advance alice
            event alice 2 topup.requested of q2 figures 100,10,10 at +0s recorded +0s
            """)
    }

    @Test("The ceiling counts the requests of a calendar window of the zone, whatever became of them")
    func ceiling() throws {
        try ledger(
            """
            config zone berlin
            at 2026-04-12T20:00:00Z
            rule alice below 100 add 10 most 2 per day stop 9
            fail alice q1
            event alice 3 topup.requested of q2
            topup alice q2
            events alice topup.requested topup.failed topup.requested
            due alice 2026-04-12T22:00:00Z         # midnight in Berlin
            at 2026-04-12T21:59:59Z
            use alice 5
            events alice topup.requested topup.failed topup.requested
            at 2026-04-13T09:00:00Z
            advance alice
            event alice 4 topup.requested of q3 figures 100,5,10 at 2026-04-12T22:00:00Z recorded +0s
            """)
    }

    @Test("A month of lapses and windows has the same events, whether time is taken in one step or in many")
    func monthUnseen() throws {
        try ledger(
            """
            rule alice below 100 add 10 most 1 per week cooldown 3600 stop 3
            at 2026-05-12
            advance alice
            event alice 1 topup.requested of q1 at 2026-04-12
            event alice 2 topup.failed of q1 figures 1 text timeout at 2026-04-13
            event alice 3 topup.requested of q2 at 2026-04-13
            event alice 4 topup.failed of q2 figures 2 text timeout at 2026-04-14
            event alice 5 topup.requested of q3 at 2026-04-20
            event alice 6 topup.failed of q3 figures 3 text timeout at 2026-04-21 recorded +0s
            event alice 7 topup.suspended of q3 figures 3 at 2026-04-21
            auto alice failures 3 suspended
            events alice topup.requested topup.failed topup.requested topup.failed topup.requested topup.failed topup.suspended
            """)
    }

    @Test("A new rule counts the requests that its window has seen, and a deleted one leaves no second ceiling")
    func ceilingOfNewRule() throws {
        try ledger(
            """
            at 2026-04-12T10:00:00Z
            rule alice below 100 add 10 most 3 per day
            topup alice q1
            topup alice q2
            events alice topup.requested topup.requested topup.requested
            topup alice q3
            rule alice below 100 add 10 most 3 per month
            events alice topup.requested topup.requested topup.requested
            due alice 2026-05-01
            rule alice below 100 add 10 most 4 per month
            events alice topup.requested topup.requested topup.requested topup.requested
            topup alice q4
            unrule alice
            rule alice below 100 add 10 most 4 per day
            due alice 2026-04-13
            rule alice below 100 add 10 most 3 per P1M
            due alice 2026-05-01
            rule alice below 100 add 10 most 1 per PT1H
            due alice 2026-04-12T11:00:00Z
            rule alice below 100 add 10
            event alice 5 topup.requested of q5
            """)
    }

    @Test("Consecutive failures suspend the rule; a top-up for a request or a new rule lifts the suspension")
    func suspension() throws {
        try ledger(
            """
            rule alice below 100 add 10 stop 2
            fail alice q1 declined -> ok 1 0
            event alice 2 topup.failed of q1 figures 1 text declined
            fail alice q2 -> ok 2 1
            event alice 4 topup.failed of q2 figures 2
            event alice 5 topup.suspended of q2 figures 2
            auto alice failures 2 suspended
            grant alice 1
            use alice 50 -> insufficient_credits
            at +9d
            advance alice
            events alice topup.requested topup.failed topup.requested topup.failed topup.suspended
            topup alice 5                          # answers no request
            auto alice failures 2 suspended
            topup alice q1                         # a late success
            event alice 6 topup.requested of q3 figures 100,16,10
            auto alice open q3
            fail alice q3
            fail alice q4 -> ok 2 1
            auto alice failures 2 suspended
            rule alice below 100 add 10 stop 2
            auto alice open q5
            topup alice q5
            fail alice q6 -> ok 1 0
            topup alice q7
            fail alice q8 -> ok 1 0                # a success between them
            """)
    }

    @Test("A request is answered once; a top-up for a failed or lapsed one is still credited")
    func answers() throws {
        try ledger(
            """
            rule alice below 100 add 10 cooldown 600 stop 9
            topup alice q2 -> unknown_request
            topup alice 5 for q2 -> unknown_request
            fail alice q2 -> unknown_request
            topup alice none for q1 -> unknown_package
            auto alice open q1
            topup alice 33 for q1 as other
            block alice other original 33
            topup alice q1 -> request_answered
            topup alice 33 for q1 -> request_answered
            fail alice q1 -> request_answered
            at +10m
            advance alice
            fail alice q2
            fail alice q2 -> request_answered
            topup alice q2
            topup alice q2 -> request_answered
            balance alice 43
            at +10m
            advance alice
            at +25h
            advance alice
            fail alice q3 -> request_answered
            topup alice q3
            balance alice 53
            at +30d
            topup alice q3 -> request_answered
            """)
    }

    @Test("The lapse of a request and the end of a hold at one instant: the hold ends first")
    func sameInstant() throws {
        try ledger(
            """
            grant alice 100
            rule alice below 50 add 10
            reserve alice 60 ttl 86400
            event alice 1 topup.requested of q1 figures 50,40,10
            at +1d
            advance alice
            events alice topup.requested topup.failed
            balance alice 100
            """)
    }

    @Test("An account on a test clock is asked by its clock")
    func clocks() throws {
        try ledger(
            """
            clock 1 2030-01-01
            create alice clock 1
            rule alice below 100 add 10 cooldown 60
            event alice 1 topup.requested of q1 at 2030-01-01 recorded 2030-01-01
            clock 1 2030-01-03
            advance alice
            event alice 2 topup.failed of q1 figures 1 text timeout at 2030-01-02 recorded 2030-01-03
            event alice 3 topup.requested of q2 at 2030-01-02
            """)
    }

    @Test("Erasing an end user removes the rule and ends the open request, and tells nobody")
    func erasure() throws {
        try ledger(
            """
            rule alice below 100 add 10
            fail alice q1 declined
            erase alice
            auto alice.1 none
            at +3d
            advance alice.1
            fail alice.1 q2 -> unknown_end_user
            topup alice.1 q2 -> unknown_end_user
            rule alice.1 below 100 add 10 -> unknown_end_user
            fail alice q2 -> unknown_request
            topup alice q2 -> unknown_request
            events alice.1 topup.requested topup.failed topup.requested
            """)
    }

    @Test("The data of an event names the request by its public id, and has the members of the contract")
    func data() throws {
        let account = AccountID(7)
        let id = PublicID(.topUpRequest, account: account, number: 3).description
        #expect(id.hasPrefix("atr_"))
        let package = try #require(PackageKey("small"))
        let (threshold, credits) = (try Millicredits(Int64(100)), try Millicredits(Int64(500)))
        let rows: [(EventContent, String)] = [
            (
                .topUpRequested(request: 3, threshold: threshold, effectiveBalance: -1, amount: .amount(credits)),
                #"{"credits":500,"effective_balance":-1,"request_id":"\#(id)","threshold":100}"#
            ),
            (
                .topUpRequested(request: 3, threshold: threshold, effectiveBalance: 9, amount: .package(package)),
                #"{"effective_balance":9,"package_key":"small","request_id":"\#(id)","threshold":100}"#
            ),
            (
                .topUpFailed(request: 3, reason: "declined", failures: 2),
                #"{"failures":2,"reason":"declined","request_id":"\#(id)"}"#
            ),
            (
                .topUpFailed(request: 3, reason: nil, failures: 2),
                #"{"failures":2,"reason":null,"request_id":"\#(id)"}"#
            ),
            (.topUpSuspended(request: 3, failures: 2), #"{"failures":2,"request_id":"\#(id)"}"#),
        ]
        for (content, text) in rows {
            #expect(content.storedJSON(of: account) == text)
            #expect(try EventContent.erased(storedJSON: text) == text.replacing(#""declined""#, with: "null"))
        }
    }

    @Test("A rule is read as it is written, and its defaults are no ceiling, no cooldown and three failures")
    func rule() throws {
        let plain = try AutoTopUpRule(json: #"{"threshold":5,"credits":7}"#)
        #expect(plain.ceiling == nil && plain.cooldownSeconds == 0 && plain.stopAfterFailures == 3)
        let whole = try AutoTopUpRule(
            json: """
                {"threshold":0,"package_key":"small","at_most":{"count":1000,"window":"P1M"},
                "cooldown_seconds":31622400,"stop_after_failures":100}
                """)
        for rule in [plain, whole] { #expect(try AutoTopUpRule(json: rule.canonicalJSON) == rule) }
    }

    @Test("A state of an earlier release, without a request where one was due, is put right at once and in order")
    func leftUndone() throws {
        let hour = Instant(microseconds: 3_600_000_000)
        let rule = AutoTopUpRule(
            threshold: try Millicredits(Int64(100)), amount: .amount(try Millicredits(Int64(5))), cooldownSeconds: 60)
        let state = AutoTopUp(rule: rule, requestCount: 1, lastRequestedAt: .epoch)
        let account = Account(
            id: AccountID(1), environmentID: EnvironmentID(1), endUserID: try #require(EndUserID("alice")),
            version: 0, revision: 1, sums: .zero, advancedTo: hour, autoTopUp: state)
        var draft = AccountDraft(account: account, profile: nil)
        draft.advance(to: Instant(microseconds: 2 * hour.microseconds), in: Catalogue())
        #expect(draft.events.map(\.at) == [hour] && draft.account.autoTopUp?.open?.requestedAt == hour)
    }
}
