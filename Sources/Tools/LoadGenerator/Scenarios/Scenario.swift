import JSON
import NIOCore

/// A kind of load on the API, for a closed or an open loop.
///
/// End users are named `user_0`, `user_1`, … as `Preparation` creates them. The end user of a request depends only on
/// its connection and sequence number, so a run can be repeated.
package struct Scenario: Sendable {
    package let name: String
    package let script: LoadScript
    /// The number of checks or events in one request.
    package let operationsPerRequest: Int

    package init(name: String, script: LoadScript, operationsPerRequest: Int = 1) {
        self.name = name
        self.script = script
        self.operationsPerRequest = operationsPerRequest
    }

    /// `GET /v1/entitlements/check` for a random end user.
    package static func check(_ target: LoadTarget, endUsers: Int, featureKey: String = "api_calls") -> Scenario {
        let request = NumberedRequest(
            before: "GET /v1/entitlements/check?end_user_id=user_",
            after: "&feature_key=\(featureKey)" + target.headEnd() + "\r\n")
        return Scenario(
            name: "check",
            script: LoadScript(
                request: { connection, sequence in
                    request.numbered(randomEndUser(connection, sequence, of: endUsers))
                },
                check: { expect($0, status: 200) { $0["allowed"] == .bool(true) } }),
            operationsPerRequest: 1)
    }

    /// `POST /v1/entitlements/check-batch` for random end users.
    package static func checkBatch(
        _ target: LoadTarget, endUsers: Int, checks: Int = 100, featureKey: String = "api_calls"
    ) -> Scenario {
        let head = target.postHead("/v1/entitlements/check-batch")
        return Scenario(
            name: "check-batch",
            script: LoadScript(
                request: { connection, sequence in
                    var body = ByteBufferAllocator().buffer(capacity: 40 + checks * 80)
                    body.writeStaticString(#"{"checks":["#)
                    for index in 0..<checks {
                        body.writeStaticString(index == 0 ? #"{"end_user_id":"user_"# : #",{"end_user_id":"user_"#)
                        body.writeDecimal(randomEndUser(connection, sequence * checks + index, of: endUsers))
                        body.writeStaticString(#"","feature_key":""#)
                        body.writeString(featureKey)
                        body.writeStaticString(#""}"#)
                    }
                    body.writeStaticString("]}")
                    return joined(head, body)
                },
                check: { response in
                    expect(response, status: 200) { body in
                        guard case .array(let results)? = body["results"] else { return false }
                        return results.count == checks
                    }
                }),
            operationsPerRequest: checks)
    }

    /// `POST /v1/usage` with one event of one unit for a random end user, without an idempotency key.
    package static func usage(_ target: LoadTarget, endUsers: Int, featureKey: String = "api_calls") -> Scenario {
        let head = target.postHead("/v1/usage")
        let rest = ByteBuffer(string: "\",\"feature_key\":\"\(featureKey)\",\"units\":1}")
        return Scenario(
            name: "usage",
            script: LoadScript(
                request: { connection, sequence in
                    var body = ByteBufferAllocator().buffer(capacity: 40 + rest.readableBytes)
                    body.writeStaticString(#"{"end_user_id":"user_"#)
                    body.writeDecimal(randomEndUser(connection, sequence, of: endUsers))
                    body.writeImmutableBuffer(rest)
                    return joined(head, body)
                },
                check: { response in
                    expect(response, status: 201) { body in
                        if case .string? = body["id"] { true } else { false }
                    }
                }),
            operationsPerRequest: 1)
    }

    /// `POST /v1/usage/batch` with events of one unit, each with its own idempotency key.
    ///
    /// - Parameters:
    /// - endUsers: The number of end users over whom the events are spread; 1 puts all events on `user_0`.
    /// - run: The prefix of the idempotency keys. It must differ between runs against the same database.
    package static func usageBatch(
        _ target: LoadTarget, endUsers: Int, events: Int = 1_000, featureKey: String = "api_calls",
        run: String = randomRunName()
    ) -> Scenario {
        let head = target.postHead("/v1/usage/batch")
        let middle = ByteBuffer(
            string: "\",\"feature_key\":\"\(featureKey)\",\"units\":1,\"idempotency_key\":\"\(run)-")
        return Scenario(
            name: endUsers == 1 ? "usage-hot" : "usage-batch",
            script: LoadScript(
                request: { connection, sequence in
                    var body = ByteBufferAllocator().buffer(capacity: 40 + events * (70 + middle.readableBytes))
                    body.writeStaticString(#"{"events":["#)
                    for index in 0..<events {
                        body.writeStaticString(index == 0 ? #"{"end_user_id":"user_"# : #",{"end_user_id":"user_"#)
                        body.writeDecimal(randomEndUser(connection, sequence * events + index, of: endUsers))
                        body.writeImmutableBuffer(middle)
                        body.writeDecimal(connection)
                        body.writeStaticString("-")
                        body.writeDecimal(sequence * events + index)
                        body.writeStaticString(#""}"#)
                    }
                    body.writeStaticString("]}")
                    return joined(head, body)
                },
                check: { response in
                    expect(response, status: 200) { body in
                        body["accepted"] == .integer(Int64(events)) && body["rejected"] == .integer(0)
                    }
                }),
            operationsPerRequest: events)
    }

    /// `POST /v1/usage` with one unit of a random member of an end user.
    package static func memberUsage(
        _ target: LoadTarget, endUser: String, members: Int, featureKey: String = "api_calls"
    ) -> Scenario {
        Scenario(
            name: "usage of \(members) members",
            script: LoadScript(
                request: memberRequest(target, "/v1/usage", endUser: endUser, members: members, featureKey),
                check: { expect($0, status: 201) { $0["cost"] != nil } }))
    }

    /// `POST /v1/entitlements/check` for a random member of an end user.
    package static func memberCheck(
        _ target: LoadTarget, endUser: String, members: Int, featureKey: String = "api_calls"
    ) -> Scenario {
        Scenario(
            name: "checks of \(members) members",
            script: LoadScript(
                request: memberRequest(
                    target, "/v1/entitlements/check", endUser: endUser, members: members, featureKey),
                check: { expect($0, status: 200) { $0["allowed"] == .bool(true) } }))
    }

    private static func memberRequest(
        _ target: LoadTarget, _ path: String, endUser: String, members: Int, _ featureKey: String
    ) -> LoadScript.Request {
        let head = target.postHead(path)
        let before = ByteBuffer(
            string: #"{"end_user_id":"\#(endUser)","feature_key":"\#(featureKey)","units":1,"attributes":{"member":"m"#)
        return { connection, sequence in
            var body = ByteBufferAllocator().buffer(capacity: before.readableBytes + 20)
            body.writeImmutableBuffer(before)
            body.writeDecimal(randomEndUser(connection, sequence, of: members))
            body.writeStaticString(#""}}"#)
            return joined(head, body)
        }
    }

    /// A random name that no other run has.
    package static func randomRunName() -> String {
        String(UInt64.random(in: .min ... .max), radix: 36)
    }

    private static func joined(_ head: ByteBuffer, _ body: ByteBuffer) -> ByteBuffer {
        var request = ByteBufferAllocator().buffer(capacity: head.readableBytes + body.readableBytes + 16)
        request.writeImmutableBuffer(head)
        request.writeDecimal(body.readableBytes)
        request.writeStaticString("\r\n\r\n")
        request.writeImmutableBuffer(body)
        return request
    }

    /// A well-mixed number below `count` that depends only on the arguments (SplitMix64).
    private static func randomEndUser(_ connection: Int, _ sequence: Int, of count: Int) -> Int {
        var mixed = UInt64(truncatingIfNeeded: connection) << 44 &+ UInt64(truncatingIfNeeded: sequence)
        mixed = (mixed &+ 1) &* 0x9E37_79B9_7F4A_7C15
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return Int((mixed ^ (mixed >> 31)).multipliedFullWidth(by: UInt64(count)).high)
    }

    /// The complaint about a response with another status or an unexpected body; nil when it is as expected.
    private static func expect(
        _ response: LoadResponse, status: Int, _ holds: (JSONObject) -> Bool
    ) -> String? {
        let text = String(decoding: response.body.prefix(500), as: UTF8.self)
        guard response.status == status else { return "status \(response.status), not \(status): \(text)" }
        guard let value = try? JSONParser.parse(response.body), case .object(let body) = value, holds(body) else {
            return "an unexpected answer: \(text)"
        }
        return nil
    }
}

extension LoadTarget {
    /// The head of a POST with a JSON body, up to the value of Content-Length.
    fileprivate func postHead(_ path: String) -> ByteBuffer {
        ByteBuffer(string: head("POST", path, ["Content-Type: application/json"]) + "Content-Length: ")
    }
}
