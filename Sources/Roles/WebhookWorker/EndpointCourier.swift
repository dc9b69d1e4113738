import CoreMetrics
import Credits
import Logging
import Postgres
import Runtime
import Storage
import Synchronization
import Webhooks

/// What the couriers of a worker share.
struct CourierSetup: Sendable {
    let pool: PostgresPool
    let sender: Sender
    let seal: SecretSeal
    let schedule: RetrySchedule
    let metrics: WebhookMetrics
    let logger: Logger
    let isStopping: @Sendable () -> Bool

    /// Lends a connection for one round trip. A tenant with many endpoints has a part of the connections.
    func database<Value: Sendable>(
        of environmentID: EnvironmentID, _ body: @Sendable (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        let share = PoolShare(
            atOnce: 2, longAtOnce: 1, waiting: WebhookLimits.endpointsAtOnce * 2, patience: .seconds(20),
            longPatience: .seconds(20))
        let claim = PoolClaim(owner: environmentID.rawValue, isLong: false, share: share)
        return try await pool.withConnection(claim, body)
    }
}

/// Works on one endpoint for a turn: takes steps, sends what is due, and records what came of it.
///
/// The loop never waits for the network while it has a connection of the database. Attempts run in tasks of their own and put
/// their outcomes into `finished`; the loop records all that have come together since the last time, so that a fast receiver
/// costs few statements.
struct EndpointCourier {
    private struct Finished {
        let delivery: DueDelivery
        let attempt: DeliveryAttempt
        let retryAfter: Int64?
    }

    /// How often the loop looks for new events while attempts are under way.
    private static let tick = Duration.milliseconds(200)

    let lease: WebhookLease
    let setup: CourierSetup

    private let finished = Box()
    private var environmentID: EnvironmentID { lease.key.environmentID }

    private final class Box: Sendable {
        let outcomes = Mutex<[Finished]>([])
    }

    init(lease: WebhookLease, setup: CourierSetup) {
        self.lease = lease
        self.setup = setup
    }

    /// Returns when nothing is due, when the turn is over, when the circuit opens, or when the lease is lost.
    func run() async {
        await withTaskGroup(of: Void.self) { group in
            let (signals, signal) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
            group.addTask {
                while !Task.isCancelled {
                    try? await Task.sleep(for: Self.tick)
                    signal.yield()
                }
            }
            do {
                var turn = Turn(circuit: lease.circuit)
                var iterator = signals.makeAsyncIterator()
                while try await advance(&turn, &group, signal) {
                    if turn.mustWait { await iterator.next() }
                }
            } catch {
                setup.metrics.noteFailure(error, logger: setup.logger)
            }
            group.cancelAll()
        }
    }

    /// The state of a turn.
    private struct Turn {
        var circuit: Circuit
        var window = DeliveryWindow()
        var outcomes: [AttemptOutcome] = []
        var underWay = 0
        var target: WebhookTarget?
        var secrets: [WebhookSecret] = []
        var isGone = false
        var isDisabled = false
        var mayHaveMore = true
        var lastStep: ContinuousClock.Instant?
        /// The instant before the latest statement that prolonged the lease.
        var prolonged = ContinuousClock.now
        let begun = ContinuousClock.now
        /// Whether the loop has nothing to do until an attempt ends or a tick passes.
        var mustWait = false

        init(circuit: Circuit) {
            self.circuit = circuit
        }

        /// Whether no attempt may begin any more.
        func isEnding(_ isStopping: Bool) -> Bool {
            isStopping || circuit.isOpen || isGone || isDisabled
                || ContinuousClock.now - begun > .seconds(WebhookLimits.turnSeconds)
        }

        var mayStart: Bool { ContinuousClock.now - prolonged < .seconds(WebhookLimits.lastStartSeconds) }
    }

    /// One round of the loop.
    ///
    /// - Returns: False when the turn is over.
    private func advance(
        _ turn: inout Turn, _ group: inout TaskGroup<Void>, _ signal: AsyncStream<Void>.Continuation
    ) async throws -> Bool {
        turn.mustWait = false
        take(&turn)
        let isEnding = turn.isEnding(setup.isStopping())
        while !isEnding, turn.mayStart, turn.underWay < turn.circuit.attemptsAtOnce,
            let delivery = turn.window.next()
        {
            start(delivery, &turn, &group, signal)
        }
        if !turn.outcomes.isEmpty { return try await record(&turn) }
        if isEnding {
            guard turn.underWay == 0 else {
                turn.mustWait = true
                return true
            }
            try await giveBack()
            return false
        }
        let isDue = turn.mayHaveMore || turn.lastStep.map { ContinuousClock.now - $0 >= Self.tick } ?? true
        guard turn.window.readyCount < WebhookLimits.attemptsAtOnce, isDue || turn.underWay == 0 else {
            turn.mustWait = true
            return true
        }
        return try await step(&turn)
    }

    private func take(_ turn: inout Turn) {
        let finished = finished.outcomes.withLock { outcomes in
            defer { outcomes.removeAll(keepingCapacity: true) }
            return outcomes
        }
        for one in finished {
            turn.underWay -= 1
            turn.window.finished(one.delivery.account, isSuccess: one.attempt.isSuccess)
            var next: Instant?
            if one.attempt.isSuccess {
                turn.circuit.succeeded()
            } else {
                turn.circuit.failed()
                if one.attempt.status == 410 { turn.isGone = true }
                next = setup.schedule.next(
                    afterAttempts: one.delivery.attempts + 1, failedAt: .now, retryAfter: one.retryAfter,
                    chance: Double.random(in: 0...1))
            }
            setup.metrics.count(one.attempt)
            turn.outcomes.append(
                AttemptOutcome(
                    number: one.delivery.number, account: one.delivery.account, attempt: one.attempt,
                    nextAttemptAt: next))
        }
    }

    private func record(_ turn: inout Turn) async throws -> Bool {
        let (outcomes, circuit) = (turn.outcomes, turn.circuit)
        let begun = ContinuousClock.now
        let recorded = try await setup.database(of: environmentID) { connection in
            try await WebhookRecords.record(outcomes, of: lease, circuit: circuit, on: connection)
        }
        guard let recorded else { return false }
        turn.prolonged = begun
        turn.outcomes.removeAll(keepingCapacity: true)
        turn.window.recorded()
        turn.mayHaveMore = true
        let reason: WebhookEndpoint.DisabledReason? =
            turn.isGone ? .gone : recorded.hasFailedForLong ? .failing : nil
        if let reason, !turn.isDisabled { try await disable(reason, &turn) }
        return true
    }

    private func disable(_ reason: WebhookEndpoint.DisabledReason, _ turn: inout Turn) async throws {
        let isDisabled = try await setup.database(of: environmentID) { connection in
            try await WebhookRecords.disable(lease, reason: reason, on: connection)
        }
        guard isDisabled else { return }
        turn.isDisabled = true
        let id = PublicID(.webhookEndpoint, lease.key.endpointID)
        let cause = reason == .gone ? "its receiver has answered 410" : "every attempt has failed for 5 days"
        setup.logger.warning("the webhook endpoint \(id) is disabled: \(cause)")
        setup.metrics.disabled.increment()
    }

    private func step(_ turn: inout Turn) async throws -> Bool {
        let (busy, room) = (turn.window.busy, WebhookLimits.linesPerStep - turn.window.lineCount)
        let begun = ContinuousClock.now
        let step = try await setup.database(of: environmentID) { connection in
            try await WebhookSteps.next(lease, busy: busy, lines: max(0, room), on: connection)
        }
        guard let step else { return false }
        (turn.prolonged, turn.lastStep) = (begun, .now)
        guard let target = step.target else {
            turn.isDisabled = true
            return true
        }
        turn.secrets = [target.secret, target.previousSecret].compactMap { sealed in
            sealed.flatMap { setup.seal.opened($0, of: environmentID) }
        }
        turn.target = target
        turn.mayHaveMore = step.mayHaveMore || !step.due.isEmpty
        turn.window.add(step.due)
        if step.due.isEmpty, !step.mayHaveMore {
            guard turn.underWay > 0 || turn.window.readyCount > 0 else {
                try await giveBack()
                return false
            }
            turn.mustWait = turn.window.readyCount == 0
        }
        return true
    }

    private func giveBack() async throws {
        try await setup.database(of: environmentID) { try await WebhookLeases.giveBack(lease, on: $0) }
    }

    // MARK: - Attempts

    private func start(
        _ delivery: DueDelivery, _ turn: inout Turn, _ group: inout TaskGroup<Void>,
        _ signal: AsyncStream<Void>.Continuation
    ) {
        guard let target = turn.target else { return }
        turn.underWay += 1
        let secrets = turn.secrets
        group.addTask { [setup, lease, finished] in
            let (begun, clock) = (Instant.now, ContinuousClock.now)
            let reply: Reply
            if secrets.isEmpty {
                reply = Reply(
                    error:
                        "the signing secret cannot be opened: the worker has another QUOTASTACK_WEBHOOK_KEY than the node that has made it"
                )
            } else {
                let message = OutgoingMessage(
                    delivery, environment: target.kind.rawValue, endpointID: lease.key.endpointID, at: begun,
                    secrets: secrets)
                reply = await setup.sender.send(message, to: target.url, of: lease.key.environmentID)
            }
            // An attempt that was cancelled has no outcome: the next owner repeats it.
            if Task.isCancelled { return }
            let latency = (ContinuousClock.now - clock).components
            let attempt = DeliveryAttempt(
                at: begun, status: reply.status,
                latencyMilliseconds: latency.seconds * 1_000 + latency.attoseconds / 1_000_000_000_000_000,
                error: reply.error, response: reply.excerpt)
            finished.outcomes.withLock {
                $0.append(Finished(delivery: delivery, attempt: attempt, retryAfter: reply.retryAfter))
            }
            signal.yield()
        }
    }
}
