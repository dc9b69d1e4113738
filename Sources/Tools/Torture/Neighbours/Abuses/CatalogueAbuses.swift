/// Abuses of the catalogue: its size, and the number of its changes.
extension Abuse {
    static let catalogues: [Abuse] = [
        Abuse("price-lists", "Each rule of nearly 1 MiB is kept for ever; each change made every lane read all again.")
        {
            abuser in
            try await abuser.sell()
            try await abuser.send(abuser.grant("buyer", credits: 1_000_000_000))
            let rule = abuser.call("POST", "/v1/metering-rules", priceList)
            let use = abuser.call("POST", "/v1/usage", event("buyer"))
            return abuser.flood(2) { _ in rule } + abuser.flood(4) { _ in use }
                + abuser.flood(1) { abuser.call("PATCH", "/v1/features/calls", #"{"name":"calls \#($0.number)"}"#) }
        },
        Abuse(
            "catalogue-churn",
            "Each change of a large catalogue is a transaction of its own, between everybody's batches."
        ) {
            abuser in
            try await abuser.sell(features: 4_000)
            try await abuser.send(abuser.grant("buyer", credits: 1_000_000_000))
            let use = abuser.call("POST", "/v1/usage", event("buyer"))
            return abuser.flood(4) { _ in use }
                + abuser.flood(60) {
                    abuser.call("PATCH", "/v1/features/calls", #"{"name":"calls \#($0.member) \#($0.number)"}"#)
                }
        },
        Abuse(
            "time-zones", "The search of a zone's changes takes 40 ms; a long name once moved a column out of its row."
        ) {
            abuser in
            let zones = [
                "America/Kentucky/Louisville", "America/Indiana/Indianapolis", "America/North_Dakota/New_Salem",
                "America/Kentucky/Monticello", "Europe/Berlin",
            ]
            return abuser.flood(60) { turn in
                let zone = zones[(turn.member + turn.number) % zones.count]
                return abuser.call("PATCH", "/v1/config", #"{"timezone":"\#(zone)"}"#)
            }
        },
        Abuse("many-features", "A catalogue grows by thousands of features, which every cache holds.") { abuser in
            abuser.flood(32) { abuser.feature("f\($0.member)-\($0.number)") }
        },
        Abuse("many-keys", "API keys are made at full speed; every node holds all of them.") { abuser in
            abuser.flood(32) { _ in abuser.call("POST", "/v1/api-keys", #"{"name":"another"}"#) }
        },
        Abuse("large-messages", "Commands of 190 KB each, a thousand to a message, pass the broker's limit.") {
            abuser in
            let keys = try await abuser.sell(features: 999)
            let overrides = keys.map { #"{"feature_key":"\#($0)","enabled":true}"# }.joined(separator: ",")
            return abuser.flood(64) { turn in
                abuser.call(
                    "POST", "/v1/end-users",
                    #"{"end_user_id":"large-\#(turn.member)","feature_overrides":[\#(overrides)]}"#)
            }
        },
    ]

    /// A rule of about 900 KB: 60 rows with 16 dimensions of 32 tiers.
    private static var priceList: String {
        let tiers = (1..<32).map { #"{"up_to":\#($0),"unit_cost":1}"# } + [#"{"up_to":null,"unit_cost":1}"#]
        let model = #"{"model":"graduated","tiers":[\#(tiers.joined(separator: ","))]}"#
        let dimensions = (0..<16).map { #""d\#($0)":\#(model)"# }.joined(separator: ",")
        let rows =
            (0..<60).map { #"{"match":{"row":\#($0)},"dimensions":{\#(dimensions)}}"# }
            + [#"{"match":{},"model":"flat","amount":1}"#]
        return #"{"feature_key":"calls","price_rows":[\#(rows.joined(separator: ","))]}"#
    }
}
