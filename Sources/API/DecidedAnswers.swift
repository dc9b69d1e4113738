import Credits
import JSON
import Ledger
import Messaging
import Postgres
import Representations
import Storage

/// What became of a command, and whose it was.
struct DecidedAnswer: Sendable {
    let result: CommandResult
    /// The key that asked; nil for the root key.
    let keyID: Bits128?
    let action: AuditAction?
}

/// Finds the answers of commands that were decided earlier.
struct DecidedAnswers: Sendable {
    let pool: PostgresPool

    /// The answer to a command, or nil while it has none.
    func find(environmentID: EnvironmentID, commandID: Bits128) async throws -> DecidedAnswer? {
        try await pool.withConnection { connection in
            let key = CommandKey(environmentID: environmentID, id: commandID)
            guard let decided = try await CommandStore.find(key, on: connection) else { return nil }
            let body: [UInt8]
            switch decided.answer {
            case .body(let bytes): body = bytes
            case .use(let account, let sequence):
                let found = try await EntryStore.find(
                    [EntryKey(environmentID: environmentID, accountID: account, sequence: sequence)], on: connection)
                guard let entry = found.first?.entry,
                    let owner = try await AccountReads.endUser(account, environmentID: environmentID, on: connection)
                else { throw StorageError.missingRow("the entry of a decided use") }
                var json = JSONWriter()
                json.usage(entry, of: AccountName(id: account, endUserID: owner.endUserID))
                body = json.bytes
            }
            return DecidedAnswer(
                result: CommandResult(
                    status: decided.status, isReplay: false, position: decided.position, body: body),
                keyID: decided.keyID, action: decided.action)
        }
    }
}
