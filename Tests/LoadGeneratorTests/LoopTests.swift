import ChildProcesses
import NIOCore
import Synchronization
import Testing

@testable import LoadGenerator

@Suite("Load is sent and measured", .serialized)
struct LoopTests {
    private let request = ByteBuffer(string: "GET / HTTP/1.1\r\n\r\n")

    @Test("A closed loop sends exactly the requests it was told to, each once", arguments: [1, 2])
    func closedLoopCounts(threads: Int) async throws {
        let seen = Mutex<[String: Int]>([:])
        let result = try await LoopbackServer.with(
            ServerBehaviour { _, request in
                seen.withLock { $0[request, default: 0] += 1 }
                return .answer([LoopbackServer.response(200)])
            }
        ) { server in
            try await ClosedLoop(
                target: LoadTarget(port: server.port), connections: 3, limit: .requests(100), threads: threads
            ).run(LoadScript(request: { ByteBuffer(string: "\($1 * 3 + $0)") }))
        }
        #expect(result.requests == 100)
        #expect(result.countByStatus == [200: 100])
        #expect(result.latency.count == 100)
        #expect(result.isClean)
        #expect(result.throughput > 0)
        #expect(seen.withLock { $0 } == Dictionary(uniqueKeysWithValues: (0..<100).map { ("\($0)", 1) }))
    }

    @Test("The warm-up is sent but not counted, and its sequence numbers are not used again")
    func warmUp() async throws {
        let seen = Mutex<Set<String>>([])
        let result = try await LoopbackServer.with(
            ServerBehaviour { _, request in
                seen.withLock { _ = $0.insert(request) }
                return .answer([LoopbackServer.response(200)])
            }
        ) { server in
            try await ClosedLoop(
                target: LoadTarget(port: server.port), connections: 2, warmUp: .requests(10), limit: .requests(20)
            ).run(LoadScript(request: { ByteBuffer(string: "\($0)-\($1)") }))
        }
        #expect(result.requests == 20)
        #expect(seen.withLock { $0.count } == 30)
    }

    @Test("A closed loop by time ends after that time")
    func closedLoopByTime() async throws {
        let result = try await LoopbackServer.with(ServerBehaviour { _, _ in .answer([LoopbackServer.response(200)]) })
        { server in
            try await ClosedLoop(
                target: LoadTarget(port: server.port), connections: 2, warmUp: .seconds(0.02), limit: .seconds(0.1)
            ).run(LoadScript(request: { [request] _, _ in request }))
        }
        #expect(result.seconds >= 0.1)
        #expect(result.requests > 0)
        #expect(result.latency.count == result.requests)
    }

    @Test("Answers other than 2xx are counted by their status, and the first is kept")
    func failures() async throws {
        let result = try await LoopbackServer.with(
            ServerBehaviour { number, _ in
                let answers = [
                    LoopbackServer.response(201), LoopbackServer.response(402, "too poor"), "HTTP/1.1 204 \r\n\r\n",
                ]
                return .answer([answers[number % 3]])
            }
        ) { server in
            try await ClosedLoop(target: LoadTarget(port: server.port), connections: 1, limit: .requests(9))
                .run(LoadScript(request: { [request] _, _ in request }))
        }
        #expect(result.countByStatus == [201: 3, 402: 3, 204: 3])
        #expect(result.failures == 3)
        #expect(result.firstFailure == "too poor")
        #expect(!result.isClean)
    }

    @Test("The check sees the first response of every connection, whole")
    func checks() async throws {
        let long = String(repeating: "x", count: 200_000)
        let result = try await LoopbackServer.with(
            ServerBehaviour { number, request in
                .answer([LoopbackServer.response(200, number == 0 ? long + request : "wrong")])
            }
        ) { server in
            try await ClosedLoop(target: LoadTarget(port: server.port), connections: 3, limit: .requests(9)).run(
                LoadScript(
                    request: { connection, _ in ByteBuffer(string: "\(connection)") },
                    check: { response in
                        let text = String(decoding: response.body, as: UTF8.self)
                        return text.hasPrefix(long) ? "connection " + text.dropFirst(long.count) : "not the first"
                    }))
        }
        #expect(result.complaints.sorted() == ["connection 0", "connection 1", "connection 2"])
        #expect(!result.isClean)
    }

    @Test("A response in pieces is one response")
    func pieces() async throws {
        let text = LoopbackServer.response(200, "{\"a\":1}")
        let result = try await LoopbackServer.with(ServerBehaviour { _, _ in .answer(text.map(String.init)) }) {
            server in
            try await ClosedLoop(target: LoadTarget(port: server.port), connections: 2, limit: .requests(20))
                .run(LoadScript(request: { [request] _, _ in request }))
        }
        #expect(result.countByStatus == [200: 20])
    }

    @Test(
        "A server that breaks the protocol or the connection ends the run",
        arguments: [
            LoopbackServer.Reaction.close,
            .answer(["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"]),
            .answer(["HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"]),
            .answer(["HTTP/1.1 100 Continue\r\n\r\n"]),
            .answer(["HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"]),
            .answer(["HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"]),
            .answer([LoopbackServer.response(200) + LoopbackServer.response(200)]),
        ])
    func brokenServer(reaction: LoopbackServer.Reaction) async throws {
        await #expect(throws: ResponseError.self) {
            try await LoopbackServer.with(ServerBehaviour { _, _ in reaction }) { server in
                try await ClosedLoop(target: LoadTarget(port: server.port), connections: 2, limit: .requests(20))
                    .run(LoadScript(request: { [request] _, _ in request }))
            }
        }
    }

    @Test("A server that leaves a request unanswered ends the run")
    func silentServer() async throws {
        await #expect(throws: ResponseError.self) {
            try await LoopbackServer.with(
                ServerBehaviour { number, _ in
                    number == 3 ? .silence : .answer([LoopbackServer.response(200)])
                }
            ) { server in
                try await ClosedLoop(
                    target: LoadTarget(port: server.port), connections: 2, limit: .requests(20), patience: 0.2
                ).run(LoadScript(request: { [request] _, _ in request }))
            }
        }
    }

    @Test("A port on which no server listens is an error")
    func nobodyListening() async throws {
        let port = try LoopbackPorts.next()
        await #expect(throws: (any Error).self) {
            try await ClosedLoop(target: LoadTarget(port: port), connections: 1, limit: .requests(1))
                .run(LoadScript(request: { [request] _, _ in request }))
        }
    }

    @Test("An open loop keeps its rate and uses all its connections", arguments: [1, 2])
    func openLoopRate(threads: Int) async throws {
        let seen = Mutex<[String: Int]>([:])
        let result = try await LoopbackServer.with(
            ServerBehaviour { _, request in
                seen.withLock { $0[request, default: 0] += 1 }
                return .answer([LoopbackServer.response(200)])
            }
        ) { server in
            try await OpenLoop(
                target: LoadTarget(port: server.port), connections: 4, rate: 1_000, warmUp: 0.1, seconds: 0.3,
                threads: threads
            ).run(LoadScript(request: { connection, _ in ByteBuffer(string: "\(connection)") }))
        }
        #expect(result.requests == 300)
        #expect(result.isClean)
        #expect(result.seconds >= 0.299)
        let counts = seen.withLock { $0 }
        #expect(counts.values.reduce(0, +) == 400)
        #expect(counts.count == 4)
    }

    @Test("A stall is charged to every request that came due meanwhile")
    func stall() async throws {
        // One connection at 1,000 requests per second. The hundredth answer takes 300 ms, in which 300 more become due.
        let result = try await LoopbackServer.with(
            ServerBehaviour { number, _ in
                let answer = LoopbackServer.response(200)
                return number == 100 ? .late(answer, milliseconds: 300) : .answer([answer])
            }
        ) { server in
            try await OpenLoop(target: LoadTarget(port: server.port), connections: 1, rate: 1_000, seconds: 1)
                .run(LoadScript(request: { [request] _, _ in request }))
        }
        #expect(result.requests == 1_000)
        #expect(result.latency.maximum >= 299_000_000)
        // The requests that became due in the first 200 of the 300 ms waited at least 100 ms.
        #expect(result.latency.count(from: 100_000_000) >= 195)
        #expect(result.latency.percentile(99) >= 250_000_000)
    }

    @Test("Requests that never get an answer are counted with the time they waited")
    func unanswered() async throws {
        let result = try await LoopbackServer.with(
            ServerBehaviour { number, _ in
                number < 5 ? .answer([LoopbackServer.response(200)]) : .silence
            }
        ) { server in
            try await OpenLoop(
                target: LoadTarget(port: server.port), connections: 1, rate: 100, seconds: 0.2, patience: 0.05
            ).run(LoadScript(request: { [request] _, _ in request }))
        }
        #expect(result.requests == 5)
        #expect(result.unanswered == 15)
        #expect(result.latency.count == 20)
        #expect(result.latency.maximum >= 190_000_000)
        #expect(!result.isClean)
    }
}
