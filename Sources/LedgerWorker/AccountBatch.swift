import Credits
import Failpoints
import JSON
import Ledger
import Messaging
import Metering
import Postgres
import Representations
import Runtime
import Storage

/// One account command on its way through a batch.
struct AccountItem: Sendable {
    let environmentID: EnvironmentID
    let requestID: String
    let actor: Actor
    let wantsBody: Bool
    let command: AccountCommand

    var accountKey: AccountKey { AccountKey(environmentID: environmentID, endUserID: command.endUserID) }
    var commandKey: CommandKey { CommandKey(environmentID: environmentID, id: command.identity.id) }
    var fingerprint: Bits128? { command.identity.idempotencyKey?.fingerprint }
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
        try await LedgerStore.write(batch.drafts, decided: batch.decisions, on: connection)
        metrics.commitSeconds.observe((ContinuousClock.now - start).seconds)
        return results
    }

    // MARK: - Read

    private mutating func load() async throws {
        var keys: [AccountKey] = []
        for item in items where draftIndex[item.accountKey] == nil {
            draftIndex[item.accountKey] = keys.count
            keys.append(item.accountKey)
        }
        let loaded = try await LedgerStore.load(
            keys, commands: KnownBug.noIdempotencyCheck.isActive ? [] : items.map(\.commandKey), on: connection)
        drafts = loaded.accounts
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
        let outcome = drafts[index].apply(
            item.command.action, idempotencyKey: item.command.identity.idempotencyKey?.text, catalogue: catalogue,
            now: now)
        let account = drafts[index].account
        let position: Position = account.revision > 0 ? .account(account.id, revision: account.revision) : .none
        let decision: Decided
        if case .used(let entry, _) = outcome {
            decision = Decided(
                fingerprint: item.fingerprint, status: 201, position: position, content: .use(account.id, entry))
        } else {
            let answer = Answer(
                outcome, account: AccountName(id: account.id, endUserID: account.endUserID), requestID: item.requestID)
            decision = Decided(
                fingerprint: item.fingerprint, status: answer.status, position: position, content: .body(answer.body))
        }
        // To bring an account to the present is nobody's mutation, and doing it again changes nothing.
        if let action = AuditAction(item.command.action) {
            remember(decision, of: item, action: action, account: account, replacesMalformed: earlier != nil)
        }
        return result(decision, for: item, isReplay: false)
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
