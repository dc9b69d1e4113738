import Credits
import Glibc

/// Abuses of subscriptions.
extension Abuse {
    static let subscriptions: [Abuse] = [
        Abuse("due-renewals", "Many subscriptions begin a period at one instant, and each needs a command.") { abuser in
            try await abuser.sellPlan()
            // The rate of these tells how long the others take.
            let begin = ContinuousClock.now
            await abuser.sendAll(Abuser.firstSubscriptions) { number in
                abuser.subscribe("first-\(number)", at: Instant.now.adding(seconds: 1_000_000))
            }
            let took = ContinuousClock.now - begin
            let seconds = took / .seconds(1) * Double(Abuser.dueSubscriptions) / Double(Abuser.firstSubscriptions)
            let due = Instant.now.adding(seconds: Int64(seconds * 1.5) + 15)
            await abuser.sendAll(Abuser.dueSubscriptions) { number in abuser.subscribe("due-\(number)", at: due) }
            let left = due.microseconds - Instant.now.microseconds
            guard left > 0 else { throw TortureError("the subscriptions began before all of them were made") }
            // The measurement begins a little before that instant.
            try await Task.sleep(for: .microseconds(max(0, left - 6_000_000)))
            return abuser.flood(1) { turn in
                usleep(200_000)
                return abuser.call(
                    "GET", "/v1/credits/balance?end_user_id=due-\(turn.number * 37 % Abuser.dueSubscriptions)")
            }
        }
    ]
}

extension Abuser {
    #if DEBUG
        fileprivate static let dueSubscriptions = 3_000
        fileprivate static let firstSubscriptions = 150
    #else
        fileprivate static let dueSubscriptions = 100_000
        fileprivate static let firstSubscriptions = 2_000
    #endif

    /// Makes a plan of hourly periods with grants, rollover and events in each.
    fileprivate func sellPlan() async throws {
        try await sell()
        try await send(call("POST", "/v1/plans", #"{"key":"hourly","name":"hourly"}"#))
        try await send(
            call(
                "POST", "/v1/plans/hourly/variants",
                #"""
                {"key":"hourly","name":"hourly","billing_interval":{"unit":"hour"},"billing_mode":"postpaid",
                "credit_grants":[{"credits":1000,"cadence":"period","rollover":{"percentage":50}},
                {"credits":10,"cadence":"every","every":"PT1H"}]}
                """#))
    }

    fileprivate func subscribe(_ endUser: String, at start: Instant) -> [UInt8] {
        call(
            "POST", "/v1/subscriptions",
            #"{"end_user_id":"\#(endUser)","plan_variant_id":"hourly","start_at":"\#(start)"}"#)
    }
}
