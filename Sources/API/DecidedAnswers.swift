import Credits
import JSON
import Ledger
import Messaging
import Representations
import Storage

/// Finds the answers of commands that were decided earlier.
struct DecidedAnswers: Sendable {
    let reads: TenantReads

    /// The result of a command, or nil while it has none.
    func find(environmentID: EnvironmentID, commandID: Bits128) async throws -> CommandResult? {
        try await reads.read(of: environmentID) { connection in
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
            return CommandResult(status: decided.status, isReplay: false, position: decided.position, body: body)
        }
    }
}
