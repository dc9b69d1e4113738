import Credits
import Failpoints
import JSON
import Ledger
import Messaging
import Metering
import Postgres
import Answers
import Runtime
import Storage

/// One account command on its way through a batch.
struct AccountItem: Sendable {
    let environmentID: EnvironmentID
    let requestID: String
    let actor: Actor
    let wantsBody: Bool
    let command: AccountCommand

    var accountKey: AccountKey { key(of: command.endUserID) }
    /// The other side of a transfer.
    var receiverKey: AccountKey? {
        guard case .transfer(let transfer) = command.action else { return nil }
        return key(of: transfer.receiver)
    }
    /// The payment that a top-up is for.
    var payment: (key: PaymentKey, fingerprint: Bits128)? {
        guard case .topUp(let topUp) = command.action, let id = topUp.payment.externalID else { return nil }
        return (PaymentKey(environmentID: environmentID, externalID: id), topUp.fingerprint)
    }
    var commandKey: CommandKey { CommandKey(environmentID: environmentID, id: command.identity.id) }
    var fingerprint: Bits128? { command.identity.idempotencyKey?.fingerprint }

    private func key(of endUserID: EndUserID) -> AccountKey {
        AccountKey(environmentID: environmentID, endUserID: endUserID)
    }
}

/// Applies a batch of account commands in one transaction: read, decide, write.
struct AccountBatch {
    private let items: [AccountItem]
    private let connection: PostgresConnection
    private var drafts: [AccountDraft] = []
    private var draftIndex: [AccountKey: Int] = [:]
    /// Every command that has its decision, from earlier or from this batch: the same command may come twice in it.
    private var decided: [CommandKey: Decided] = [:]
    private var decisions: [NewDecision] = []
    /// Every payment of the batch that has been applied, earlier or now.
    private var payments: [PaymentKey: AppliedPayment] = [:]
    private var newPayments: [NewPayment] = []
    private var catalogueVersions: [EnvironmentID: Int64] = [:]
    private var now = Instant(microseconds: 0)

    /// A decision, and what its answer is made from each time it is asked for.
    private struct Decided {
        enum Content {
            case use(AccountID, Entry)
            case body([UInt8])
        }

        let fingerprint: Bits128?
        let status: UInt16
        let position: Position
        let content: Content

        /// See `DecidedCommand.makesRoom`.
        func makesRoom(for other: Bits128?) -> Bool {
            status == 400 && fingerprint != other
        }
    }

    private init(_ items: [AccountItem], on connection: PostgresConnection) {
        self.items = items
        self.connection = connection
    }

    /// Applies the items and commits.
    ///
    /// - Returns: A result per item, in order. An error means that nothing was applied, unless the connection was lost
    ///   on the way: then applying the same items again finds out and completes.
    static func apply(
        _ items: [AccountItem], catalogues: inout CatalogueCache, metrics: LedgerMetrics,
        on connection: PostgresConnection
    ) async throws -> [CommandResult] {
        var batch = AccountBatch(items, on: connection)
        try await batch.load()
        try await catalogues.refresh(to: batch.catalogueVersions, on: connection)
        Failpoint.workerAfterLoad.hit()
        let results = items.map { batch.decide($0, catalogue: catalogues[$0.environmentID]) }
        Failpoint.workerAfterDecide.hit()
        let start = ContinuousClock.now
        try await LedgerStore.write(
            batch.drafts, payments: batch.newPayments, decided: batch.decisions, on: connection)
        metrics.commitSeconds.observe((ContinuousClock.now - start).seconds)
        return results
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
            switch item.command.action {
            case .refund(let refund):
                needs.histories[item.accountKey, default: HistoryRequest()].charges.insert(refund.charge)
            case .revoke(let revocation):
                needs.histories[item.accountKey, default: HistoryRequest()].blocks.insert(revocation.block)
            default: break
            }
        }
        if !KnownBug.noIdempotencyCheck.isActive { needs.commands = items.map(\.commandKey) }
        let loaded = try await LedgerStore.load(keys, needs: needs, on: connection)
        drafts = loaded.accounts
        payments = loaded.payments
        catalogueVersions = loaded.catalogueVersions
        now = loaded.now
        try await loadDecided(loaded.decided)
    }

    /// Takes the decisions of earlier batches, with the entries from which the answers to uses are made again.
    private mutating func loadDecided(_ earlier: [CommandKey: DecidedCommand]) async throws {
        var uses: [EntryKey: CommandKey] = [:]
        for (key, command) in earlier {
            switch command.answer {
            case .body(let body):
                decided[key] = Decided(
                    fingerprint: command.fingerprint, status: command.status, position: command.position,
                    content: .body(body))
            case .use(let account, let sequence):
                uses[EntryKey(environmentID: key.environmentID, accountID: account, sequence: sequence)] = key
            }
        }
        guard !uses.isEmpty else { return }
        for found in try await EntryStore.find(Array(uses.keys), on: connection) {
            guard let key = uses[found.key], let command = earlier[key] else { continue }
            decided[key] = Decided(
                fingerprint: command.fingerprint, status: command.status, position: command.position,
                content: .use(found.accountID, found.entry))
        }
        guard decided.count == earlier.count else { throw StorageError.missingRow("the entry of a decided use") }
    }

    // MARK: - Decide

    private mutating func decide(_ item: AccountItem, catalogue: Catalogue) -> CommandResult {
        let earlier = decided[item.commandKey]
        if let earlier, !earlier.makesRoom(for: item.fingerprint) {
            guard earlier.fingerprint == item.fingerprint else {
                let answer = Answer(.keyReuse, requestID: item.requestID)
                return CommandResult(status: answer.status, isReplay: false, position: .none, body: answer.body)
            }
            return result(earlier, for: item, isReplay: true)
        }
        guard let index = draftIndex[item.accountKey] else { preconditionFailure("every item's account was loaded") }
        Failpoint.workerDuringDecide.hit(item.command.endUserID.rawValue)
        if let payment = item.payment, let applied = payments[payment.key], applied.fingerprint == payment.fingerprint {
            return replay(applied, of: item, account: drafts[index].account, replacesMalformed: earlier != nil)
        }
        let outcome = apply(item, to: index, catalogue: catalogue)
        let account = drafts[index].account
        let decision: Decided
        if case .used(let entry, _) = outcome {
            decision = Decided(
                fingerprint: item.fingerprint, status: 201, position: account.position,
                content: .use(account.id, entry))
        } else {
            let answer = Answer(
                outcome, account: AccountName(id: account.id, endUserID: account.endUserID), requestID: item.requestID)
            decision = Decided(
                fingerprint: item.fingerprint, status: answer.status, position: account.position,
                content: .body(answer.body))
            if let payment = item.payment, case .granted(let granted, _, _) = outcome {
                let applied = AppliedPayment(
                    fingerprint: payment.fingerprint, status: answer.status, body: answer.body)
                payments[payment.key] = applied
                newPayments.append(
                    NewPayment(
                        key: payment.key, accountID: account.id, block: granted.block.number, applied: applied,
                        commandID: item.command.identity.id, createdAt: now))
            }
        }
        // To bring an account to the present is nobody's mutation, and doing it again changes nothing.
        if let action = AuditAction(item.command.action) {
            remember(decision, of: item, action: action, account: account, replacesMalformed: earlier != nil)
        }
        return result(decision, for: item, isReplay: false)
    }

    private mutating func apply(_ item: AccountItem, to index: Int, catalogue: Catalogue) -> Outcome {
        let idempotencyKey = item.command.identity.idempotencyKey?.text
        // One that asks for the same was answered before: see `replay`.
        if let payment = item.payment, payments[payment.key] != nil { return .refused(.paymentAlreadyApplied) }
        guard case .transfer(let transfer) = item.command.action, let receiver = item.receiverKey else {
            return drafts[index].apply(
                item.command.action, idempotencyKey: idempotencyKey, catalogue: catalogue, now: now)
        }
        guard let other = draftIndex[receiver], other != index else {
            preconditionFailure("a transfer's receiver is another account, and was loaded")
        }
        var (from, to) = (drafts[index], drafts[other])
        let outcome = AccountDraft.transfer(
            transfer, from: &from, to: &to, idempotencyKey: idempotencyKey, catalogue: catalogue, now: now)
        (drafts[index], drafts[other]) = (from, to)
        return outcome
    }

    /// The first answer to a payment, for another command that asks for the same.
    private mutating func replay(
        _ applied: AppliedPayment, of item: AccountItem, account: Account, replacesMalformed: Bool
    ) -> CommandResult {
        let decision = Decided(
            fingerprint: item.fingerprint, status: applied.status, position: account.position,
            content: .body(applied.body))
        remember(decision, of: item, action: .createTopUp, account: account, replacesMalformed: replacesMalformed)
        return result(decision, for: item, isReplay: true)
    }

    private mutating func remember(
        _ decision: Decided, of item: AccountItem, action: AuditAction, account: Account, replacesMalformed: Bool
    ) {
        if replacesMalformed { decisions.removeAll { $0.key == item.commandKey } }
        decided[item.commandKey] = decision
        let answer: DecidedCommand.Answer =
            switch decision.content {
            case .use(let account, let entry): .use(account, sequence: entry.sequence)
            case .body(let body): .body(body)
            }
        decisions.append(
            NewDecision(
                key: item.commandKey, fingerprint: decision.fingerprint, status: decision.status,
                accountID: account.revision > 0 ? account.id : nil, revision: account.revision, answer: answer,
                decidedAt: now, action: action, actor: item.actor, requestID: item.requestID,
                replacesMalformed: replacesMalformed))
    }

    /// The answer to an item: what a first answer and every replay share.
    private func result(_ decided: Decided, for item: AccountItem, isReplay: Bool) -> CommandResult {
        let body: [UInt8]
        switch decided.content {
        case .body(let bytes): body = bytes
        case .use(let account, let entry):
            if item.wantsBody {
                var json = JSONWriter()
                json.usage(entry, of: AccountName(id: account, endUserID: item.command.endUserID))
                body = json.bytes
            } else {
                body = PublicID(.usage, account: account, number: entry.sequence).utf8
            }
        }
        return CommandResult(status: decided.status, isReplay: isReplay, position: decided.position, body: body)
    }
}

extension Account {
    /// What a reader has to reach to see the account as it is.
    fileprivate var position: Position { revision > 0 ? .account(id, revision: revision) : .none }
}
