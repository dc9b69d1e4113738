import ChildProcesses
import Credits
import JSON
import LedgerModel

/// Determines the outcome of every operation that a storm left open, once all processes run again.
struct Settlement {
    let environments: [Environment]
    let fleet: Fleet
    let http: HTTPCaller
    let violations: Violations
    private static let lanes = 32
    /// The time limit of one pass over the open operations. An operation without an outcome by then counts as
    /// undecided.
    private static let patience = Duration.seconds(120)

    /// Waits until no command is in a queue or unacknowledged at a worker (I23).
    func drain(prefix: String, within seconds: Int = 90) async throws {
        var last = ""
        do {
            try await waitUntil("the queues are empty", within: seconds) {
                let queues = try await fleet.rabbitmq.queues().filter {
                    $0.key.hasPrefix("\(prefix)ledger.") || $0.key == "\(prefix)catalog"
                }
                last = "\(queues)"
                return !queues.isEmpty && queues.values.allSatisfy { $0.ready == 0 && $0.unacknowledged == 0 }
            }
        } catch is WaitedInVain {
            violations.add("I23: after \(seconds) s the queues are not empty: \(last)")
        }
    }

    /// Waits until no account is due within the next minute. Only the schedulers advance accounts at this point.
    func waitUntilNothingIsDue(_ booksURL: String, within seconds: Int = 120) async throws {
        var last: Int64 = 0
        do {
            try await waitUntil("nothing is due", within: seconds) {
                last = try await Books.accountsDue(booksURL, withinSeconds: 60)
                if last > 0 { try await Task.sleep(for: .seconds(1)) }
                return last == 0
            }
        } catch is WaitedInVain {
            violations.add("after \(seconds) s \(last) accounts are still due: no scheduler has advanced them")
        }
    }

    /// Cancels the subscriptions whose windows are so short that something would always be due.
    ///
    /// - Returns: A journal of the cancellations.
    func endBriskSubscriptions(_ booksURL: String) async throws -> ClientJournal {
        let numbers = Dictionary(uniqueKeysWithValues: environments.map { ($0.identifier, $0.number) })
        var journals = [ClientJournal(client: -2)]
        for (environment, endUser, id) in try await Books.subscriptions(to: Market.key(Market.brisk), booksURL) {
            guard let number = numbers[environment] else { continue }
            let operation = Operation(
                EndUser(environment: number, id: endUser),
                .subscription(.cancel(Int(id.number), now: true, revokes: false)), about: id, key: "calm-\(id)")
            journals[0].records.append(
                Record(operation: operation, firstOutcome: .unknown("not sent"), outcome: .unknown("not sent")))
        }
        _ = await repeatOpen(&journals)
        return journals[0]
    }

    /// Polls every accepted operation without sending it again: an accepted operation is never lost.
    ///
    /// - Returns: The number of accepted operations.
    func followAccepted(_ journals: inout [ClientJournal]) async -> Int {
        await settle(&journals) { outcome in
            if case .accepted = outcome { true } else { false }
        } with: { record, node, deadline in
            guard case .accepted(let operation) = record.outcome else { return nil }
            return await follow(operation, record.operation, node, until: deadline)
        }
    }

    /// Repeats, with its key, every operation whose outcome is unknown or that was not accepted.
    ///
    /// - Returns: The number of repeated operations.
    func repeatOpen(_ journals: inout [ClientJournal]) async -> Int {
        await settle(&journals) { outcome in
            switch outcome {
            case .unknown, .notAccepted: true
            case .decided, .accepted: false
            }
        } with: { record, node, deadline in
            for attempt in 0... {
                let operation = record.operation
                let result = await http.send(
                    operation.method, fleet.apiNodes[(node + attempt) % fleet.apiNodes.count], operation.path,
                    key: environments[operation.endUser.environment].apiKey, body: operation.body().bytes,
                    headers: [("Idempotency-Key", operation.key)])
                switch Outcome(result) {
                case .decided(let decision): return .decided(decision)
                case .accepted(let identifier): return await follow(identifier, operation, node, until: deadline)
                case .unknown, .notAccepted: break
                }
                if ContinuousClock.now > deadline { break }
                try? await Task.sleep(for: .milliseconds(200))
            }
            return nil
        }
    }

    private func follow(
        _ identifier: String, _ operation: Operation, _ node: Int, until deadline: ContinuousClock.Instant
    ) async -> Outcome? {
        for attempt in 0... {
            let result = await http.send(
                "GET", fleet.apiNodes[(node + attempt) % fleet.apiNodes.count], "/v1/operations/\(identifier)",
                key: environments[operation.endUser.environment].apiKey)
            if case .answered(let answer) = result, answer.status == 200 {
                let shown = answer.json["operation"]
                if shown?["status"]?.text != "pending", let status = shown?["result"]?["status"]?.integer {
                    return Outcome(status: Int(status), body: shown?["result"]?["body"] ?? .null)
                }
            }
            if ContinuousClock.now > deadline { break }
            try? await Task.sleep(for: .milliseconds(200))
        }
        return nil
    }

    private func settle(
        _ journals: inout [ClientJournal], where isOpen: (Outcome) -> Bool,
        with decide: @Sendable @escaping (Record, Int, ContinuousClock.Instant) async -> Outcome?
    ) async -> Int {
        var open: [(journal: Int, record: Int)] = []
        for (journal, content) in journals.enumerated() {
            for (record, one) in content.records.enumerated() where isOpen(one.outcome) {
                open.append((journal, record))
            }
        }
        let work = open.map { ($0.journal, $0.record, journals[$0.journal].records[$0.record]) }
        let deadline = ContinuousClock.now + Self.patience
        let found = await withTaskGroup(of: [(Int, Int, Outcome?)].self) { group in
            for lane in 0..<Self.lanes {
                group.addTask {
                    var found: [(Int, Int, Outcome?)] = []
                    for place in stride(from: lane, to: work.count, by: Self.lanes) {
                        let (journal, index, record) = work[place]
                        found.append((journal, index, await decide(record, place, deadline)))
                    }
                    return found
                }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
        for (journal, index, outcome) in found {
            let record = journals[journal].records[index]
            guard let outcome else {
                violations.add("I14: \(record.operation.key) stays undecided: \(record.outcome), \(record.operation)")
                continue
            }
            journals[journal].records[index].outcome = outcome
        }
        return work.count
    }

    // MARK: - Replays and replicas

    /// Repeats decided operations on every API node. Each must answer the same bytes as the first time, as a replay. A
    /// refusal by a window is left out, because it is forgotten at the window's end.
    ///
    /// - Returns: The number of repeated operations.
    func repeatDecided(_ journals: [ClientJournal], about count: Int) async -> Int {
        var decided: [Record] = []
        for journal in journals {
            decided += journal.records.filter { record in
                if case .decided(let decision) = record.outcome { !decision.mayBeForgotten } else { false }
            }
        }
        let step = max(1, decided.count / count)
        let sample = decided.enumerated().filter {
            $0.offset % step == 0 || $0.element.answer != nil && $0.offset % 3 == 0
        }
        .map(\.element)
        await withTaskGroup(of: Void.self) { group in
            for lane in 0..<Self.lanes {
                group.addTask {
                    for place in stride(from: lane, to: sample.count, by: Self.lanes) { await again(sample[place]) }
                }
            }
        }
        return sample.count
    }

    private func again(_ record: Record) async {
        let operation = record.operation
        var first = record.answer
        for node in fleet.apiNodes {
            // A busy machine may take longer than the node waits.
            let result = await http.send(
                operation.method, node, operation.path, key: environments[operation.endUser.environment].apiKey,
                body: operation.body().bytes, headers: [("Idempotency-Key", operation.key), ("Prefer", "wait=60")],
                limit: .seconds(90))
            guard case .answered(let answer) = result else {
                violations.add("the replay of \(operation.key) on \(node.name) failed: \(result)")
                continue
            }
            if !answer.isReplay || Outcome(result) != record.outcome || answer.bytes != first ?? answer.bytes {
                violations.add(
                    "I11: the replay of \(operation.key) on \(node.name) is \(answer.text), not a replay of "
                        + (first.map { String(decoding: $0, as: UTF8.self) } ?? "\(record.outcome)"))
            }
            first = first ?? answer.bytes
        }
    }

    /// Sends a check for every end user to every node.
    ///
    /// - Parameter clocks: The instants that the test clocks of end users show.
    /// - Returns: The answers, to be compared with the books.
    func observeAll(_ endUsers: [EndUser], _ clocks: [EndUser: Instant]) async -> [Observation] {
        await withTaskGroup(of: [Observation].self) { group in
            for node in fleet.checkingNodes {
                group.addTask {
                    var observations: [Observation] = []
                    for endUser in endUsers {
                        if let observation = await observe(endUser, node, clocks[endUser]) {
                            observations.append(observation)
                        }
                    }
                    return observations
                }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
    }

    private func observe(_ endUser: EndUser, _ node: Node, _ clock: Instant?) async -> Observation? {
        let path = "/v1/entitlements/check?end_user_id=\(endUser.id)&feature_key=calls"
        let start = Instant.now
        let result = await http.send("GET", node, path, key: environments[endUser.environment].apiKey)
        guard case .answered(let answer) = result, answer.status == 200, let shown = Observation.Shown(answer.json),
            let token = answer.json["position"]?.text
        else {
            violations.add("\(node.name) does not answer a check of \(endUser): \(result)")
            return nil
        }
        return Observation(
            endUser: endUser, revision: Position.revision(token) ?? -1, shown: shown,
            check: Observation.Check("calls", 1, answer.json), start: clock ?? start, end: clock ?? .now,
            node: node.name)
    }
}
