import Glibc
import JSON
import LoadGenerator
import NIOCore
import Runtime
import Synchronization

// The scenarios at a fixed rate. A latency counts from the instant at which its request was due.

extension BenchCommand {
    /// Checks at 10,000/s while 500 uses/s run, and a bare HTTP handler at the same rate beside the same uses.
    func checkLatency(_ target: LoadTarget) async throws -> [BenchmarkRow] {
        let rate = rate ?? 10_000
        let ours = try await besideUses(target) {
            try await OpenLoop(target: target, connections: 64, rate: rate, warmUp: 2, seconds: seconds).run(
                Scenario.check(target, endUsers: endUsers).script)
        }
        try requireClean(ours, "check-latency")
        var peer: LatencySummary?
        if !noPeers {
            progress("measuring a bare HTTP handler")
            let server = try await BareHTTPServer.start(answer: ByteBuffer(string: #"{"allowed":true}"#))
            let bare = LoadTarget(port: server.port)
            peer = try await besideUses(target) {
                try await OpenLoop(target: bare, connections: 64, rate: rate, warmUp: 2, seconds: seconds).run(
                    Scenario.check(bare, endUsers: endUsers).script)
            }.latency.summary
            try await server.stop()
        }
        return [
            latencyRow(
                "check-latency p99", ours, peer: peer, peerName: "bare NIO handler", goal: .atMost(1.5))
        ]
    }

    /// Reservations at 500/s, each committed about two seconds later at the same rate.
    func reserveAndCommit(_ target: LoadTarget, _ settings: Settings) async throws -> [BenchmarkRow] {
        let rate = rate ?? 500
        let (endUsers, lag) = (endUsers, 2.0)
        let reservations = Mutex<[String]>([])
        let next = Atomic<Int>(0)
        let reserve = LoadScript(
            request: { _, sequence in
                target.post(
                    "/v1/reservations",
                    Array(
                        #"{"end_user_id":"user_\#(sequence % endUsers)","feature_key":"api_calls","units":10}"#.utf8))
            },
            answered: { response in
                guard let id = (try? JSONParser.parse(response.body))?["id"]?.text else { return }
                reservations.withLock { $0.append(id) }
            })
        let commit = LoadScript(request: { _, _ in
            let number = next.add(1, ordering: .relaxed).oldValue
            // A reservation that is not there yet gives a path that is refused, and so a run that does not count.
            let id = reservations.withLock { $0.indices.contains(number) ? $0[number] : "none" }
            return target.post("/v1/reservations/\(id)/commit", Array(#"{"units":7}"#.utf8))
        })
        async let reserved = OpenLoop(
            target: target, connections: 32, rate: rate, warmUp: 1, seconds: seconds + lag
        ).run(reserve)
        try await Task.sleep(for: .seconds(lag))
        let committed = try await OpenLoop(
            target: target, connections: 32, rate: rate, warmUp: 1, seconds: seconds
        ).run(commit)
        let first = try await reserved
        try requireClean(first, "reserve")
        try requireClean(committed, "commit")
        var peer: LatencySummary?
        if !noPeers, let url = environment("QUOTASTACK_BENCH_DATABASE_URL") {
            progress("measuring roll-your-own SQL at the rate of both")
            peer = try await RollYourOwnSQL(databaseURL: url, endUsers: endUsers).latency(
                rate: Int(2 * rate), seconds: max(3, Int(seconds / 2))
            ).latency
        }
        let books = try await verify(settings)
        return [("reserve p99", first), ("commit p99", committed)].map { name, result in
            latencyRow(
                name, result, peer: peer, peerName: "SQL at \(Int(2 * rate))/s", goal: .atMost(2), balances: books)
        }
    }

    /// Runs the body while 500 uses per second run on the same installation.
    private func besideUses(
        _ target: LoadTarget, _ body: @Sendable () async throws -> LoadResult
    ) async throws -> LoadResult {
        async let uses = OpenLoop(
            target: target, connections: 32, rate: 500, warmUp: 0, seconds: seconds + 2
        ).run(Scenario.usage(target, endUsers: endUsers).script)
        let result = try await body()
        try requireClean(try await uses, "usage beside")
        return result
    }

    func latencyRow(
        _ name: String, _ result: LoadResult, peer: LatencySummary?, peerName: String, goal: BenchmarkRow.Goal?,
        balances: Bool? = nil
    ) -> BenchmarkRow {
        let latency = result.latency.summary
        return BenchmarkRow(
            scenario: name, ours: .nanoseconds(latency.p99), peerName: peer == nil ? nil : peerName,
            peer: peer.map { .nanoseconds($0.p99) }, goal: goal, latency: latency,
            peakMemory: pid.flatMap { MachineFacts.peakMemory(ofProcess: $0) }, balances: balances)
    }
}
