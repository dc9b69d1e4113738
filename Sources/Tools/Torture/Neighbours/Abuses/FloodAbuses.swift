import JSON

/// Abuses by the number of requests alone. A new tenant has no rate limit.
extension Abuse {
    static let floods: [Abuse] = [
        Abuse("check-flood", "Checks without a rate limit take the node's event loops.") { abuser in
            try await abuser.sell()
            let request = abuser.call("GET", "/v1/entitlements/check?end_user_id=anyone&feature_key=calls")
            return abuser.flood(64) { _ in request }
        },
        Abuse("usage-flood", "Uses of many end users fill the queues, the batches and the write-ahead log.") { abuser in
            try await abuser.sell()
            return abuser.flood(64) { turn in
                abuser.call(
                    "POST", "/v1/credits/adjust",
                    #"{"end_user_id":"user-\#(turn.number % 500)","amount":1,"reason":"flood"}"#)
            }
        },
        Abuse("batch-flood", "Batches of 10,000 events take the places among the undecided commands.") { abuser in
            try await abuser.sell()
            let events = (0..<10_000).map { event("user-\($0 % 500)") }.joined(separator: ",")
            let request = abuser.call("POST", "/v1/usage/batch", #"{"events":[\#(events)]}"#)
            return abuser.flood(4) { _ in request }
        },
        Abuse("asynchronous-commands", "Commands that nobody waits for come faster than the ledger decides them.") {
            abuser in
            abuser.flood(64) { turn in
                abuser.call(
                    "POST", "/v1/credits/grant", #"{"end_user_id":"later-\#(turn.number % 500)","credits":1}"#,
                    headers: ["Prefer: respond-async"])
            }
        },
        Abuse("wrong-keys", "A wrong key costs the node a hash and a look-up before it is refused.") { abuser in
            let made = try JSONParser.parse(
                try await abuser.send(abuser.call("POST", "/v1/api-keys", #"{"name":"revoked"}"#)).body)
            guard let key = made["key"]?.text, let id = made["id"]?.text else { throw TortureError("a key has no id") }
            try await abuser.send(abuser.call("POST", "/v1/api-keys/\(id)/revoke", "{}"))
            // Every other key is mistyped, and never the same.
            return abuser.flood(64) { turn in
                let mistyped = "qs_live_\(turn.member)x\(turn.number)"
                return requestBytes("GET", "/v1/features", key: turn.number % 2 == 0 ? key : mistyped)
            }
        },
        Abuse("unknown-paths", "Requests to no endpoint are answered 404 at full speed, and logged.") { abuser in
            abuser.flood(64) { turn in requestBytes("GET", "/v1/nowhere/\(turn.member)/\(turn.number)", key: nil) }
        },
        Abuse("pages-and-metrics", "The pages beside the API need no key and are long.") { abuser in
            abuser.flood(32) { turn in
                requestBytes("GET", ["/metrics", "/healthz", "/readyz"][turn.number % 3], key: nil)
            }
        },
    ]
}
