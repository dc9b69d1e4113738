import Credits
import JSON
import LedgerModel

/// A client of the storm. It sends one step after another and records the answers.
struct LoadClient {
    private let environments: [Environment]
    private let fleet: Fleet
    private let http: HTTPCaller
    private let control: LoadControl
    private let tally: FaultTally
    private let violations: Violations
    private let objects: KnownObjects
    private var mix: OperationMix
    private(set) var journal: ClientJournal
    /// The latest position that this client has received, by end user.
    private var known: [EndUser: Known] = [:]
    /// The latest revision that a node has shown to this client, by node and end user.
    private var latest: [String: Int64] = [:]

    private struct Known {
        var token: String
        var revision: Int64
        /// The sequence of the latest entry that this client knows of.
        var sequence: Int64
    }

    init(
        number: Int, seed: UInt64, environments: [Environment], fleet: Fleet, http: HTTPCaller, control: LoadControl,
        tally: FaultTally, objects: KnownObjects, violations: Violations
    ) {
        self.environments = environments
        self.fleet = fleet
        self.http = http
        self.control = control
        self.tally = tally
        self.violations = violations
        self.objects = objects
        mix = OperationMix(seed: seed, client: number, environmentCount: environments.count, objects: objects)
        journal = ClientJournal(client: number)
    }

    mutating func run() async {
        while !control.isOver {
            switch mix.next() {
            case .mutate(let operation, let node, let isAsync, let isTwice):
                await control.send(1)
                await mutate(operation, node: node, isAsync: isAsync, isTwice: isTwice)
            case .race(let operations, let node):
                await control.send(operations.count)
                await race(operations, node: node)
            case .batch(let operations, let node, let isTwice):
                await control.send(operations.count)
                await mutate(operations, node: node, isTwice: isTwice)
            case .burst(let operations, let node):
                await control.send(operations.count)
                for operation in operations {
                    await mutate(operation, node: node, isAsync: true, isTwice: false)
                }
            case .read(let read): await look(read)
            }
        }
    }

    // MARK: - Mutations

    private mutating func mutate(_ operation: Operation, node: Int, isAsync: Bool, isTwice: Bool) async {
        let nodes = targets(node, isTwice)
        var headers = [("Idempotency-Key", operation.key)]
        if isAsync { headers.append(("Prefer", "respond-async")) }
        let results = await send(
            operation.method, operation.path, operation.endUser.environment, operation.body().bytes, headers, to: nodes)
        let outcomes = results.map { [Outcome($0)] }
        let answers = results.compactMap { result -> Answer? in
            if case .answered(let answer) = result, answer.status != 202, answer.status != 503 { answer } else { nil }
        }
        if answers.count == 2, answers[0].bytes != answers[1].bytes {
            violations.add(
                "I11: two answers to key \(operation.key): \(answers[0].text) and \(answers[1].text)")
        }
        await rest(after: outcomes)
        note([operation], outcomes, answer: journal.records.count % 20 == 0 ? answers.first?.bytes : nil)
        if let answer = answers.first { learn(operation, answer) }
    }

    /// Sends competing operations at once, each to another node. The ledger chooses their order.
    private mutating func race(_ operations: [Operation], node: Int) async {
        let nodes = fleet.apiNodes
        let results = await withTaskGroup(of: (Int, CallResult).self) { [self] group in
            for (index, operation) in operations.enumerated() {
                group.addTask {
                    let result = await send(
                        operation.method, operation.path, operation.endUser.environment, operation.body().bytes,
                        [("Idempotency-Key", operation.key)], to: [nodes[(node + index) % nodes.count]])
                    return (index, result[0])
                }
            }
            return await group.reduce(into: []) { $0.append($1) }.sorted { $0.0 < $1.0 }.map(\.1)
        }
        let outcomes = results.map { [Outcome($0)] }
        await rest(after: outcomes)
        for (operation, (result, outcome)) in zip(operations, zip(results, outcomes)) {
            note([operation], [outcome], answer: nil, isOrdered: false)
            if case .answered(let answer) = result, answer.status != 202, answer.status != 503 {
                learn(operation, answer)
            }
        }
    }

    private mutating func learn(_ operation: Operation, _ answer: Answer) {
        let body = answer.json
        if let position = answer.position {
            know(operation.endUser, position, sequence: body["entry"]?["sequence"]?.integer ?? 0)
        }
        if answer.status < 300 { objects.learn(operation, body) }
    }

    private mutating func mutate(_ operations: [Operation], node: Int, isTwice: Bool) async {
        let body = JSONValue.members([("events", .array(operations.map { $0.body(withKey: true) }))])
        let results = await send(
            "POST", "/v1/usage/batch", operations[0].endUser.environment, body.bytes, [], to: targets(node, isTwice))
        let outcomes = results.map { Outcome.batch($0, count: operations.count) }
        await rest(after: outcomes)
        note(operations, outcomes, answer: nil)
        for case .answered(let answer) in results where answer.status == 200 {
            for (operation, result) in zip(operations, answer.json["results"]?.items ?? []) {
                guard let id = result["id"]?.text.flatMap({ PublicID(.usage, parsing: $0) }),
                    let position = result["position"]?.text
                else { continue }
                know(operation.endUser, position, sequence: id.number)
                objects.learn(operation, result)
            }
        }
    }

    /// Waits a little when an operation was not accepted.
    private func rest(after outcomes: [[Outcome]]) async {
        for case .notAccepted in outcomes.flatMap({ $0 }) {
            return (try? await Task.sleep(for: .milliseconds(300))) ?? ()
        }
    }

    private func targets(_ node: Int, _ isTwice: Bool) -> [Node] {
        let nodes = fleet.apiNodes
        let first = node % nodes.count
        return isTwice ? [nodes[first], nodes[(first + 1) % nodes.count]] : [nodes[first]]
    }

    private func send(
        _ method: String, _ path: String, _ environment: Int, _ body: [UInt8], _ headers: [(String, String)],
        to nodes: [Node]
    ) async -> [CallResult] {
        let key = environments[environment].apiKey
        return await withTaskGroup(of: (Int, CallResult).self) { group in
            for (index, node) in nodes.enumerated() {
                group.addTask {
                    let result = await timed("\(method) \(path)", node) {
                        await http.send(method, node, path, key: key, body: body, headers: headers)
                    }
                    if case .answered(let answer) = result, answer.status == 201 || answer.status == 200 {
                        tally.mutationSucceeded()
                    }
                    return (index, result)
                }
            }
            return await group.reduce(into: []) { $0.append($1) }.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }

    private mutating func note(
        _ operations: [Operation], _ outcomes: [[Outcome]], answer: [UInt8]?, isOrdered: Bool = true
    ) {
        for (index, operation) in operations.enumerated() {
            var outcome = outcomes[0][index]
            if outcomes.count == 2 {
                if let joined = Outcome.joined(outcome, outcomes[1][index]) {
                    outcome = joined
                } else {
                    violations.add("I11: two outcomes of \(operation.key): \(outcome) and \(outcomes[1][index])")
                }
            }
            for one in outcomes { complainAbout(one[index], operation) }
            switch outcome {
            case .decided where isOrdered, .accepted where isOrdered:
                journal.confirmed[operation.endUser, default: []].append(journal.records.count)
            default: break
            }
            journal.records.append(
                Record(operation: operation, firstOutcome: outcome, outcome: outcome, answer: answer))
        }
    }

    /// Reports an answer that no fault excuses.
    private func complainAbout(_ outcome: Outcome, _ operation: Operation) {
        switch outcome {
        case .decided(let decision) where decision.status == 422:
            violations.add("\(operation.key) was answered \(decision.status) \(decision.mark)")
        case .decided(let decision) where decision.status == 400:
            // An expiry can pass before the command is decided, which is not the client's fault.
            if operation.mayHaveExpired, decision.mark == "invalid_request" { return }
            violations.add("\(operation.key) was answered 400 \(decision.mark)")
        case .unknown(let reason) where ["401", "403", "404", "500"].contains(String(reason.prefix(3))):
            violations.add("\(operation.key) was answered \(reason)")
        default: break
        }
    }

    private mutating func know(_ endUser: EndUser, _ token: String, sequence: Int64) {
        guard let revision = Position.revision(token) else { return }
        let before = known[endUser]
        guard before == nil || revision >= before?.revision ?? 0 else { return }
        known[endUser] = Known(token: token, revision: revision, sequence: max(sequence, before?.sequence ?? 0))
    }

    // MARK: - Reads

    private mutating func look(_ read: OperationMix.Read) async {
        let endUser = read.endUser
        let nodes = if case .check = read.what { fleet.checkingNodes } else { fleet.apiNodes }
        let node = nodes[read.node % nodes.count]
        let path =
            switch read.what {
            case .check(let feature, let units):
                "/v1/entitlements/check?end_user_id=\(endUser.id)&feature_key=\(feature)&units=\(units)"
            case .balance: "/v1/credits/balance?end_user_id=\(endUser.id)"
            case .ledger: "/v1/ledger?end_user_id=\(endUser.id)&limit=1"
            }
        let required = read.presentsPosition ? known[endUser] : nil
        let headers = required.map { [("QuotaStack-Min-Position", $0.token)] } ?? []
        let key = environments[endUser.environment].apiKey
        let start = Instant.now
        let result = await timed("GET \(path)", node) { [http] in
            await http.send("GET", node, path, key: key, headers: headers)
        }
        guard case .answered(let answer) = result else { return control.count("read unanswered") }
        control.count("read \(answer.status)")
        guard answer.status == 200 else {
            if [400, 401, 403, 500].contains(answer.status) || answer.status == 404 && required?.revision ?? 0 > 0 {
                violations.add("I21: \(node.name) answered \(path) with \(answer.text)")
            }
            return
        }
        let json = answer.json
        if case .ledger = read.what {
            let sequence = json["data"]?.items?.first?["sequence"]?.integer ?? 0
            if let required, sequence < required.sequence {
                violations.add("I21: \(node.name) shows \(endUser) up to entry \(sequence), not \(required.sequence)")
            }
            return
        }
        guard let revision = json["position"]?.text.flatMap({ Position.revision($0) }),
            let shown = Observation.Shown(json)
        else { return violations.add("I21: \(node.name) answered \(path) with \(answer.text)") }
        if let required, revision < required.revision {
            violations.add(
                "I21: \(node.name) shows \(endUser) at \(revision), the client presented \(required.revision)")
        }
        let place = "\(node.name) \(endUser.environment) \(endUser.id)"
        if let before = latest[place], revision < before {
            violations.add("I21: \(node.name) showed \(endUser) at \(before) and then at \(revision)")
        }
        latest[place] = revision
        var check: Observation.Check?
        if case .check(let feature, let units) = read.what { check = Observation.Check(feature, units, json) }
        journal.observations.append(
            Observation(
                endUser: endUser, revision: revision, shown: shown, check: check, start: start, end: .now,
                node: node.name))
    }

    // MARK: - Time

    /// Measures a call, unless its node was frozen, killed or started in the meantime.
    private func timed(_ what: String, _ node: Node, _ call: () async -> CallResult) async -> CallResult {
        let before = node.disturbance
        let start = ContinuousClock.now
        let result = await call()
        let took = ContinuousClock.now - start
        let after = node.disturbance
        if !before.isFrozen, before.count == after.count {
            control.measure(took, "\(what) at \(node.name): \(result.summary)")
        }
        return result
    }
}

extension Operation {
    /// Whether the operation names the instant at which its credits expire or a pause ends, or a start from which a
    /// duration counts.
    fileprivate var mayHaveExpired: Bool {
        let expiry: ModelLedger.Expiry? =
            switch command {
            case .grant(let grant): grant.expiry
            case .topUp(let topUp): topUp.expiry
            default: nil
            }
        if case .subscription(.pause(_, _?)) = command { return true }
        if case .grant(let grant) = command, grant.startsAt != nil { return expiry != .never }
        return if case .at = expiry { true } else { false }
    }
}
