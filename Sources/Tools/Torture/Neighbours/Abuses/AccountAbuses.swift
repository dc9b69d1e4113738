import Credits
import JSON

/// Abuses of single accounts: many blocks, many reservations, many events.
extension Abuse {
    static let accounts: [Abuse] = [
        Abuse("batch-on-blocks", "Each event of a batch looks at thousands of blocks with 100 features each.") {
            abuser in
            try await abuser.fillWithBlocks("heavy", features: 100)
            let request = abuser.call("POST", "/v1/usage/batch", Abuser.list("events", 10_000, of: event("heavy")))
            return abuser.flood(2) { _ in request }
        },
        Abuse("refund-of-blocks", "A use of thousands of blocks and its refund change every block twice.") { abuser in
            try await abuser.fillWithBlocks("returner")
            let units = Abuser.blocks * 1_000
            return abuser.flood(1) { turn in
                let answer = (try? JSONParser.parse(turn.previous)) ?? .null
                if turn.number % 2 == 1, let usage = answer["id"]?.text {
                    return abuser.call(
                        "POST", "/v1/credits/refund",
                        #"{"end_user_id":"returner","usage_id":"\#(usage)","reason":"again"}"#)
                }
                return abuser.call(
                    "POST", "/v1/usage", #"{"end_user_id":"returner","feature_key":"calls","units":\#(units)}"#)
            }
        },
        Abuse("transfer-of-blocks", "A transfer of thousands of blocks changes two accounts, forth and back.") {
            abuser in
            try await abuser.fillWithBlocks("giver")
            let credits = Abuser.blocks * 1_000
            return abuser.flood(1) { turn in
                let (from, to) = turn.number % 2 == 0 ? ("giver", "taker") : ("taker", "giver")
                return abuser.call(
                    "POST", "/v1/credits/transfer",
                    #"{"from_end_user_id":"\#(from)","to_end_user_id":"\#(to)","credits":\#(credits)}"#)
            }
        },
        Abuse("reservations", "Thousands of reservations of one end user are open, and all run out.") { abuser in
            try await abuser.sell()
            try await abuser.send(abuser.grant("holder", credits: 1_000_000_000))
            let request = abuser.call(
                "POST", "/v1/reservations",
                #"{"end_user_id":"holder","feature_key":"calls","units":1,"ttl_seconds":5}"#)
            return abuser.flood(32) { _ in request }
        },
        Abuse("due-blocks", "Checks advance an account whose blocks have run out by a test clock.") { abuser in
            let key = abuser.testKey
            try await abuser.sell(key: key)
            let made = try await abuser.send(
                abuser.call("POST", "/v1/test-clocks", #"{"now":"2040-01-01T00:00:00Z"}"#, key: key))
            guard let clock = try JSONParser.parse(made.body)["id"]?.text else {
                throw TortureError("a test clock has no id")
            }
            try await abuser.send(
                abuser.call("POST", "/v1/end-users", #"{"end_user_id":"due","test_clock_id":"\#(clock)"}"#, key: key))
            await abuser.grantBlocks("due", key: key) { #","expires_at":"\#(secondOf2040($0 + 1))""# }
            let checks = abuser.call(
                "POST", "/v1/entitlements/check-batch",
                Abuser.list("checks", 1_000, of: #"{"end_user_id":"due","feature_key":"calls"}"#), key: key)
            return abuser.flood(4) { _ in checks }
                + abuser.flood(1) { turn in
                    // Each step lets 500 blocks run out.
                    abuser.call(
                        "POST", "/v1/test-clocks/\(clock)/advance",
                        #"{"to":"\#(secondOf2040(500 * (turn.number + 1)))"}"#,
                        key: key)
                }
        },
        Abuse("one-end-user", "Uses of one end user from many connections wait for one account's lock.") { abuser in
            try await abuser.sell()
            try await abuser.send(abuser.grant("popular", credits: 1_000_000_000))
            let request = abuser.call("POST", "/v1/usage", event("popular"))
            return abuser.flood(64) { _ in request }
        },
        Abuse("new-end-users", "Every use makes another account, in the database and in every node's memory.") {
            abuser in
            try await abuser.sell()
            return abuser.flood(32) { abuser.grant("new-\($0.member)-\($0.number)") }
        },
    ]

    static func event(_ endUser: String) -> String { #"{"end_user_id":"\#(endUser)","feature_key":"calls"}"# }

    /// An instant on the first day of 2040.
    private static func secondOf2040(_ second: Int) -> String {
        Instant(microseconds: 2_208_988_800_000_000).adding(seconds: Int64(second)).description
    }
}

extension Abuser {
    /// Sells `calls` and gives an end user many blocks, each for a number of features.
    func fillWithBlocks(_ endUser: String, features: Int = 0) async throws {
        let keys = try await sell(features: max(0, features - 1))
        let named = keys.map { #""\#($0)""# }.joined(separator: ",")
        let restriction = features > 0 ? #","feature_keys":[\#(named)]"# : ""
        await grantBlocks(endUser) { _ in restriction }
    }

    /// Gives an end user many blocks of 1,000 millicredits.
    ///
    /// - Parameter further: The further members of each grant.
    func grantBlocks(_ endUser: String, key: String? = nil, _ further: @escaping @Sendable (Int) -> String) async {
        let perBatch = 250
        await sendAll(Self.blocks / perBatch) { batch in
            let grants = (0..<perBatch).map { number in
                #"{"end_user_id":"\#(endUser)","credits":1000\#(further(batch * perBatch + number))}"#
            }
            return call("POST", "/v1/credits/grant/batch", #"{"grants":[\#(grants.joined(separator: ","))]}"#, key: key)
        }
    }

    /// Gives an end user credits, and records uses of `calls`, one entry each.
    func useOften(_ endUser: String, times: Int) async throws {
        try await send(grant(endUser, credits: 1_000_000_000))
        let request = call("POST", "/v1/usage/batch", Self.list("events", 500, of: Abuse.event(endUser)))
        await sendAll(times / 500) { _ in request }
    }
}
