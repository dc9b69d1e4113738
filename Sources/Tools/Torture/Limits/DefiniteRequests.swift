import JSON
import Synchronization

/// Whether a race is over.
final class RaceEnd: Sendable {
    let isReached = Atomic(false)
}

extension Installation {
    /// Sends a request until its outcome is known, to one API node after another.
    ///
    /// - Parameters:
    ///   - node: The number of the first node.
    ///   - repeating: Is called before each repetition.
    func definite(
        _ method: String, _ path: String, _ body: JSONValue?, key: String?, in environment: Environment,
        node: Int = 0, repeating: () -> Void = {}
    ) async throws -> Answer {
        let nodes = fleet.apiNodes
        for attempt in 0..<600 {
            if attempt > 0 {
                repeating()
                try await Task.sleep(for: .milliseconds(50))
            }
            let result = await http.send(
                method, nodes[(node + attempt) % nodes.count], path, key: environment.apiKey, body: body?.bytes,
                headers: key.map { [("Idempotency-Key", $0)] } ?? [])
            guard case .answered(let answer) = result else { continue }
            if answer.status != 202, answer.status != 429, answer.status < 500 { return answer }
        }
        throw TortureError("\(method) \(path) has no definite answer after 600 requests")
    }
}

extension Fleet {
    /// Kills one ledger worker after another, and starts each again.
    ///
    /// - Returns: The number of kills.
    func killWorkers(until end: RaceEnd) async throws -> Int {
        var kills = 0
        while !end.isReached.load(ordering: .relaxed) {
            try await Task.sleep(for: .milliseconds(1_500))
            let worker = node(.ledger, kills)
            await worker.kill()
            kills += 1
            try await start(worker)
        }
        return kills
    }
}
