/// Abuses of connections, most of them without a key.
extension Abuse {
    /// The number of connections that one address keeps open.
    private static let many = 3_000

    static let connections: [Abuse] = [
        Abuse("idle-connections", "Each open connection takes a descriptor, without a key and without a byte.") {
            $0.hold(many)
        },
        Abuse("idle-bodies", "A head without a key announces a body that never comes; it takes a descriptor for long.")
        {
            $0.hold(many, first: requestBytes("POST", "/v1/usage", key: nil, length: 1_000))
        },
        Abuse("slow-heads", "A head that comes byte by byte never runs into a deadline between two reads.") {
            $0.hold(
                1_000, first: Array("GET /v1/features HTTP/1.1\r\nHost: a\r\n".utf8),
                drip: Array("X-Padding: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".utf8))
        },
        Abuse("slow-bodies", "A body that comes byte by byte keeps its connection, also after the answer 401.") {
            $0.hold(
                1_000, first: requestBytes("POST", "/v1/usage", key: nil, length: 100_000), drip: [UInt8(ascii: " ")])
        },
        Abuse("slow-bodies-with-key", "A body that comes byte by byte keeps its place among the bodies in flight.") {
            $0.hold(
                1_000, first: requestBytes("POST", "/v1/usage/batch", key: $0.key, length: 1 << 20),
                drip: [UInt8(ascii: " ")])
        },
        Abuse("half-closed", "A client that closes its sending side at once still waits for the answer.") { abuser in
            abuser.flood(48, halfCloses: true) { _ in abuser.call("GET", "/v1/features") }
        },
        Abuse("pipelining", "Requests that are sent without waiting for answers queue up inside the node.") { abuser in
            try await abuser.sell()
            let one = abuser.call("GET", "/v1/entitlements/check?end_user_id=piper&feature_key=calls")
            let hundred = Array(repeatElement(one, count: 100).joined())
            return abuser.flood(16, responses: 100) { _ in hundred }
        },
        Abuse("unread-answers", "Pipelined requests whose answers are never taken keep the answers in memory.") {
            abuser in
            try await abuser.sell(features: 100)
            let one = abuser.call("GET", "/v1/features?limit=100")
            return abuser.hold(100, first: Array(repeatElement(one, count: 2_000).joined()))
        },
        Abuse("unread-exports", "An export that is never taken keeps its place in the database and its memory.") {
            abuser in
            try await abuser.sell()
            try await abuser.useOften("exported", times: 10_000)
            return abuser.hold(200, first: abuser.call("GET", "/v1/ledger/export"))
        },
        Abuse("unread-bodies", "A large body behind a missing key is to be thrown away, not read to its end.") {
            abuser in
            let request = requestBytes(
                "POST", "/v1/usage/batch", key: nil, body: [UInt8](repeating: UInt8(ascii: " "), count: 8 << 20))
            return abuser.flood(16) { _ in request }
        },
    ]
}
