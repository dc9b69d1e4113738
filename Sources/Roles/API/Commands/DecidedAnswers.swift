import Commands
import Credits
package import Storage

/// Finds decided commands in the database, for lost replies and for operations.
package struct DecidedAnswers: Sendable {
    private let reads: TenantReads

    package init(reads: TenantReads) {
        self.reads = reads
    }

    /// The decision of a command; nil while it is undecided. It takes a connection of the environment's reads.
    func find(environmentID: EnvironmentID, commandID: Bits128) async throws -> DecidedCommand? {
        try await reads.read(of: environmentID) { connection in
            try await CommandStore.find(CommandKey(environmentID: environmentID, id: commandID), on: connection)
        }
    }

    /// The decisions of the given commands, for the gateway. Commands that are not decided yet are missing from the
    /// result. The connection is the gateway's own, so the look-up never waits for a tenant's read.
    func find(environmentID: EnvironmentID, commandIDs: [Bits128]) async throws -> [Bits128: DecidedCommand] {
        try await reads.findAnswers(of: environmentID) { connection in
            let keys = commandIDs.map { CommandKey(environmentID: environmentID, id: $0) }
            let decided = try await CommandStore.find(keys, on: connection)
            return Dictionary(uniqueKeysWithValues: decided.map { ($0.key.id, $0.value) })
        }
    }

    /// Whether a command was parked because it cannot be applied.
    func isParked(environmentID: EnvironmentID, commandID: Bits128) async throws -> Bool {
        try await reads.read(of: environmentID) { connection in
            try await CommandStore.isParked(CommandKey(environmentID: environmentID, id: commandID), on: connection)
        }
    }
}
