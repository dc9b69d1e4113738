import Credits
import JSON
import Messaging
import Postgres
import Answers
package import Storage

/// What a command came to, which request it was, and whose.
struct DecidedAnswer: Sendable {
    let fingerprint: Bits128?
    /// The request that was the first to ask.
    let requestID: String
    /// The key that asked; nil for the root key.
    let keyID: Bits128?
    let action: AuditAction?
    let result: CommandResult

    /// The answer to a request: the command's result, unless its key stood for another request. Nil when that one was
    /// malformed, which leaves this one to be decided.
    func result(for identity: CommandIdentity, requestID: String) -> CommandResult? {
        guard identity.idempotencyKey?.fingerprint == fingerprint else {
            if result.status == 400 { return nil }
            return CommandResult(
                status: Problem.keyReuse.code.status, isReplay: false, position: .none,
                body: Problem.keyReuse.json(requestID: requestID))
        }
        return CommandResult(
            status: result.status, isReplay: self.requestID != requestID, position: result.position, body: result.body)
    }
}

/// Finds the answers of commands that were decided earlier.
package struct DecidedAnswers: Sendable {
    private let reads: TenantReads

    package init(reads: TenantReads) {
        self.reads = reads
    }

    /// What a command came to, or nil while it has come to nothing.
    func find(environmentID: EnvironmentID, commandID: Bits128) async throws -> DecidedAnswer? {
        try await find(environmentID: environmentID, commandIDs: [commandID], wantsBodies: true)[commandID]
    }

    /// Whether a command was put aside because it cannot be applied.
    func isParked(environmentID: EnvironmentID, commandID: Bits128) async throws -> Bool {
        try await reads.read(of: environmentID) { connection in
            try await CommandStore.isParked(CommandKey(environmentID: environmentID, id: commandID), on: connection)
        }
    }

    /// What those among the commands of an environment came to that have come to something.
    ///
    /// - Parameter wantsBodies: False when the id of a successful use will do, as in the ledger's own replies.
    func find(
        environmentID: EnvironmentID, commandIDs: [Bits128], wantsBodies: Bool
    ) async throws -> [Bits128: DecidedAnswer] {
        try await reads.read(of: environmentID) { connection in
            let keys = commandIDs.map { CommandKey(environmentID: environmentID, id: $0) }
            let decided = try await CommandStore.find(keys, on: connection)
            let uses =
                wantsBodies ? try await uses(among: decided, environmentID: environmentID, on: connection) : [:]
            var results: [Bits128: DecidedAnswer] = [:]
            for (key, command) in decided {
                let body: [UInt8]
                switch command.answer {
                case .body(let bytes): body = bytes
                case .use(let account, let sequence) where !wantsBodies:
                    body = PublicID(.usage, account: account, number: sequence).utf8
                case .use(let account, let sequence):
                    guard let use = uses[EntryKey(environmentID: environmentID, accountID: account, sequence: sequence)]
                    else { throw StorageError.missingRow("the entry of a decided use") }
                    body = use
                }
                results[key.id] = DecidedAnswer(
                    fingerprint: command.fingerprint, requestID: command.requestID, keyID: command.keyID,
                    action: command.action,
                    result: CommandResult(
                        status: command.status, isReplay: false, position: command.position, body: body))
            }
            return results
        }
    }

    /// The answers to uses, made again from their entries.
    private func uses(
        among decided: [CommandKey: DecidedCommand], environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> [EntryKey: [UInt8]] {
        let keys = decided.values.compactMap { command -> EntryKey? in
            guard case .use(let account, let sequence) = command.answer else { return nil }
            return EntryKey(environmentID: environmentID, accountID: account, sequence: sequence)
        }
        guard !keys.isEmpty else { return [:] }
        let names = try await AccountReads.endUserIDs(
            Array(Set(keys.map(\.accountID))), environmentID: environmentID, on: connection)
        var answers: [EntryKey: [UInt8]] = [:]
        for found in try await EntryStore.find(keys, on: connection) {
            guard let endUserID = names[found.accountID] else {
                throw StorageError.missingRow("the account of a decided use")
            }
            var json = JSONWriter()
            json.usage(found.entry, of: AccountName(id: found.accountID, endUserID: endUserID))
            answers[found.key] = json.bytes
        }
        return answers
    }
}
