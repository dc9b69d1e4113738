import Credits
import JSON
import Ledger
import Messaging
import Metering
import Postgres
import Representations
import Storage

/// One account command on its way through a batch.
struct AccountItem: Sendable {
    let environmentID: EnvironmentID
    let requestID: String
    let wantsBody: Bool
    let command: AccountCommand

    var accountKey: AccountKey { AccountKey(environmentID: environmentID, endUserID: command.endUserID) }
    var commandKey: CommandKey { CommandKey(environmentID: environmentID, id: command.identity.id) }
}

/// Applies a batch of account commands in one transaction: read, decide, write.
struct AccountBatch {
    private let items: [AccountItem]
    private let connection: PostgresConnection
    private var drafts: [AccountDraft] = []
    private var draftIndex: [AccountKey: Int] = [:]
    private var decidedBefore: [CommandKey: DecidedCommand] = [:]
    /// Commands decided in this batch, by name: the same command may come twice in it.
    private var decidedNow: [CommandKey: Int] = [:]
    private var decisions: [NewDecision] = []
    private var results: [CommandResult?]
    /// Items whose answer is made again from an entry in the database.
    private var replaysOfUse: [(item: Int, account: AccountID, sequence: Int64)] = []
    private var now = Instant(microseconds: 0)

    private init(_ items: [AccountItem], on connection: PostgresConnection) {
        self.items = items
        self.connection = connection
        results = Array(repeating: nil, count: items.count)
    }

    /// Applies the items and commits.
    ///
    /// - Returns: A result per item, in order. An error means that nothing was applied, unless the connection was lost
    ///   on the way: then applying the same items again finds out and completes.
    static func apply(
        _ items: [AccountItem], catalogues: inout CatalogueCache, on connection: PostgresConnection
    ) async throws -> [CommandResult] {
        var batch = AccountBatch(items, on: connection)
        try await batch.load()
        try await catalogues.refresh(to: batch.catalogueVersions, on: connection)
        batch.decide(catalogues)
        try await batch.loadReplaysOfUse()
        try await LedgerStore.write(batch.drafts, decided: batch.decisions, on: connection)
        return batch.results.compactMap { $0 }
    }

    private var catalogueVersions: [EnvironmentID: Int64] = [:]

    private mutating func load() async throws {
        var keys: [AccountKey] = []
        for item in items where draftIndex[item.accountKey] == nil {
            draftIndex[item.accountKey] = keys.count
            keys.append(item.accountKey)
        }
        let loaded = try await LedgerStore.load(keys, commands: items.map(\.commandKey), on: connection)
        drafts = loaded.accounts
        decidedBefore = loaded.decided
        catalogueVersions = loaded.catalogueVersions
        now = loaded.now
    }

    private mutating func decide(_ catalogues: CatalogueCache) {
        for index in items.indices {
            let item = items[index]
            if let earlier = decidedBefore[item.commandKey] {
                replay(earlier, at: index)
            } else if let earlier = decidedNow[item.commandKey] {
                repeatResult(of: earlier, at: index)
            } else {
                apply(index, catalogue: catalogues[item.environmentID])
            }
        }
    }

    private mutating func apply(_ index: Int, catalogue: Catalogue) {
        let item = items[index]
        guard let draft = draftIndex[item.accountKey] else { return }
        let outcome = drafts[draft].apply(
            item.command.action, idempotencyKey: item.command.identity.idempotencyKey?.text, catalogue: catalogue,
            now: now)
        let account = drafts[draft].account
        let name = AccountName(id: account.id, endUserID: account.endUserID)
        let position: Position = account.revision > 0 ? .account(account.id, revision: account.revision) : .none
        let answer: Answer
        var remembered: DecidedCommand.Answer
        if case .used(let entry, _) = outcome, !item.wantsBody {
            answer = Answer(status: 201, body: PublicID(.usage, account: account.id, number: entry.sequence).utf8)
            remembered = .use(account.id, sequence: entry.sequence)
        } else {
            answer = Answer(outcome, account: name, requestID: item.requestID)
            remembered = .body(answer.body)
            if case .used(let entry, _) = outcome { remembered = .use(account.id, sequence: entry.sequence) }
        }
        results[index] = CommandResult(
            status: answer.status, isReplay: false, position: position, body: answer.body)
        guard answer.isRemembered else { return }
        decidedNow[item.commandKey] = index
        decisions.append(
            NewDecision(
                key: item.commandKey, fingerprint: item.command.identity.idempotencyKey?.fingerprint,
                status: answer.status, accountID: account.revision > 0 ? account.id : nil,
                revision: account.revision, answer: remembered, decidedAt: now))
    }

    private mutating func replay(_ earlier: DecidedCommand, at index: Int) {
        guard earlier.fingerprint == items[index].command.identity.idempotencyKey?.fingerprint else {
            return refuseKeyReuse(at: index)
        }
        switch earlier.answer {
        case .body(let body):
            results[index] = CommandResult(
                status: earlier.status, isReplay: true, position: earlier.position, body: body)
        case .use(let account, let sequence):
            results[index] = CommandResult(
                status: earlier.status, isReplay: true, position: earlier.position, body: [])
            replaysOfUse.append((index, account, sequence))
        }
    }

    /// The second coming of a command in the batch that decided it.
    private mutating func repeatResult(of earlier: Int, at index: Int) {
        let fingerprint = items[earlier].command.identity.idempotencyKey?.fingerprint
        guard fingerprint == items[index].command.identity.idempotencyKey?.fingerprint,
            items[earlier].accountKey == items[index].accountKey, let first = results[earlier]
        else { return refuseKeyReuse(at: index) }
        var body = first.body
        if items[index].wantsBody != items[earlier].wantsBody, first.isSuccess,
            case .account(let account, _) = first.position, case .use = items[earlier].command.action,
            let decision = decisions.first(where: { $0.key == items[index].commandKey }),
            case .use(_, let sequence) = decision.answer, let draft = draftIndex[items[index].accountKey],
            let entry = drafts[draft].entries.first(where: { $0.sequence == sequence })
        {
            let name = AccountName(id: account, endUserID: items[index].command.endUserID)
            body = Self.body(of: entry, account: name, wantsBody: items[index].wantsBody)
        }
        results[index] = CommandResult(status: first.status, isReplay: true, position: first.position, body: body)
    }

    private mutating func refuseKeyReuse(at index: Int) {
        let answer = Answer(.keyReuse, requestID: items[index].requestID)
        results[index] = CommandResult(status: answer.status, isReplay: false, position: .none, body: answer.body)
    }

    private mutating func loadReplaysOfUse() async throws {
        guard !replaysOfUse.isEmpty else { return }
        let entries = try await EntryStore.find(
            replaysOfUse.map { (items[$0.item].environmentID, $0.account, sequence: $0.sequence) }, on: connection)
        for replay in replaysOfUse {
            let item = items[replay.item]
            guard let result = results[replay.item],
                let found = entries.first(where: {
                    $0.accountID == replay.account && $0.entry.sequence == replay.sequence
                })
            else { throw StorageError.missingRow("the entry of a decided use") }
            let name = AccountName(id: replay.account, endUserID: item.command.endUserID)
            results[replay.item] = CommandResult(
                status: result.status, isReplay: true, position: result.position,
                body: Self.body(of: found.entry, account: name, wantsBody: item.wantsBody))
        }
    }

    /// The answer to a use, from its entry alone: what a replay and the first answer share.
    static func body(of entry: Entry, account: AccountName, wantsBody: Bool) -> [UInt8] {
        guard wantsBody else { return PublicID(.usage, account: account.id, number: entry.sequence).utf8 }
        var json = JSONWriter()
        json.usage(entry, entry.balancesAfter, of: account)
        return json.bytes
    }
}
