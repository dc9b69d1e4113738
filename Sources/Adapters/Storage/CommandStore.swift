package import Credits
import Failpoints
package import Messaging
package import Postgres

/// A command that was decided before, as it was remembered.
package struct DecidedCommand: Hashable, Sendable {
    package enum Answer: Hashable, Sendable {
        /// A use: the answer is made again from its entry.
        case use(AccountID, sequence: Int64)
        case body([UInt8])
    }

    package let fingerprint: Bits128?
    package let status: UInt16
    package let position: Position
    package let answer: Answer
    /// The key that asked; nil for the root key.
    package let keyID: Bits128?
    /// Nil for what was decided before actions were recorded, and for an action that this release does not know.
    package let action: AuditAction?
    /// The request that was the first to ask.
    package let requestID: String

    /// Whether the decision stands for a request with that fingerprint, or makes room for it: the key of a malformed
    /// request may be used again for the mended one.
    package func makesRoom(for other: Bits128?) -> Bool {
        status == 400 && fingerprint != other
    }
}

/// A command decided now, to be remembered.
package struct NewDecision: Hashable, Sendable {
    package let key: CommandKey
    package let fingerprint: Bits128?
    package let status: UInt16
    package let accountID: AccountID?
    package let revision: Int64
    package let answer: DecidedCommand.Answer
    package let decidedAt: Instant
    package let action: AuditAction
    package let actor: Actor
    package let requestID: String
    /// Whether a malformed request was decided under the same key before, and makes room for this one.
    package let replacesMalformed: Bool

    package init(
        key: CommandKey, fingerprint: Bits128?, status: UInt16, accountID: AccountID?, revision: Int64,
        answer: DecidedCommand.Answer, decidedAt: Instant, action: AuditAction, actor: Actor, requestID: String,
        replacesMalformed: Bool = false
    ) {
        self.key = key
        self.fingerprint = fingerprint
        self.status = status
        self.accountID = accountID
        self.revision = revision
        self.answer = answer
        self.decidedAt = decidedAt
        self.action = action
        self.actor = actor
        self.requestID = requestID
        self.replacesMalformed = replacesMalformed
    }
}

/// The decided commands: what makes every command happen once.
package enum CommandStore {
    /// A command's first decision, outside any batch.
    package static func find(_ key: CommandKey, on connection: PostgresConnection) async throws -> DecidedCommand? {
        try await find([key], on: connection)[key]
    }

    /// The first decisions of those commands that have one, outside any batch: for answers that took too long, and for
    /// operations.
    package static func find(
        _ keys: [CommandKey], on connection: PostgresConnection
    ) async throws -> [CommandKey: DecidedCommand] {
        let result = try await connection.run(
            PostgresQuery(
                loadDecided,
                [.int32s(keys.map(\.environmentID.rawValue)), .uuids(keys.map { PostgresUUID($0.id) })]))
        return try decodeDecided(result)
    }

    static let loadDecided: PostgresStatement = """
        select c.environment_id, c.command_id, c.fingerprint, c.account_id, c.revision, c.status, c.sequence, c.response,
            c.key_id, c.action, c.request_id
        from unnest($1::integer[], $2::uuid[]) as k (environment_id, command_id)
        join commands c using (environment_id, command_id)
        """

    static func decodeDecided(_ result: PostgresResult) throws -> [CommandKey: DecidedCommand] {
        var decided: [CommandKey: DecidedCommand] = [:]
        for row in result {
            let environmentID = EnvironmentID(try row.int32(0))
            let key = CommandKey(environmentID: environmentID, id: Bits128(try row.uuid(1)))
            let accountID = try row.int64OrNil(3).map { AccountID($0) }
            let revision = try row.int64(4)
            let answer: DecidedCommand.Answer
            if let sequence = try row.int64OrNil(6) {
                guard let accountID else { throw StorageError.missingRow("the account of a use") }
                answer = .use(accountID, sequence: sequence)
            } else {
                answer = .body(try row.bytes(7))
            }
            let position: Position
            if let accountID {
                position = .account(accountID, revision: revision)
            } else if revision == 0 {
                position = .none
            } else if environmentID == .installation {
                // Of a new tenant, the number of one of its environments is kept.
                position = .catalogue(EnvironmentID(Int32(truncatingIfNeeded: revision)), version: 1)
            } else {
                position = .catalogue(environmentID, version: revision)
            }
            decided[key] = DecidedCommand(
                fingerprint: try row.uuidOrNil(2).map { Bits128($0) }, status: UInt16(try row.int16(5)),
                position: position, answer: answer, keyID: try row.uuidOrNil(8).map { Bits128($0) },
                action: AuditAction(rawValue: try row.text(9)), requestID: try row.text(10))
        }
        return decided
    }

    /// Rows go in by key, the order in which every writer takes them, so that two batches that share a key wait for
    /// each other and never both ways.
    static func insert(_ decisions: [NewDecision]) -> [PostgresQuery] {
        let rows = decisions.sorted { $0.key < $1.key }
        let replaced = rows.filter(\.replacesMalformed).map(\.key)
        var queries: [PostgresQuery] = []
        if !replaced.isEmpty {
            queries.append(
                PostgresQuery(
                    deleteMalformed,
                    [.int32s(replaced.map(\.environmentID.rawValue)), .uuids(replaced.map { PostgresUUID($0.id) })]))
        }
        queries.append(insert(sorted: rows))
        return queries
    }

    private static let deleteMalformed: PostgresStatement = """
        delete from commands c
        using unnest($1::integer[], $2::uuid[]) as k (environment_id, command_id)
        where c.environment_id = k.environment_id and c.command_id = k.command_id and c.status = 400
        """

    private static func insert(sorted rows: [NewDecision]) -> PostgresQuery {
        PostgresQuery(
            KnownBug.noIdempotencyCheck.isActive ? carelessInsertStatement : insertStatement,
            [
                .int32s(rows.map(\.key.environmentID.rawValue)),
                .uuids(rows.map { PostgresUUID($0.key.id) }),
                .nullableUUIDs(rows.map { $0.fingerprint.map { PostgresUUID($0) } }),
                .nullableInt64s(rows.map { $0.accountID?.rawValue }),
                .int64s(rows.map(\.revision)),
                .int16s(rows.map { Int16($0.status) }),
                .nullableInt64s(
                    rows.map { row in
                        if case .use(_, let sequence) = row.answer { sequence } else { nil }
                    }),
                .nullableByteArrays(
                    rows.map { row in
                        if case .body(let body) = row.answer { body } else { nil }
                    }),
                .timestamps(microseconds: rows.map(\.decidedAt.microseconds)),
                .nullableUUIDs(rows.map { $0.actor.keyID.map { PostgresUUID($0) } }),
                .nullableTexts(rows.map(\.actor.address)),
                .texts(rows.map(\.requestID)),
                .texts(rows.map(\.action.rawValue)),
            ])
    }

    private static let insertStatement: PostgresStatement = """
        insert into commands (environment_id, command_id, fingerprint, account_id, revision, status, sequence, response,
            decided_at, key_id, client_address, request_id, action)
        select c.environment_id, c.command_id, c.fingerprint, c.account_id, c.revision, c.status, c.sequence, c.response,
            c.decided_at, c.key_id, c.client_address, c.request_id, c.action
        from unnest($1::integer[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::smallint[], $7::bigint[],
            $8::bytea[], $9::timestamptz[], $10::uuid[], $11::text[], $12::text[], $13::text[])
            as c (environment_id, command_id, fingerprint, account_id, revision, status, sequence, response, decided_at,
                key_id, client_address, request_id, action)
        """

    /// For the known bug only: the table would otherwise prevent what the bug is to show.
    private static let carelessInsertStatement = PostgresStatement(insertStatement.sql + " on conflict do nothing")

    /// Whether a command was put away because it cannot be applied.
    package static func isParked(_ key: CommandKey, on connection: PostgresConnection) async throws -> Bool {
        let result = try await connection.run(
            PostgresQuery(
                "select 1 from parked_commands where environment_id = $1 and command_id = $2 limit 1",
                [.int32(key.environmentID.rawValue), .uuid(high: key.id.high, low: key.id.low)]))
        return result.rowCount > 0
    }

    /// Puts away what cannot be applied, with what is known about it. A command that was put away before stays as it is.
    package static func park(
        queue: String, key: CommandKey?, requestID: String?, error: String, message: [UInt8],
        on connection: PostgresConnection
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
                    .text(queue), .optional(key?.environmentID.rawValue),
                    key.map { .uuid(high: $0.id.high, low: $0.id.low) } ?? .null, .optional(requestID), .text(error),
                    .bytes(message),
                ]))
    }
}
