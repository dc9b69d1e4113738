import Answers
import Catalogue
import Commands
import CoreMetrics
import Credits
import Failpoints
import Ledger
import Postgres
import Runtime
import Storage

/// One account command of a batch, with the request that it came from.
struct AccountItem: Sendable {
    let origin: RequestOrigin
    let wantsBody: Bool
    let command: AccountCommand

    var accountKey: AccountKey { key(of: command.endUserID) }
    /// The receiver's account of a transfer; nil for every other action.
    var receiverKey: AccountKey? { command.action.needs.receiver.map { key(of: $0) } }
    /// The external payment that a top-up names; nil for everything else.
    var payment: (key: PaymentKey, fingerprint: Bits128)? {
        command.action.needs.payment.map { claim in
            (PaymentKey(environmentID: origin.environmentID, externalID: claim.externalID), claim.fingerprint)
        }
    }
    var commandKey: CommandKey { CommandKey(environmentID: origin.environmentID, id: command.identity.id) }
    var fingerprint: Bits128? { command.identity.fingerprint }

    private func key(of endUserID: EndUserID) -> AccountKey {
        AccountKey(environmentID: origin.environmentID, endUserID: endUserID)
    }
}

/// Applies a batch of account commands in one transaction: read, decide, write.
///
/// 1. `load` opens the transaction, locks the accounts in the order of their ids, and loads them with their open
///    blocks, the earlier decisions of the commands, the applied payments, the catalogue versions and the database's
///    clock. When a catalogue has changed, the transaction is rolled back, `CatalogueCache` loads the change while no
///    account is locked, and `load` begins again.
/// 2. `decide` takes the items in order. A command that was decided before gets its stored result again, and a reused
///    idempotency key gets 422. Every other command goes to `AccountDraft`, which is pure. A later item sees the
///    effects of the earlier ones.
/// 3. `LedgerStore.write` stores the `plan` with one statement per table and commits.
///
/// A `BatchLoop` calls `apply` with at most `CommandLimits.perTransaction` commands, or `perSharedTransaction` when they are
/// of several environments. The transaction ends before all of them are decided when its estimated cost reaches
/// `BatchPace.limit` (`sharedLimit` for several environments), when it has lasted for `BatchPace.longest`, or when their
/// accounts have more than `BatchPace.loadedRows` rows. At least one item is decided.
///
/// Invariants:
/// - The transaction contains all effects of the items that were decided, or none of them is stored.
/// - A command is stored as decided in the transaction of its effects, and so is a refusal. `advance` is the exception:
///   it is idempotent and is never stored.
/// - A payment is applied once. The same request under another command id gets the payment's first answer, and any
///   other request for the payment is refused.
/// - Only a decision with status 400, or one whose window has ended, is ever replaced.
/// - All commands of the batch have the same `now`, which is read after the locks.
///
/// On failure `apply` throws and nothing is stored, unless the connection was lost during the commit: then the outcome
/// is unknown. The caller rolls back and applies the same items again, which finds the commands that were committed.
struct AccountBatch {
    private let items: [AccountItem]
    private let connection: PostgresConnection
    /// The accounts that were loaded: the first ones of the batch, in the order of its items.
    private var drafts: [AccountDraft] = []
    private var draftIndex: [AccountKey: Int] = [:]
    /// The decided commands that the batch knows: the loaded ones, and those that it has decided so far. A batch can
    /// contain the same command twice.
    private var decided: [CommandKey: DecidedCommand] = [:]
    /// The commands that this batch has decided, in order.
    private var newDecisions: [CommandKey] = []
    /// The commands that have a result that is not a replay. A request can contain the same command twice.
    private var answered: Set<CommandKey> = []
    /// The commands in `newDecisions` that replace a stored decision, which is forgotten.
    private var replaced: Set<CommandKey> = []
    /// The payments of the batch that were applied earlier or in this batch.
    private var payments: [PaymentKey: AppliedPayment] = [:]
    private var newPayments: [NewPayment] = []
    private var catalogueVersions: [EnvironmentID: Int64] = [:]
    private var unusedAccounts: [AccountKeyByNumber] = []
    private var pace = BatchPace()
    /// Whether the transaction ended because of `BatchPace.longest`.
    private var ranOutOfTime = false
    private var now = Instant.epoch
    /// The counters that each item needs, by the index of the account, while its accounts are as they were loaded.
    private var needsWhenLoaded: [[(account: Int, needs: CounterNeeds)]] = []

    private init(_ items: [AccountItem], on connection: PostgresConnection) {
        self.items = items
        self.connection = connection
    }

    /// Applies the items, or the first ones, and commits.
    ///
    /// - Returns: One result for each of the items that were decided, in order.
    /// - Throws: After an error nothing is stored, unless the connection was lost during the commit. Applying the same
    ///   items again is safe in both cases.
    static func apply(
        _ items: [AccountItem], catalogues: CatalogueCache, metrics: LedgerMetrics, on connection: PostgresConnection
    ) async throws -> AppliedPart {
        var batch = AccountBatch(items, on: connection)
        try await batch.load()
        var current = catalogues.catalogues(batch.catalogueVersions)
        if current == nil {
            let versions = batch.catalogueVersions
            _ = try await connection.run(PostgresQuery("rollback"))
            try await catalogues.refresh(to: versions, on: connection)
            batch = AccountBatch(items, on: connection)
            try await batch.load()
            // A catalogue that has changed once more meanwhile lacks a few items, which are read at once.
            current = try await catalogues.refresh(to: batch.catalogueVersions, on: connection)
        }
        try await batch.loadCounters(current ?? [:])
        let loaded = ContinuousClock.now
        Failpoint.workerAfterLoad.hit()
        let results = await batch.decideInOrder(current ?? [:])
        Failpoint.workerAfterDecide.hit()
        let start = ContinuousClock.now
        do {
            try await LedgerStore.write(batch.plan, on: connection)
        } catch let error as PostgresError where start - loaded >= LedgerStore.idleLimit {
            // The server has closed the connection, and often nothing more can be read from it.
            throw TransactionTimedOut(error: error)
        }
        metrics.commitSeconds.record((ContinuousClock.now - start).seconds)
        batch.pace.isPartial = results.count < items.count && !batch.ranOutOfTime
        return AppliedPart(results: results, pace: batch.pace)
    }

    private var plan: BatchPlan {
        BatchPlan(
            accounts: drafts, unusedAccounts: unusedAccounts, payments: newPayments,
            decided: newDecisions.compactMap { decided[$0] }, replaced: replaced)
    }

    // MARK: - Read

    private mutating func load() async throws {
        var keys: [AccountKey] = []
        var needs = BatchNeeds()
        for item in items {
            for key in [item.accountKey, item.receiverKey] {
                guard let key, draftIndex[key] == nil else { continue }
                draftIndex[key] = keys.count
                keys.append(key)
            }
            if let payment = item.payment { needs.payments.insert(payment.key) }
            let own = item.command.action.needs
            if own.areOfPast {
                needs.accounts[item.accountKey, default: AccountNeeds()].formUnion(own)
            }
        }
        needs.commands = items.map(\.commandKey)
        let loaded = try await LedgerStore.load(keys, needs: needs, upTo: BatchPace.loadedRows, on: connection)
        drafts = loaded.accounts
        for index in drafts.indices { drafts[index].limitSteps() }
        unusedAccounts = loaded.unusedAccounts
        for draft in drafts { pace.add(draft.account.environmentID, loadedRows: draft.openRows + draft.history.rows) }
        decided = loaded.decided
        payments = loaded.payments
        catalogueVersions = loaded.catalogueVersions
        now = loaded.now
    }

    /// Loads the counters that the items need, by the settings that the accounts have now, and the charges of jobs that
    /// get something back.
    private mutating func loadCounters(_ catalogues: [EnvironmentID: Catalogue]) async throws {
        var needs: [Int: CounterNeeds] = [:]
        var jobs = 0
        needsWhenLoaded = items.map { self.needs(of: $0, catalogues) }
        for (index, var need) in needsWhenLoaded.joined() {
            // Past usage is read for the first command of an account that asks for it; a later one has to wait.
            if needs[index]?.usage.isEmpty == false { need.usage = [] }
            // Jobs that get credits back wait too when there are more than `BatchPace.jobsGivingBack`: each may have many
            // charges.
            jobs += need.charged.count
            if jobs > BatchPace.jobsGivingBack { need.charged = [] }
            needs[index, default: CounterNeeds()].formUnion(need)
        }
        let rows = needs.keys.reduce(into: [:]) { rows, index in rows[index] = drafts[index].history.rows }
        try await LedgerStore.loadCharges(of: needs.mapValues(\.charged), into: &drafts, on: connection)
        for (index, before) in rows {
            pace.add(drafts[index].account.environmentID, loadedRows: drafts[index].history.rows - before)
        }
        try await CounterStore.load(needs, into: &drafts, now: now, on: connection)
    }

    /// The counters that an item needs, by the index of the account.
    private func needs(
        of item: AccountItem, _ catalogues: [EnvironmentID: Catalogue]
    ) -> [(account: Int, needs: CounterNeeds)] {
        let catalogue = catalogues[item.origin.environmentID] ?? Catalogue()
        let keys = [item.accountKey, item.receiverKey].compactMap { $0 }
        let indices = keys.compactMap { draftIndex[$0] }.filter { $0 < drafts.count }
        // A transfer advances both accounts to the later of their instants.
        let instant = indices.count > 1 ? indices.map { drafts[$0].account.advancedTo }.reduce(now, max) : now
        return indices.map { index in
            let action = index == indices.first ? item.command.action : .advance
            return (index, drafts[index].needs(of: action, catalogue: catalogue, now: instant))
        }
    }

    /// Whether the item can be decided with what was loaded. A change of limits by an earlier item may ask for more, and
    /// past usage is read only before the account is changed.
    private func isLoaded(_ place: Int, _ catalogues: [EnvironmentID: Catalogue]) -> Bool {
        let before = needsWhenLoaded[place]
        let isUnchanged = before.allSatisfy { !drafts[$0.account].isChanged }
        return (isUnchanged ? before : needs(of: items[place], catalogues)).allSatisfy { index, needs in
            drafts[index].has(needs) && (needs.usage.isEmpty || !drafts[index].isChanged)
        }
    }

    // MARK: - Decide

    /// Decides the items whose accounts were loaded, until the batch has reached its limit of cost.
    private mutating func decideInOrder(_ catalogues: [EnvironmentID: Catalogue]) async -> [CommandResult] {
        var results: [CommandResult] = []
        var pauses = WorkPauses()
        results.reserveCapacity(items.count)
        newDecisions.reserveCapacity(items.count)
        decided.reserveCapacity(decided.count + items.count)
        let limit = catalogueVersions.count > 1 ? BatchPace.sharedLimit : BatchPace.limit
        let end = ContinuousClock.now + BatchPace.longest
        for (place, item) in items.enumerated() {
            guard let index = draftIndex[item.accountKey], index < drafts.count else { break }
            let receiver = item.receiverKey.flatMap { draftIndex[$0] }
            guard receiver ?? 0 < drafts.count else { break }
            // The id of an erased end user belongs to a new account, which the next transaction loads.
            guard drafts[index].erasure == nil, receiver.map({ drafts[$0].erasure == nil }) ?? true else { break }
            if !results.isEmpty, !KnownBug.unboundedTransactions.isActive {
                ranOutOfTime = ContinuousClock.now >= end
                if ranOutOfTime || pace.total >= limit { break }
            }
            guard results.isEmpty || isLoaded(place, catalogues) else { break }
            let environmentID = item.origin.environmentID
            let rows = drafts[index].changedRows + (receiver.map { drafts[$0].changedRows } ?? 0)
            let start = ThreadTime.now
            results.append(decide(item, index, catalogue: catalogues[environmentID] ?? Catalogue()))
            let time = ThreadTime.now - start
            let written = drafts[index].changedRows + (receiver.map { drafts[$0].changedRows } ?? 0) - rows
            pace.add(environmentID, commands: 1, time: time, writtenRows: written)
            await pauses.pauseIfDue()
        }
        return results
    }

    private mutating func decide(_ item: AccountItem, _ index: Int, catalogue: Catalogue) -> CommandResult {
        if let earlier = decided[item.commandKey] {
            let now = drafts[index].account.currentInstant(clock: now, catalogue: catalogue)
            switch earlier.verdict(for: item.fingerprint, from: item.origin, now: now) {
            case .replay:
                let isReplay = earlier.isReplay(for: item.origin) || !answered.insert(item.commandKey).inserted
                return CommandResult(earlier, isReplay: isReplay, wantsBody: item.wantsBody)
            case .conflict: return CommandResult(.keyReuse, requestID: item.origin.requestID)
            case .erased: return CommandResult(.answerErased, requestID: item.origin.requestID)
            case .free: break
            }
        }
        Failpoint.workerDuringDecide.hit(item.command.endUserID.rawValue)
        if let payment = item.payment, let applied = payments[payment.key], applied.fingerprint == payment.fingerprint {
            // The same request has applied this payment under another command id: the answer is the payment's first
            // answer.
            let decision = decision(
                of: item, status: applied.status, content: .body(applied.body), account: drafts[index].account)
            remember(decision)
            return CommandResult(decision, isReplay: true, wantsBody: item.wantsBody)
        }
        let outcome = apply(item, to: index, catalogue: catalogue)
        // The account is a step further. The command is not decided, and its repetition goes on from there.
        if case .refused(.catchingUp) = outcome {
            var result = CommandResult(.catchingUp, requestID: item.origin.requestID)
            result.position = drafts[index].account.position
            return result
        }
        let decision = decision(of: item, outcome, account: drafts[index].account)
        // Only `advance` has no audit action. It is idempotent, so it is neither audited nor stored as decided.
        if decision.action != nil { remember(decision) }
        return CommandResult(decision, isReplay: false, wantsBody: item.wantsBody)
    }

    private mutating func apply(_ item: AccountItem, to index: Int, catalogue: Catalogue) -> Outcome {
        let idempotencyKey = item.command.identity.idempotencyKey?.text
        // `decide` has answered the same request for this payment already, so this request differs from it.
        if let payment = item.payment, payments[payment.key] != nil { return .refused(.paymentAlreadyApplied) }
        guard case .transfer(let transfer) = item.command.action, let receiver = item.receiverKey else {
            return drafts[index].apply(
                item.command.action, idempotencyKey: idempotencyKey, catalogue: catalogue, now: now)
        }
        guard let other = draftIndex[receiver], other != index else {
            preconditionFailure("the receiver of a transfer must be loaded and must not be the sender")
        }
        return drafts.withUnsafeMutableBufferPointer { drafts in
            AccountDraft.transfer(
                transfer, from: &drafts[index], to: &drafts[other], idempotencyKey: idempotencyKey,
                catalogue: catalogue, now: now)
        }
    }

    private mutating func decision(of item: AccountItem, _ outcome: Outcome, account: Account) -> DecidedCommand {
        // Only the entry of a use is stored: a repetition makes the answer from the entry again.
        if case .used(let entry, _) = outcome {
            return decision(of: item, status: 201, content: .use(account.name, entry), account: account)
        }
        let answer = Answer(outcome, of: account.name, requestID: item.origin.requestID)
        if let payment = item.payment, case .granted(let granted, _, _) = outcome {
            let applied = AppliedPayment(
                fingerprint: payment.fingerprint, status: answer.status, body: answer.body)
            payments[payment.key] = applied
            newPayments.append(
                NewPayment(
                    key: payment.key, accountID: account.id, block: granted.block.number, applied: applied,
                    commandID: item.command.identity.id, createdAt: now))
        }
        var resetsAt: Instant?
        if case .refused(let refusal) = outcome { resetsAt = refusal.resetsAt }
        return decision(
            of: item, status: answer.status, content: .body(answer.body), account: account, until: resetsAt)
    }

    private func decision(
        of item: AccountItem, status: UInt16, content: DecidedCommand.Content, account: Account,
        until rememberedUntil: Instant? = nil
    ) -> DecidedCommand {
        DecidedCommand(
            key: item.commandKey, fingerprint: item.fingerprint, status: status, position: account.position,
            content: content, receiver: status == 201 ? receiver(of: item) : nil,
            action: AuditAction(item.command.action), actor: item.origin.actor,
            requestID: item.origin.requestID, attempt: item.origin.attempt, decidedAt: now,
            rememberedUntil: rememberedUntil)
    }

    /// The account of the receiver of a transfer.
    private func receiver(of item: AccountItem) -> AccountID? {
        item.receiverKey.flatMap { draftIndex[$0] }.map { drafts[$0].account.id }
    }

    /// Adds a decision to the batch. It replaces an earlier decision of the same command that is forgotten.
    private mutating func remember(_ decision: DecidedCommand) {
        answered.insert(decision.key)
        if decided.updateValue(decision, forKey: decision.key) != nil {
            // An earlier decision of this batch has no row to delete yet.
            if newDecisions.contains(decision.key) { return }
            replaced.insert(decision.key)
        }
        newDecisions.append(decision.key)
    }
}

extension Account {
    /// The position that a replica must reach to show the account in this state.
    fileprivate var position: Position { revision > 0 ? .account(id, revision: revision) : .none }
}
