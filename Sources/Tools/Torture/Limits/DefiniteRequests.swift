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

/// The disturbances of a race.
struct RaceFaults: Sendable {
    /// The ledger workers that were killed alone.
    var kills = 0
    /// The times that all processes were ended and started again.
    var restarts = 0
}

extension Fleet {
    /// Kills one ledger worker after another, and starts each again.
    ///
    /// - Parameter kills: The number of kills after which all processes are restarted; nil for never.
    func disturb(until end: RaceEnd, restartingAfter kills: Int? = nil) async throws -> RaceFaults {
        var faults = RaceFaults()
        while !end.isReached.load(ordering: .relaxed) {
            try await Task.sleep(for: .milliseconds(1_500))
            let worker = node(.ledger, faults.kills)
            await worker.kill()
            faults.kills += 1
            try await start(worker)
            guard let kills, faults.kills.isMultiple(of: kills) else { continue }
            try await restart(killing: faults.restarts.isMultiple(of: 2))
            faults.restarts += 1
        }
        return faults
    }

    /// Ends all processes at the same time, and starts them again when none is left.
    ///
    /// - Parameter kills: Whether they are killed; otherwise they are asked to end.
    private func restart(killing kills: Bool) async throws {
        await withTaskGroup(of: Void.self) { group in
            for node in nodes { group.addTask { await kills ? node.kill() : self.terminate(node) } }
        }
        for node in nodes { try await start(node) }
    }
}
