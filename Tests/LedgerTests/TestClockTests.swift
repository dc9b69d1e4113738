import Catalogue
import Credits
import Ledger
import Metering
import Testing

@Suite("The time of an end user on a test clock is the clock's")
struct TestClockTests {
    @Test("Blocks expire and holds lapse when the clock is advanced, and not before")
    func forward() throws {
        try ledger(
            """
            clock 1 2026-04-12
            create alice clock 1
            grant alice 100 +30d
            reserve alice 40 ttl 3600
            at 2026-09-01
            balance alice 100
            effective alice 60
            clock 1 2026-04-12T01:00:00Z
            effective alice 100
            clock 1 2026-05-12
            balance alice 0
            advance alice
            last alice expire -100 effective 2026-05-12 recorded 2026-05-12
            entry alice e3 release 0 effective 2026-04-12T01:00:00Z
            """)
    }

    @Test("An unknown clock, a clock behind the account's time, or a second clock is refused")
    func attaching() throws {
        try ledger(
            """
            clock 1 2026-04-12
            clock 2 2026-04-14
            create alice clock 3 -> unknown_test_clock
            set alice clock 1 -> unknown_end_user
            at 2026-04-13
            grant alice 10
            set alice clock 1 -> test_clock_conflict
            set alice clock 2
            set alice clock 2
            set alice clock 1 -> test_clock_conflict
            grant alice 1 2026-04-14 -> expires_in_the_past
            """)
    }

    @Test("A new end user may begin with a clock in the past")
    func past() throws {
        try ledger(
            """
            clock 1 2020-01-01
            create alice clock 1
            grant alice 10 2020-01-02
            last alice grant 10 effective 2020-01-01 recorded 2020-01-01
            """)
    }

    @Test("Nothing ends after the year 9999: a duration is refused, a deadline is cut, and windows are shown cut")
    func endOfTime() throws {
        let feature = try #require(FeatureKey("api"))
        var catalogue = Catalogue()
        catalogue.features[feature] = Feature(
            key: feature, quota: Quota(limit: 9, window: .month), createdAt: .epoch)
        let now = Instant.latest.adding(seconds: -3_600)
        var draft = AccountDraft(
            account: Account(
                id: AccountID(1), environmentID: EnvironmentID(1), endUserID: try #require(EndUserID("alice"))),
            profile: nil)
        func apply(_ action: AccountAction, at now: Instant = now) -> Outcome {
            draft.apply(action, idempotencyKey: nil, catalogue: catalogue, now: now)
        }
        let hour = try #require(CalendarDuration(iso8601: "PT1H"))
        let longer = try #require(CalendarDuration(iso8601: "PT1H1S"))
        let grant = Grant(credits: try Millicredits(5))
        #expect(
            apply(.grant(Grant(credits: try Millicredits(5), expiry: .after(longer))))
                == .refused(.expiresTooLate(now: now)))
        guard case .granted(let block, _, _) = apply(.grant(Grant(credits: try Millicredits(5), expiry: .after(hour))))
        else {
            Issue.record("the grant that expires at the last instant is refused")
            return
        }
        #expect(block.block.expiresAt == .latest)
        _ = apply(.grant(grant))
        let job = ReservationRequest(
            featureKey: feature, estimate: .credits(try Millicredits(2), .none), ttlSeconds: 86_400)
        guard case .reserved(let reservation, _) = apply(.reserve(job)) else {
            Issue.record("the reservation is refused")
            return
        }
        #expect(reservation.expiresAt == .latest)
        let window = WindowLength.month.calendarWindow(containing: now, in: .utc)
        #expect("\(window.end)" == "9999-12-31T23:59:59.999999Z")
        _ = apply(.advance, at: .latest)
        #expect(draft.account.reservations.isEmpty && draft.account.balances.effective == 5)
    }
}
