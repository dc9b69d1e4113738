import Testing

@Suite("What the tenant is told of credits, balances, reservations and limits")
struct EventTests {
    @Test("Every way in which credits come and go is told once, in the order of the entries")
    func credits() throws {
        try ledger(
            """
            config events credits
            grant alice 100 as first
            use alice 40
            refund alice e2 credits 10
            adjust alice 5
            adjust alice -15
            transfer alice bob 20
            revoke alice first
            events alice credits.granted credits.used credits.refunded credits.granted credits.revoked
            event alice 1 credits.granted figures 1,100,1,100,0,0,-1,0 text promotional
            event alice 2 credits.used figures 2,40,1,60,0,0,40,0 text api
            event alice 3 credits.refunded figures 3,10,1,70,0,0,2,0,0 text api
            event alice 4 credits.granted figures 4,5,2,75,0,0,-1,0 text adjustment
            event alice 5 credits.revoked figures 7,35,1,5,0,0
            events bob credits.granted
            event bob 1 credits.granted figures 1,20,1,20,0,0,-1,0 text transfer
            """)
    }

    @Test("By default everything is told but the uses")
    func usual() throws {
        try ledger(
            """
            config events usual
            grant alice 100
            use alice 40
            reserve alice 60
            release alice r1
            events alice credits.granted reservation.created balance.depleted reservation.released balance.recovered
            """)
    }

    @Test("Only the types that the environment names are recorded, and they are numbered without gaps")
    func chosen() throws {
        try ledger(
            """
            config events credits.granted
            grant alice 100
            use alice 100
            grant alice 50
            event alice 2 credits.granted
            events alice credits.granted credits.granted
            """)
    }

    @Test("An expiry is told the configured hours before it, at that instant and once, also in one jump over both")
    func expiringSoon() throws {
        try ledger(
            """
            config events credits lead 24
            grant alice 100 2026-04-20T00:00:00Z
            use alice 30
            due alice 2026-04-20T00:00:00Z
            at 2026-04-18T23:59:59Z
            advance alice
            events alice credits.granted credits.used
            at 2026-04-21T00:00:00Z
            advance alice
            event alice 3 credits.expiring_soon figures 1,70,1776643200000000 at 2026-04-19T00:00:00Z
            event alice 4 credits.expired at 2026-04-20T00:00:00Z
            events alice credits.granted credits.used credits.expiring_soon credits.expired
            """)
    }

    @Test(
        "Credits that come within the lead are not announced, and neither are those that are spent, held or revoked by then"
    )
    func notAnnounced() throws {
        try ledger(
            """
            config events credits.exp lead 24
            grant alice 100 2026-04-13T00:00:00Z
            grant alice 50 2026-04-15T00:00:00Z as spent
            grant alice 70 2026-04-16T00:00:00Z as revoked
            use alice 150
            revoke alice revoked
            grant bob 100 2026-04-15T00:00:00Z
            reserve bob 100 ttl 604800
            at 2026-04-30T00:00:00Z
            advance alice
            advance bob
            events alice
            events bob credits.expired
            """)
    }

    @Test("A grant that lands later is announced like any other, unless it lands within the lead")
    func landing() throws {
        try ledger(
            """
            config events credits.expiring_soon lead 24
            grant alice 100 starts 2026-04-13T00:00:00Z 2026-04-20T00:00:00Z
            grant alice 70 starts 2026-04-19T00:00:00Z 2026-04-20T00:00:00Z
            at 2026-05-01T00:00:00Z
            advance alice
            events alice credits.expiring_soon
            event alice 1 credits.expiring_soon figures 1,100,1776643200000000 at 2026-04-19T00:00:00Z
            """)
    }

    @Test("Each threshold is told when the effective balance falls below it, the highest first, once for each crossing")
    func low() throws {
        try ledger(
            """
            config events balance low 50,20,80
            grant alice 100
            use alice 20
            events alice
            use alice 1
            event alice 1 balance.low figures 80,0,79,0,0,79,0
            use alice 60
            event alice 2 balance.low figures 50,0,19,0,0,19,0
            event alice 3 balance.low figures 20,0,19,0,0,19,0
            use alice 5
            events alice balance.low balance.low balance.low
            grant alice 40
            use alice 5
            event alice 4 balance.low figures 50,0,49,0,0,49,0
            """)
    }

    @Test("A percentage is that of the credits that were granted with what is not used up yet")
    func percent() throws {
        try ledger(
            """
            config events balance.low low 20%
            grant alice 100 p1
            grant alice 100
            use alice 160
            events alice
            use alice 21
            event alice 1 balance.low figures 20,20,19,0,0,19,0
            grant bob 200
            use bob 161
            event bob 1 balance.low figures 40,20,39,0,0,39,0
            """)
    }

    @Test("An end user's own thresholds stand in the place of the environment's, and none are none")
    func ownThresholds() throws {
        try ledger(
            """
            config events balance.low low 50
            grant alice 100
            set alice low 10
            use alice 60
            events alice
            use alice 31
            event alice 1 balance.low figures 10,0,9,0,0,9,0
            set alice low none
            grant alice 100
            use alice 105
            events alice balance.low
            set alice low environment
            grant alice 100
            use alice 60
            events alice balance.low balance.low
            """)
    }

    @Test("Depletion and recovery are told at the crossings of 0, and not with the very first credits")
    func depleted() throws {
        try ledger(
            """
            config events balance
            grant alice 100
            use alice 100
            use alice 0
            grant alice 5
            reserve alice 5
            release alice r1
            events alice balance.depleted balance.recovered balance.depleted balance.recovered
            create bob policy allow
            use bob 10
            grant bob 50
            events bob
            """)
    }

    @Test("What happens at one instant is judged together: a block that ends as the next one begins tells nothing")
    func oneInstant() throws {
        try ledger(
            """
            config events balance,credits.expired low 50
            grant alice 100 2026-04-20T00:00:00Z
            grant alice 100 starts 2026-04-20T00:00:00Z 2026-04-21T00:00:00Z
            at 2026-04-20T12:00:00Z
            advance alice
            events alice credits.expired
            at 2026-04-22T00:00:00Z
            advance alice
            events alice credits.expired credits.expired balance.low balance.depleted
            event alice 4 balance.depleted at 2026-04-21T00:00:00Z
            """)
    }

    @Test(
        "The start of overage is told under the policy notify only, once for each crossing, and its settlement with each entry"
    )
    func overage() throws {
        try ledger(
            """
            config events overage
            create alice policy allow
            use alice 10
            events alice
            grant alice 4
            event alice 1 overage.settled figures 3,4,1,-6,0,6
            grant alice 6
            set alice policy notify
            use alice 10
            use alice 10
            event alice 3 overage.started figures -10,0,0,-10,10
            grant alice 20
            events alice overage.settled overage.settled overage.started overage.settled
            """)
    }

    @Test("A reservation is told when it is made and when it ends, with what it charged and gave back")
    func reservations() throws {
        try ledger(
            """
            config events reservation
            grant alice 100
            reserve alice 30
            commit alice r1 20
            reserve alice 10
            progress alice r2 4
            release alice r2
            reserve alice 10 ttl 60
            at +60s
            advance alice
            events alice reservation.created reservation.committed reservation.created reservation.released reservation.created reservation.expired
            event alice 1 reservation.created figures 1,30,0,0,0,1775952300000000,100,30 text api
            event alice 2 reservation.committed figures 1,0,0,20,10,1775952300000000,80,0
            event alice 4 reservation.released figures 2,0,0,4,6,1775952300000000,76,0
            event alice 6 reservation.expired figures 3,0,0,0,10,1775952060000000,76,0
            """)
    }

    @Test("Each percentage and the exhaustion of a limit are told once in a window, and the window after that is told")
    func limits() throws {
        try ledger(
            """
            config events limit,quota
            grant alice 10000
            limit alice daily 100 units per day warn 50,80,100
            use alice 49
            events alice
            use alice 40
            event alice 1 limit.warning figures 89,100,1776038400000000,50 text daily
            event alice 2 limit.warning figures 89,100,1776038400000000,80
            use alice 11
            event alice 3 limit.warning figures 100,100,1776038400000000,100
            event alice 4 quota.exhausted figures 100,100,1776038400000000
            at 2026-04-13T06:00:00Z
            advance alice
            event alice 5 quota.reset figures 0,100,-1 at 2026-04-13T00:00:00Z
            use alice 60
            at 2026-04-15T06:00:00Z
            advance alice
            events alice limit.warning limit.warning limit.warning quota.exhausted quota.reset limit.warning
            """)
    }

    @Test("A job that gives units back does not let a percentage be told twice, and what it holds counts")
    func jobs() throws {
        try ledger(
            """
            config events limit,quota
            grant alice 10000
            limit alice daily 100 units per day warn 50
            reserve alice 100
            commit alice r1 10
            use alice 80
            use alice 10
            events alice limit.warning quota.exhausted
            """)
    }

    @Test("A limit on concurrent reservations is told at each upward crossing, and never reset")
    func concurrent() throws {
        try ledger(
            """
            config events limit,quota
            grant alice 10000
            limit alice jobs 2 concurrent warn 50
            reserve alice 1
            reserve alice 1
            event alice 1 limit.warning figures 1,2,-1,50 text jobs
            event alice 2 quota.exhausted figures 2,2,-1
            release alice r1
            reserve alice 1
            events alice limit.warning quota.exhausted quota.exhausted
            """)
    }

    @Test("A spend cap is told when it is reached; a limit with values tells of each value and is not reset")
    func caps() throws {
        try ledger(
            """
            config events spend_cap,quota,limit
            grant alice 10000
            cap alice 100 per day
            use alice 100
            event alice 1 spend_cap.reached figures 100,100,1776038400000000 text cap:1
            limit bob member 10 units per day by member warn 50
            grant bob 10000
            use bob 10 with member=ann
            event bob 1 limit.warning figures 10,10,1776038400000000,50
            at 2026-04-14T00:00:00Z
            advance bob
            events bob limit.warning quota.exhausted
            """)
    }

    @Test("A limit that is gone when its window ends is not told of")
    func deletedLimit() throws {
        try ledger(
            """
            config events quota
            grant alice 10000
            limit alice daily 100 units per day
            use alice 100
            unlimit alice daily
            at 2026-04-14T00:00:00Z
            advance alice
            events alice quota.exhausted
            """)
    }

    @Test("Other warnings keep the counter, and a limit that was reached before it was set is told with the next use")
    func changedLimit() throws {
        try ledger(
            """
            config events quota,limit
            grant alice 10000
            use alice 60
            limit alice daily 100 units per day
            limit alice daily 100 units per day warn 50
            events alice
            limited alice daily 60
            use alice 1
            event alice 1 limit.warning figures 61,100,1776038400000000,50
            """)
    }

    @Test("An erasure is told with the opaque id, and nothing after it")
    func erasure() throws {
        try ledger(
            """
            config events all
            grant alice 100 2026-04-20T00:00:00Z
            reserve alice 10
            erase alice
            events alice.1 credits.granted reservation.created reservation.released end_user.erased
            at 2026-05-01T00:00:00Z
            advance alice.1
            events alice.1 credits.granted reservation.created reservation.released end_user.erased
            """)
    }
}
