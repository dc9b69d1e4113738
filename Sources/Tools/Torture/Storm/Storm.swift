import Credits
import JSON

/// Faults by seed under a mixed load, then recovery, then the checks.
struct Storm {
    struct Plan {
        let seed: UInt64
        /// The storm lasts until there were this many mutations and `kills` kills.
        let mutations: Int
        let kills: Int
        /// The storm ends after this many seconds at the latest; nil for no limit.
        let seconds: Int?
        let connections: Int
        /// The maximum number of mutations per second.
        let rate: Int
        /// The average time from one fault to the next, in milliseconds.
        let meanPause: Int
        /// A known bug that all processes have, to see whether the storm notices it.
        var knownBug: String?
        /// The failpoint at which processes of its role end themselves now and then, in addition to the faults.
        var failpointOrder: String?
        /// The failpoints to hit in place of faults by seed, each `hits` times.
        var failpoints: [String] = []
        /// In place of faults by seed: the processes of an earlier release are replaced by those of this one.
        var isRollingUpdate = false
        /// In place of faults by seed: the faults of a highly available installation, one after another.
        var cluster: ClusterDriver?
        var hits = 0
    }

    let plan: Plan
    let installation: Installation
    private let violations = Violations()
    private let tally = FaultTally()

    init(plan: Plan, installation: Installation) {
        self.plan = plan
        self.installation = installation
    }

    /// Runs the storm on a fresh installation, then all checks.
    func run() async throws -> StormReport {
        try await Receivers.listening(for: installation) { try await run($0) }
    }

    private func run(_ receivers: Receivers) async throws -> StormReport {
        let begin = ContinuousClock.now
        try await giveOrders()
        let control = LoadControl(rate: plan.rate)
        let missing = MissingQueue(
            environments: installation.environments, fleet: installation.fleet, http: installation.http)
        let refused =
            plan.cluster == nil
            ? try await missing.run(queue: "\(Installation.queuePrefix)ledger.1") {
                try await installation.migrate()
            } : ClientJournal(client: -1)
        progress("seed \(plan.seed): \(plan.connections) connections, faults begin")
        let (stormJournals, clocks) = try await storm(control)
        var journals = stormJournals + [refused]
        let stormed = ContinuousClock.now - begin
        let before = journals.flatMap(\.records).map(\.outcome)
        progress("\(control.mutations) mutations, \(tally.kills) kills; healing")
        for node in installation.fleet.nodes where plan.failpointOrder != nil {
            node.order("QUOTASTACK_FAIL", nil)
            await node.kill()
            try await installation.fleet.start(node)
        }
        try await installation.fleet.waitUntilReady(installation.http, within: 120)
        let settlement = Settlement(
            environments: installation.environments, fleet: installation.fleet, http: installation.http,
            violations: violations)
        // A known bug that was noticed needs no further checks.
        let isNoticed = plan.knownBug != nil && violations.count > 0
        var checked = StormReport.Checked()
        if !isNoticed {
            checked = try await settle(settlement, &journals, clocks, receivers)
            progress("waiting for webhooks")
            try await receivers.check(installation, violations)
            checked.webhooks = receivers.counts
        }
        await installation.fleet.stop()
        for sentence in installation.fleet.reports { violations.add(sentence) }
        var secrets = installation.secrets
        for record in journals.flatMap(\.records) { record.operation.canary.map { _ = secrets.insert($0) } }
        LogCheck(secrets: secrets, violations: violations).run(folder: installation.logFolder)
        return StormReport(
            plan: plan, outcomes: before, control: control, tally: tally, checked: checked, violations: violations,
            startsGivenUp: installation.fleet.startsGivenUp, failpointHits: installation.fleet.failpointHits,
            stormed: stormed, took: ContinuousClock.now - begin)
    }

    private func giveOrders() async throws {
        let fleet = installation.fleet
        for node in fleet.nodes {
            let isMeant = plan.failpointOrder.map { FailpointDriver.roles(of: $0).contains(node.role) } ?? false
            guard isMeant else { continue }
            node.order("QUOTASTACK_FAIL", plan.failpointOrder)
            await node.kill()
            try await fleet.start(node)
        }
        try await installation.give(plan.knownBug)
        try await fleet.waitUntilReady(installation.http)
    }

    /// The number of operations by kind and final outcome.
    private static func kinds(_ journals: [ClientJournal]) -> [String: [String: Int]] {
        var kinds: [String: [String: Int]] = [:]
        for record in journals.flatMap(\.records) {
            kinds[record.operation.kind, default: [:]][record.outcome.name, default: 0] += 1
        }
        return kinds
    }

    /// Returns the journals of the clients, and the instants that the test clocks of end users show in the end.
    private func storm(_ control: LoadControl) async throws -> ([ClientJournal], [EndUser: Instant]) {
        let deadline = plan.seconds.map { ContinuousClock.now + .seconds($0) }
        let isOver: @Sendable () -> Bool = { [plan, tally, violations] in
            if plan.knownBug != nil, violations.count > 0 { return true }
            if let deadline, ContinuousClock.now >= deadline { return true }
            return control.mutations >= plan.mutations && tally.kills >= plan.kills
        }
        let driver = FaultDriver(fleet: installation.fleet, tally: tally, isOver: isOver)
        let objects = KnownObjects()
        let failpoints = FailpointDriver(
            fleet: installation.fleet, failpoints: plan.failpoints, hits: plan.hits, violations: violations)
        let probes = Probes(
            environment: installation.environments[0], fleet: installation.fleet, http: installation.http,
            control: control)
        let rollingUpdate = RollingUpdate(installation: installation, pause: .seconds(plan.seconds ?? 5))
        let tests = installation.environments.filter(\.isTest)
        return try await withThrowingTaskGroup(of: (ClientJournal, [EndUser: Instant])?.self) { group in
            group.addTask { [plan, violations] in
                defer { control.end() }
                if let cluster = plan.cluster {
                    try await cluster.run(installation, probes.timeline, violations)
                    if plan.isRollingUpdate { try await rollingUpdate.run() }
                } else if plan.isRollingUpdate {
                    try await rollingUpdate.run()
                } else if plan.failpoints.isEmpty {
                    await driver.run(FaultSchedule(seed: plan.seed, meanPause: plan.meanPause))
                } else {
                    try await failpoints.run()
                }
                return nil
            }
            if plan.cluster != nil { group.addTask { (await probes.run(), [:]) } }
            group.addTask { [tally] in
                for second in 1... {
                    try? await Task.sleep(for: .seconds(1))
                    if control.isOver { break }
                    if second % 20 == 0 { progress("\(control.mutations) mutations, \(tally.kills) kills") }
                }
                return nil
            }
            for number in 0..<plan.connections {
                group.addTask { [self] in
                    var client = LoadClient(
                        number: number, seed: plan.seed, environments: installation.environments,
                        fleet: installation.fleet, http: installation.http, control: control, tally: tally,
                        objects: objects, violations: violations)
                    await client.run()
                    return (client.journal, [:])
                }
            }
            for number in 0..<max(1, plan.connections / 8) {
                group.addTask { [self] in
                    var client = ClockClient(
                        number: number, seed: plan.seed, environment: tests[number % tests.count],
                        environmentCount: installation.environments.count, fleet: installation.fleet,
                        http: installation.http, control: control, objects: objects, violations: violations)
                    await client.run()
                    return (client.journal, client.clocks)
                }
            }
            return try await group.reduce(into: ([], [:])) { all, one in
                guard let one else { return }
                all.0.append(one.0)
                all.1.merge(one.1) { $1 }
            }
        }
    }

    /// Settles the open operations, then compares the answers, the books, the model and the exports.
    private func settle(
        _ settlement: Settlement, _ journals: inout [ClientJournal], _ clocks: [EndUser: Instant],
        _ receivers: Receivers
    ) async throws -> StormReport.Checked {
        var checked = StormReport.Checked()
        try await settlement.drain(prefix: Installation.queuePrefix)
        let environments = installation.environments
        progress("the queues are empty; checking that refused operations have no effect")
        let early = DecisionCheck(
            environments: environments, books: try await Books.read(installation.booksURL), violations: violations)
        early.nothingWasDone(journals)
        progress("following accepted operations, repeating unknown ones")
        checked.followed = await settlement.followAccepted(&journals)
        checked.repeatedOpen = await settlement.repeatOpen(&journals)
        progress("repeating decided operations")
        checked.replays = await settlement.repeatDecided(journals, about: 2_000)
        progress("ending subscriptions with windows of a minute, and waiting for the schedulers")
        journals.append(try await settlement.endBriskSubscriptions(installation.booksURL))
        try await settlement.waitUntilNothingIsDue(installation.booksURL)
        try await settlement.drain(prefix: Installation.queuePrefix)
        let endUsers = environments.flatMap { environment in
            (0..<OperationMix.endUsersPerEnvironment).map {
                EndUser(environment: environment.number, id: OperationMix.endUserID($0))
            }
        }
        let final = await settlement.observeAll(endUsers + clocks.keys, clocks)
        checked.replicaAnswers = final.count
        progress("replaying the books")
        let books = try await Books.read(installation.booksURL)
        compare(books, journals, final, receivers, &checked)
        progress("verifying the books")
        try await installation.verify(violations)
        checked.exported = try await installation.verifyExports(violations)
        if checked.exported != checked.entries {
            violations.add("the exports have \(checked.exported) entries, the books \(checked.entries)")
        }
        checked.kinds = Self.kinds(journals)
        return checked
    }

    private func compare(
        _ books: Books, _ journals: [ClientJournal], _ final: [Observation], _ receivers: Receivers,
        _ checked: inout StormReport.Checked
    ) {
        let check = DecisionCheck(environments: installation.environments, books: books, violations: violations)
        check.everythingIsDecidedOnce(journals)
        checked.orderedPairs = check.orderIsKept(journals)
        SubscriptionCheck(books: books, violations: violations).run()
        for parked in books.parkedCommands { violations.add("parked: \(parked)") }
        let numbers = Dictionary(
            uniqueKeysWithValues: installation.environments.map { ($0.identifier, $0.number) })
        var revisions: [EndUser: Int64] = [:]
        for account in books.accounts {
            guard let environment = numbers[account.environment] else { continue }
            revisions[EndUser(environment: environment, id: account.endUserID)] = account.revision
        }
        for observation in final where observation.revision != revisions[observation.endUser] ?? 0 {
            violations.add(
                "I21: in the end \(observation.node) shows \(observation.endUser) at \(observation.revision), not "
                    + "\(revisions[observation.endUser] ?? 0)")
        }
        var last = ClientJournal(client: -1)
        last.observations = final
        var replay = BookReplay(
            environments: installation.environments, books: books, journals: journals + [last],
            setUpCommands: installation.setUpCommands.union(receivers.commands), violations: violations)
        replay.run()
        checked.replay = replay.counts
        checked.accounts = books.accounts.count
        checked.entries = books.entries.values.reduce(0) { $0 + $1.count }
    }
}
