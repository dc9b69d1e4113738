import Credits
import Ledger
import Metering
import Testing

@Suite("A quota allows a number of units per window, independently of credits")
struct QuotaTests {
    @Test("At most the limit in each window of the calendar, local in the environment's zone")
    func calendar() throws {
        try ledger(
            """
            config zone berlin
            feature mails quota 5/day
            use alice 3 mails -> ok 0
            check alice 2 mails -> allowed 2
            check alice 3 mails -> quota_exceeded 2
            use alice 3 mails -> quota_exceeded
            use alice 2 mails
            use alice 0 mails
            quota alice mails 5 until 2026-04-12T22:00:00Z
            at 2026-04-12T21:59:59.999999Z
            use alice 1 mails -> quota_exceeded
            at 2026-04-12T22:00:00Z
            check alice 5 mails -> allowed 5
            use alice 5 mails
            """)
    }

    @Test("A local day has 23 or 25 hours where the clocks change")
    func daylightSaving() throws {
        try ledger(
            """
            config zone berlin
            feature mails quota 1/day
            at 2026-10-25T00:00:00Z
            use alice 1 mails
            quota alice mails 1 until 2026-10-25T23:00:00Z
            at 2026-10-25T22:30:00Z
            use alice 1 mails -> quota_exceeded
            at 2027-03-28T00:00:00Z
            use alice 1 mails
            quota alice mails 1 until 2027-03-28T22:00:00Z
            """)
    }

    @Test("Weeks begin on Monday, months on their first, durations are counted from 1970")
    func windows() throws {
        try ledger(
            """
            feature weekly quota 1/week
            feature monthly quota 1/month
            feature hours quota 1/PT5H
            use alice 1 weekly
            use alice 1 monthly
            use alice 1 hours
            quota alice weekly 1 until 2026-04-13
            quota alice monthly 1 until 2026-05-01
            quota alice hours 1 until 2026-04-12T05:00:00Z
            """)
    }

    @Test("Anchored at first use, the window opens with the first use after the last one closed")
    func firstUse() throws {
        try ledger(
            """
            feature calls quota 5/PT5H/first_use
            at 2026-04-12T01:30:00Z
            use alice 2 calls
            quota alice calls 2 until 2026-04-12T06:30:00Z
            at 2026-04-12T06:29:59.999999Z
            use alice 4 calls -> quota_exceeded
            use alice 3 calls
            at 2026-04-12T06:30:00Z
            check alice 5 calls -> allowed 5
            at 2026-04-12T08:00:00Z
            use alice 1 calls
            quota alice calls 1 until 2026-04-12T13:00:00Z
            """)
    }

    @Test("A month of first use ends at the same local time a month later, in a short month with its last day")
    func firstUseMonth() throws {
        try ledger(
            """
            config zone berlin
            feature calls quota 5/month/first_use
            at 2027-01-31T10:00:00Z
            use alice 1 calls
            quota alice calls 1 until 2027-02-28T10:00:00Z
            at 2027-03-10T10:00:00Z
            use alice 1 calls
            quota alice calls 1 until 2027-04-10T09:00:00Z
            """)
    }

    @Test("Quota and credits are both checked, the quota first")
    func withCredits() throws {
        try ledger(
            """
            price mails 10
            feature mails quota 5/day
            grant alice 30
            check alice 6 mails -> quota_exceeded 3
            check alice 4 mails -> insufficient_credits 3
            use alice 3 mails -> ok 30
            quota alice mails 3
            use alice 1 mails -> insufficient_credits 10 of 0
            quota alice mails 3
            """)
    }

    @Test("The window is that of the charge, whenever the event occurred")
    func lateEvent() throws {
        try ledger(
            """
            feature mails quota 5/day
            use alice 5 mails occurred -1d
            use alice 1 mails -> quota_exceeded
            """)
    }

    @Test("All quantities count together")
    func quantities() throws {
        try ledger(
            """
            price chat dimensions in=1/1 out=1/1
            feature chat quota 10/day
            grant alice 100
            use alice in=6,out=5 chat -> quota_exceeded
            use alice in=6,out=4 chat
            quota alice chat 10
            """)
    }

    @Test(
        "A reservation counts its estimate, and once finished its final units, in the window of its creation"
    )
    func reservations() throws {
        try ledger(
            """
            price mails 1
            feature mails quota 10/day
            grant alice 100
            reserve alice 8 mails ttl 600
            use alice 3 mails -> quota_exceeded
            commit alice r1 4
            quota alice mails 4
            reserve alice 6 mails
            release alice r2
            quota alice mails 4
            reserve alice 6 mails ttl 600
            progress alice r3 1
            at +600s
            quota alice mails 5
            at 2026-04-12T23:59:00Z
            reserve alice 5 mails ttl 3600
            reserve alice 0 mails ttl 3600
            at 2026-04-13
            use alice 3 mails
            release alice r4
            commit alice r5 9
            quota alice mails 3
            """)
    }

    @Test("A job beyond its estimate is counted, and refused where the quota has no room for it")
    func beyondEstimate() throws {
        try ledger(
            """
            price mails 1
            feature mails quota 10/day
            grant alice 100
            reserve alice 5 mails
            progress alice r1 9
            quota alice mails 9
            commit alice r1 12 -> quota_exceeded
            commit alice r1 12 overage -> ok 3
            quota alice mails 12
            use alice 0 mails
            use alice 1 mails -> quota_exceeded
            check alice 1 mails -> quota_exceeded 0
            """)
    }

    @Test("An end user's own quota replaces the feature's; the used units stay used")
    func override() throws {
        try ledger(
            """
            feature mails quota 5/day
            use alice 4 mails
            create alice overrides mails=8/day
            check alice 4 mails -> allowed 4
            set alice overrides mails=3/day
            check alice 0 mails -> allowed 0
            use alice 1 mails -> quota_exceeded
            set alice overrides none
            use alice 1 mails
            use alice 1 mails -> quota_exceeded
            """)
    }
}
