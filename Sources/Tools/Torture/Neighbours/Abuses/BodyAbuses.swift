/// Abuses of request bodies: small in bytes, large in memory or time.
extension Abuse {
    static let bodies: [Abuse] = [
        Abuse("huge-arrays", "A body of 8 MiB holds a million tiny objects (430 MB when each reserved eight members).")
        {
            abuser in
            let request = abuser.call("POST", "/v1/usage/batch", Abuser.list("events", 1_000_000, of: #"{"":0}"#))
            return abuser.flood(4) { _ in request }
        },
        Abuse("deep-bodies", "A body of nested arrays exhausts the stack of a recursive parser.") { abuser in
            let request = abuser.call(
                "POST", "/v1/usage/batch",
                String(repeating: "[", count: 1 << 22) + String(repeating: "]", count: 1 << 22))
            return abuser.flood(8) { _ in request }
        },
        Abuse("duplicate-members", "Objects with many members, some of them twice, make a linear look-up quadratic.") {
            abuser in
            let members = (0..<50_000).map { #""m\#($0)":0"# } + [#""m0":1"#]
            let request = abuser.call("POST", "/v1/usage", "{" + members.joined(separator: ",") + "}")
            return abuser.flood(8) { _ in request }
        },
        Abuse("many-lines", "A body of 8 MiB in lines holds four million values (320 MB when all were parsed first).") {
            abuser in
            let body = Array(String(repeating: "0\n", count: 4 << 20).utf8.prefix(8 << 20))
            let request = requestBytes(
                "POST", "/v1/usage/batch", key: abuser.key, body: body, type: "application/x-ndjson")
            return abuser.flood(4) { _ in request }
        },
        Abuse("many-problems", "Each unknown field of 10,000 events was a problem in an answer of 59 MB.") { abuser in
            let event = "{" + (0..<90).map { #""u\#($0)":0"# }.joined(separator: ",") + "}"
            let request = abuser.call("POST", "/v1/usage/batch", Abuser.list("events", 9_000, of: event))
            return abuser.flood(8) { _ in request }
        },
        Abuse("unread-problems", "The long answer to a faulty body is never taken.") { abuser in
            let event = "{" + (0..<90).map { #""u\#($0)":0"# }.joined(separator: ",") + "}"
            let request = abuser.call("POST", "/v1/usage/batch", Abuser.list("events", 9_000, of: event))
            return abuser.hold(8, first: request)
        },
        Abuse("small-problems", "Requests with hundreds of unknown fields are refused at full speed.") { abuser in
            let body = "{" + (0..<400).map { #""u\#($0)":0"# }.joined(separator: ",") + "}"
            let request = abuser.call("POST", "/v1/usage", body)
            return abuser.flood(32) { _ in request }
        },
    ]
}
