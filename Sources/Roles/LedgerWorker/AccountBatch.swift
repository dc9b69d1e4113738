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

/// One account command on its way through a batch.
struct AccountItem: Sendable {
    let origin: RequestOrigin
    let wantsBody: Bool
    let command: AccountCommand

    var accountKey: AccountKey { key(of: command.endUserID) }
    /// The other side of a transfer.
    var receiverKey: AccountKey? { command.action.needs.receiver.map { key(of: $0) } }
    /// The payment that a top-up is for.
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
struct AccountBatch {
    private let items: [AccountItem]
    private let connection: PostgresConnection
    private var drafts: [AccountDraft] = []
    private var draftIndex: [AccountKey: Int] = [:]
    /// Every command that has its decision, from earlier or from this batch: the same command may come twice in it.
    private var decided: [CommandKey: DecidedCommand] = [:]
    /// The commands that this batch decides, in their order.
    private var newDecisions: [CommandKey] = []
    /// Those of them whose earlier decision makes room.
    private var replaced: Set<CommandKey> = []
    /// Every payment of the batch that has been applied, earlier or now.
    private var payments: [PaymentKey: AppliedPayment] = [:]
    private var newPayments: [NewPayment] = []
    private var catalogueVersions: [EnvironmentID: Int64] = [:]
    private var now = Instant.epoch

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
        let results = items.map { batch.decide($0, catalogue: catalogues[$0.origin.environmentID]) }
        Failpoint.workerAfterDecide.hit()
        let start = ContinuousClock.now
        try await LedgerStore.write(batch.plan, on: connection)
        metrics.commitSeconds.record((ContinuousClock.now - start).seconds)
        return results
    }

    private var plan: BatchPlan {
        BatchPlan(
            accounts: drafts, payments: newPayments, decided: newDecisions.compactMap { decided[$0] },
            replaced: replaced)
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
            if !own.charges.isEmpty || !own.blocks.isEmpty {
                needs.accounts[item.accountKey, default: AccountNeeds()].charges.formUnion(own.charges)
                needs.accounts[item.accountKey, default: AccountNeeds()].blocks.formUnion(own.blocks)
            }
        }
        needs.commands = items.map(\.commandKey)
        let loaded = try await LedgerStore.load(keys, needs: needs, on: connection)
        drafts = loaded.accounts
        decided = loaded.decided
        payments = loaded.payments
        catalogueVersions = loaded.catalogueVersions
        now = loaded.now
    }

    // MARK: - Decide

    private mutating func decide(_ item: AccountItem, catalogue: Catalogue) -> CommandResult {
        if let earlier = decided[item.commandKey] {
            switch earlier.verdict(for: item.fingerprint) {
            case .replay: return CommandResult(earlier, isReplay: true, wantsBody: item.wantsBody)
            case .conflict: return CommandResult(.keyReuse, requestID: item.origin.requestID)
            case .free: break
            }
        }
        guard let index = draftIndex[item.accountKey] else { preconditionFailure("every item's account was loaded") }
        Failpoint.workerDuringDecide.hit(item.command.endUserID.rawValue)
        if let payment = item.payment, let applied = payments[payment.key], applied.fingerprint == payment.fingerprint {
            // The first answer to a payment, for another command that asks for the same.
            let decision = decision(
                of: item, status: applied.status, content: .body(applied.body), account: drafts[index].account)
            remember(decision)
            return CommandResult(decision, isReplay: true, wantsBody: item.wantsBody)
        }
        let outcome = apply(item, to: index, catalogue: catalogue)
        let decision = decision(of: item, outcome, account: drafts[index].account)
        // `advance` is issued by the scheduler, not by a client: it is idempotent, so it is neither audited nor remembered.
        if decision.action != nil { remember(decision) }
        return CommandResult(decision, isReplay: false, wantsBody: item.wantsBody)
    }

    private mutating func apply(_ item: AccountItem, to index: Int, catalogue: Catalogue) -> Outcome {
        let idempotencyKey = item.command.identity.idempotencyKey?.text
        // A command that asks for the same as the payment's first one was answered before.
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

    private mutating func decision(of item: AccountItem, _ outcome: Outcome, account: Account) -> DecidedCommand {
        // A use is remembered by its entry alone: its answer is made again from that.
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
        return decision(of: item, status: answer.status, content: .body(answer.body), account: account)
    }

    private func decision(
        of item: AccountItem, status: UInt16, content: DecidedCommand.Content, account: Account
    ) -> DecidedCommand {
        DecidedCommand(
            key: item.commandKey, fingerprint: item.fingerprint, status: status, position: account.position,
            content: content, action: AuditAction(item.command.action), actor: item.origin.actor,
            requestID: item.origin.requestID, decidedAt: now)
    }

    /// Remembers a decision, in the place of an earlier one that makes room for it.
    private mutating func remember(_ decision: DecidedCommand) {
        if decided.updateValue(decision, forKey: decision.key) != nil {
            // A decision of this very batch is in no row yet.
            if newDecisions.contains(decision.key) { return }
            replaced.insert(decision.key)
        }
        newDecisions.append(decision.key)
    }
}

extension Account {
    /// The position that a reader has to reach to see the account as it is.
    fileprivate var position: Position { revision > 0 ? .account(id, revision: revision) : .none }
}
