import JSON
import NIOCore
import Synchronization
import Testing

@testable import LoadGenerator

@Suite("Scenarios send the intended requests")
struct ScenarioTests {
    private let target = LoadTarget(port: 8_080, apiKey: "qs_test_1")

    @Test("A check names one of the end users, and all of them in turn")
    func check() {
        let scenario = Scenario.check(target, endUsers: 10)
        let first = String(buffer: scenario.script.request(0, 0))
        #expect(first.hasPrefix("GET /v1/entitlements/check?end_user_id=user_"))
        #expect(
            first.hasSuffix(
                "&feature_key=api_calls HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAuthorization: Bearer qs_test_1\r\n\r\n"))
        #expect(first == String(buffer: scenario.script.request(0, 0)))
        let requests = Set((0..<1_000).map { String(buffer: scenario.script.request($0 % 7, $0)) })
        #expect(requests.count == 10)
    }

    @Test("A usage event is complete JSON with its length")
    func usage() throws {
        let body = try body(of: Scenario.usage(target, endUsers: 1).script.request(3, 5), path: "/v1/usage")
        #expect(body == ["end_user_id": .string("user_0"), "feature_key": .string("api_calls"), "units": .integer(1)])
    }

    @Test("A batch has the given number of events, unique idempotency keys, and end users that are spread")
    func usageBatch() throws {
        let scenario = Scenario.usageBatch(target, endUsers: 1_000_000, events: 100, run: "r1")
        #expect(scenario.operationsPerRequest == 100)
        var keys: Set<String> = []
        var endUsers: Set<String> = []
        for (connection, sequence) in [(0, 0), (0, 1), (1, 0), (11, 0), (1, 10)] {
            let body = try body(of: scenario.script.request(connection, sequence), path: "/v1/usage/batch")
            guard case .array(let events)? = body["events"] else {
                Issue.record("no events")
                return
            }
            #expect(events.count == 100)
            for event in events {
                guard case .object(let event) = event, case .string(let key)? = event["idempotency_key"],
                    case .string(let endUser)? = event["end_user_id"]
                else {
                    Issue.record("an event without key or end user")
                    return
                }
                #expect(key.hasPrefix("r1-"))
                keys.insert(key)
                endUsers.insert(endUser)
            }
        }
        #expect(keys.count == 500)
        #expect(endUsers.count > 490)
        #expect(Scenario.randomRunName() != Scenario.randomRunName())
    }

    @Test("A batch of checks has the given number of checks")
    func checkBatch() throws {
        let scenario = Scenario.checkBatch(target, endUsers: 10)
        let body = try body(of: scenario.script.request(0, 0), path: "/v1/entitlements/check-batch")
        guard case .array(let checks)? = body["checks"] else {
            Issue.record("no checks")
            return
        }
        #expect(checks.count == 100)
    }

    @Test("The scenarios complain about unexpected answers")
    func complaints() {
        func complaint(_ scenario: Scenario, _ status: Int, _ body: String) -> String? {
            scenario.script.check?(LoadResponse(status: status, body: Array(body.utf8)))
        }
        let check = Scenario.check(target, endUsers: 1)
        #expect(complaint(check, 200, #"{"allowed":true}"#) == nil)
        #expect(complaint(check, 200, #"{"allowed":false}"#) != nil)
        #expect(complaint(check, 500, #"{"allowed":true}"#) != nil)
        let usage = Scenario.usage(target, endUsers: 1)
        #expect(complaint(usage, 201, #"{"id":"use_1"}"#) == nil)
        #expect(complaint(usage, 202, #"{"operation":{}}"#) != nil)
        let batch = Scenario.usageBatch(target, endUsers: 1, events: 2)
        #expect(batch.name == "usage-hot")
        #expect(complaint(batch, 200, #"{"accepted":2,"replayed":0,"rejected":0,"results":[]}"#) == nil)
        #expect(complaint(batch, 200, #"{"accepted":1,"replayed":0,"rejected":1,"results":[]}"#) != nil)
        let checks = Scenario.checkBatch(target, endUsers: 1, checks: 1)
        #expect(complaint(checks, 200, #"{"results":[{}]}"#) == nil)
        #expect(complaint(checks, 200, #"{"results":[]}"#) != nil)
    }

    @Test("Preparing makes a feature, a rule, and every block of every end user once")
    func preparation() async throws {
        let seen = Mutex<[String]>([])
        _ = try await LoopbackServer.with(
            ServerBehaviour { _, request in
                seen.withLock { $0.append(request) }
                return .answer([
                    LoopbackServer.response(
                        request.hasPrefix("POST /v1/features ") ? 409 : 201, #"{"rejected":0}"#)
                ])
            }
        ) { server in
            try await Preparation(
                target: LoadTarget(port: server.port), rule: .flat(amount: 5), endUsers: 10, connections: 4,
                grantsPerRequest: 12
            ).run()
        }
        let requests = seen.withLock { $0 }
        #expect(requests[0].hasSuffix(#"{"key":"api_calls","name":"API calls","type":"metered"}"#))
        #expect(requests[1].hasPrefix("POST /v1/metering-rules "))
        #expect(requests[1].hasSuffix(#"{"feature_key":"api_calls","model":"flat","amount":5}"#))
        let grants = requests.dropFirst(2)
        #expect(grants.count == 3)
        #expect(grants.allSatisfy { $0.hasPrefix("POST /v1/credits/grant/batch ") })
        let keys = grants.flatMap { $0.split(separator: #""idempotency_key":""#).dropFirst() }
            .compactMap { $0.split(separator: "\"").first }
        #expect(Set(keys).count == 30)
        #expect(keys.contains("benchmark-user_9-block_2"))
    }

    @Test("Preparing stops when a grant was rejected")
    func rejectedGrant() async throws {
        let error = await #expect(throws: PreparationError.self) {
            try await LoopbackServer.with(
                ServerBehaviour { _, _ in .answer([LoopbackServer.response(200, #"{"rejected":1}"#)]) }
            ) { server in
                try await Preparation(target: LoadTarget(port: server.port), endUsers: 1).run()
            }
        }
        #expect(error?.description == #"grants were refused: {"rejected":1}"#)
    }

    @Test("Preparing stops at the first refusal and says what was refused")
    func refusedPreparation() async throws {
        let error = await #expect(throws: PreparationError.self) {
            try await LoopbackServer.with(ServerBehaviour { _, _ in .answer([LoopbackServer.response(401, "no key")]) })
            { server in
                try await Preparation(target: LoadTarget(port: server.port), endUsers: 1).run()
            }
        }
        #expect(error?.description == "POST /v1/features was answered with 401: no key")
    }

    /// The JSON body of a POST. Its length must be the stated one.
    private func body(of request: ByteBuffer, path: String) throws -> JSONObject {
        let text = String(buffer: request)
        #expect(text.hasPrefix("POST \(path) HTTP/1.1\r\n"))
        let parts = text.split(separator: "\r\n\r\n", maxSplits: 1)
        try #require(parts.count == 2)
        #expect(parts[0].hasSuffix("\r\nContent-Length: \(parts[1].utf8.count)"))
        guard case .object(let body) = try JSONParser.parse(Array(parts[1].utf8)) else { return [:] }
        return body
    }
}
