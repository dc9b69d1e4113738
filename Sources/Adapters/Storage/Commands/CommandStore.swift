package import Commands
package import Credits
import Ledger
package import Postgres

/// The decided commands. The key of this table makes every command take effect once.
package enum CommandStore {
    /// The decision of a command; nil when it has none. For use outside a batch.
    package static func find(_ key: CommandKey, on connection: PostgresConnection) async throws -> DecidedCommand? {
        try await find([key], on: connection)[key]
    }

    /// The decisions of the given commands. Commands without a decision are missing from the result. For use outside a
    /// batch: for answers that took too long, and for operations.
    package static func find(
        _ keys: [CommandKey], on connection: PostgresConnection
    ) async throws -> [CommandKey: DecidedCommand] {
        try await withEntries(decode(try await connection.run(find(keys))), on: connection)
    }

    // MARK: - Reading

    /// A decided command as its row stores it. The answer to a use is in another table: see `withEntries`.
    struct Row: Sendable {
        let key: CommandKey
        let fingerprint: Bits128?
        let accountID: AccountID?
        let revision: Int64
        let status: UInt16
        let sequence: Int64?
        let response: [UInt8]?
        let actor: Actor
        let action: AuditAction?
        let requestID: String
        let attempt: UInt64?
        let decidedAt: Instant
        let rememberedUntil: Instant?
        let receiver: AccountID?
        /// True after an erasure has removed the answer, and while one is about to.
        let isErased: Bool

        static let columns = [
            "environment_id", "command_id", "fingerprint", "account_id", "revision", "status", "sequence", "response",
            "key_id", "client_address", "action", "request_id", "attempt", "decided_at", "remembered_until",
            "receiver_account_id",
        ]

        init(_ row: PostgresRow) throws {
            var fields = RowFields(row)
            key = CommandKey(environmentID: try fields.environmentID(), id: try fields.bits())
            fingerprint = try fields.bitsOrNil()
            accountID = try fields.int64OrNil().map { AccountID($0) }
            revision = try fields.int64()
            status = UInt16(try fields.int16())
            sequence = try fields.int64OrNil()
            response = try fields.bytesOrNil()
            actor = Actor(keyID: try fields.bitsOrNil(), address: try fields.textOrNil())
            action = AuditAction(named: try fields.text())
            requestID = try fields.text()
            attempt = try fields.int64OrNil().map { UInt64(bitPattern: $0) }
            decidedAt = try fields.instant()
            rememberedUntil = try fields.instantOrNil()
            receiver = try fields.int64OrNil().map { AccountID($0) }
            isErased = try fields.bool()
        }

        var position: Position {
            if let accountID { return .account(accountID, revision: revision) }
            if revision == 0 { return .none }
            return key.environmentID == .installation
                ? Position(storedOfInstallation: revision) : .catalogue(key.environmentID, version: revision)
        }

        var entryKey: EntryKey? {
            guard let accountID, let sequence else { return nil }
            return EntryKey(environmentID: key.environmentID, accountID: accountID, sequence: sequence)
        }
    }

    static func find(_ keys: [CommandKey]) -> PostgresQuery {
        PostgresQuery(
            knownBug?.findStatement ?? findStatement,
            [.int32s(keys.map(\.environmentID.rawValue)), .uuids(keys.map { PostgresUUID($0.id) })])
    }

    static let findStatement = PostgresStatement(
        """
        select \(Row.columns.map { "c.\($0)" }.joined(separator: ", ")), c.sequence is null and c.response is null or exists (
            select from erasures x
            where x.environment_id = c.environment_id
                and (x.account_id = c.receiver_account_id or x.account_id = c.account_id and c.revision < x.revision))
        from unnest($1::integer[], $2::uuid[]) as k (environment_id, command_id)
        join commands c using (environment_id, command_id)
        """)

    static func decode(_ result: PostgresResult) throws -> [Row] {
        try result.map { try Row($0) }
    }

    /// Completes the decisions with the entries from which the answers to uses are made again. Takes one round trip
    /// when there is a use, and none otherwise.
    static func withEntries(
        _ rows: [Row], on connection: PostgresConnection
    ) async throws -> [CommandKey: DecidedCommand] {
        let entries = try await EntryStore.find(rows.compactMap(\.entryKey), on: connection)
        var decided: [CommandKey: DecidedCommand] = [:]
        for row in rows {
            let content: DecidedCommand.Content
            if row.isErased {
                content = .erased
            } else if let entryKey = row.entryKey {
                guard let found = entries[entryKey] else { throw StorageError.missingRow("the entry of a decided use") }
                content = found.account.endUserID.isErased ? .erased : .use(found.account, found.entry)
            } else {
                content = .body(row.response ?? [])
            }
            decided[row.key] = DecidedCommand(
                key: row.key, fingerprint: row.fingerprint, status: row.status, position: row.position,
                content: content, receiver: row.receiver, action: row.action, actor: row.actor,
                requestID: row.requestID,
                attempt: row.attempt, decidedAt: row.decidedAt, rememberedUntil: row.rememberedUntil)
        }
        return decided
    }

    // MARK: - Writing

    /// Deletes decisions of malformed requests and decisions that are remembered until the end of a window. The caller
    /// knows that the window has ended.
    static func deleteForgotten(_ keys: Set<CommandKey>) -> PostgresQuery {
        let sorted = keys.sorted()
        return PostgresQuery(
            """
            delete from commands c
            using unnest($1::integer[], $2::uuid[]) as k (environment_id, command_id)
            where c.environment_id = k.environment_id and c.command_id = k.command_id
                and (c.status = 400 or c.remembered_until is not null)
            """,
            [.int32s(sorted.map(\.environmentID.rawValue)), .uuids(sorted.map { PostgresUUID($0.id) })])
    }

    /// Whether a command was parked because it cannot be applied.
    package static func isParked(_ key: CommandKey, on connection: PostgresConnection) async throws -> Bool {
        let result = try await connection.run(
            PostgresQuery(
                "select 1 from parked_commands where environment_id = $1 and command_id = $2 limit 1",
                [.id(key.environmentID), .bits(key.id)]))
        return result.rowCount > 0
    }

    /// Finds which of the given commands were parked.
    package static func parked(
        _ ids: [Bits128], environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> Set<Bits128> {
        let result = try await connection.run(
            PostgresQuery(
                """
                select p.command_id
                from unnest($2::uuid[]) as k (command_id)
                join parked_commands p on p.environment_id = $1 and p.command_id = k.command_id
                """,
                [.id(environmentID), .uuids(ids.map { PostgresUUID($0) })]))
        return Set(
            try result.map { row in
                var fields = RowFields(row)
                return try fields.bits()
            })
    }

    /// Parks a command that cannot be applied. A command that was parked before stays as it is.
    ///
    /// - Parameters:
    ///   - environmentID: Nil when the message does not say it.
    ///   - commandID: Nil for a message that cannot be decoded.
    package static func park(
        queue: String, environmentID: EnvironmentID?, commandID: Bits128?, requestID: String?, error: String,
        message: [UInt8], on connection: PostgresConnection
    ) async throws {
        _ = try await connection.run(
            PostgresQuery(
                """
                insert into parked_commands (queue, environment_id, command_id, request_id, error, message)
                select $1, $2::integer, $3::uuid, $4::text, $5, $6
                where not exists (
                    select from parked_commands where environment_id = $2::integer and command_id = $3::uuid)
                """,
                [
                    .text(queue), .optional(environmentID?.rawValue), .bits(commandID), .optional(requestID),
                    .text(error), .bytes(message),
                ]))
    }
}

extension BulkStatement<DecidedCommand> {
    private static let columns: [BulkColumn<DecidedCommand>] = [
        .int32("environment_id") { $0.key.environmentID.rawValue as Int32 },
        .bits("command_id") { $0.key.id as Bits128 },
        .bits("fingerprint") { $0.fingerprint },
        .int64("account_id") { $0.position.accountID?.rawValue },
        .int64("revision") { $0.storedRevision as Int64 },
        .int16("status") { Int16($0.status) },
        .int64("sequence") { command in
            if case .use(_, let entry) = command.content { entry.sequence } else { nil }
        },
        .bytes("response") { command in
            if case .body(let body) = command.content { body } else { nil }
        },
        .int64("receiver_account_id") { $0.receiver?.rawValue },
        .instant("decided_at") { $0.decidedAt as Instant },
        .instant("remembered_until") { $0.rememberedUntil },
        .bits("key_id") { $0.actor.keyID },
        .text("client_address") { $0.actor.address },
        .text("request_id") { $0.requestID as String },
        .int64("attempt") { $0.attempt.map { Int64(bitPattern: $0) } },
        .text("action") { $0.action?.name ?? "" as String },
    ]

    static let insertCommands = BulkStatement.insert(
        into: "commands", columns, suffix: CommandStore.knownBug?.insertSuffix ?? "")
}

extension Position {
    /// The position of a command of the installation, in one number: the number of the environment that it changed, and
    /// from the 33rd bit on the version of the environment's catalogue, counted from 0.
    fileprivate init(storedOfInstallation number: Int64) {
        self = .catalogue(EnvironmentID(Int32(truncatingIfNeeded: number)), version: (number >> 32) + 1)
    }

    fileprivate static func stored(environmentID: EnvironmentID, version: Int64) -> Int64 {
        (version - 1) << 32 | Int64(environmentID.rawValue)
    }

    fileprivate var accountID: AccountID? {
        if case .account(let id, _) = self { id } else { nil }
    }
}

extension DecidedCommand {
    /// The number that the row stores: see `CommandStore.Row.position`.
    fileprivate var storedRevision: Int64 {
        switch position {
        case .none: 0
        case .account(_, let revision): revision
        case .catalogue(let changed, let version):
            key.environmentID == .installation ? Position.stored(environmentID: changed, version: version) : version
        }
    }
}
