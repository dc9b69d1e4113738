import Commands
import Credits
import Ledger
import Postgres

/// One slice of the removal of an erased end user's text: rows of one table, or of several that have few.
struct ErasureSlice {
    /// The tables, in the order in which they lose their text.
    private enum Stage: Int16 {
        case usage, entries, blocks, reservations, answers, receivedTransfers, counters, transfersOfVersion1,
            parkedCommands, events, subscriptions, deliveries
    }

    private let environmentID: EnvironmentID
    /// The owner of the entries before the erasure.
    private let owner: EntryOwner
    private let upTo: Int64
    private var stage: Stage
    /// The number of the last row of the stage that has lost its text.
    private var done: Int64
    /// The rows that may still be changed.
    private var limit: Int64
    private let connection: PostgresConnection

    init(_ row: PostgresRow, limit: Int64, on connection: PostgresConnection) throws {
        var fields = RowFields(row)
        environmentID = try fields.environmentID()
        owner = EntryOwner(
            account: try fields.accountID(), endUserID: try fields.endUserID(), salt: try fields.salt())
        upTo = try fields.int64()
        guard let stage = Stage(rawValue: try fields.int16()) else { throw StorageError.unknownValue(column: "stage") }
        self.stage = stage
        done = try fields.int64()
        self.limit = limit
        self.connection = connection
    }

    /// The rows of a table that were changed: their number, and where the next slice begins.
    private struct Progress {
        let rows: Int
        var last: Int64 = 0
        /// Whether rows may be left although fewer than the limit were changed.
        var mustWait = false
    }

    /// Removes text from one table after another, up to the limit, and notes what is done.
    ///
    /// - Returns: The rows that lost their text.
    mutating func remove() async throws -> Int {
        _ = try await run(
            "select from accounts where environment_id = $1 and account_id = $2 for update", account)
        var removed = 0
        while true {
            let progress = try await removeFromStage()
            removed += progress.rows
            if progress.rows >= Int(limit) || progress.mustWait {
                done = progress.last
                break
            }
            limit -= Int64(progress.rows)
            guard let next = Stage(rawValue: stage.rawValue + 1) else {
                _ = try await run("delete from erasures where environment_id = $1 and account_id = $2", account)
                return removed
            }
            (stage, done) = (next, 0)
        }
        _ = try await run(
            "update erasures set stage = $3, done = $4 where environment_id = $1 and account_id = $2",
            account + [.int16(stage.rawValue), .int64(done)])
        return removed
    }

    private func removeFromStage() async throws -> Progress {
        switch stage {
        case .usage: try await deleteUsage()
        case .entries: try await removeFromEntries()
        case .blocks: try await removeFromBlocks()
        case .reservations: try await removeFromReservations()
        case .answers: try await changed(Self.removeAnswers)
        case .receivedTransfers: try await changed(Self.removeReceived)
        case .counters: try await changed(Self.deleteCounters)
        case .transfersOfVersion1: try await renameInTransfersOfVersion1()
        case .parkedCommands: try await removeFromParkedCommands()
        case .events: try await removeFromEvents()
        case .subscriptions: try await changed(Self.removeFromSubscriptions)
        case .deliveries: try await removeFromDeliveries()
        }
    }

    private var account: [PostgresValue] { [.id(environmentID), .id(owner.account)] }

    private func run(_ statement: PostgresStatement, _ parameters: [PostgresValue]) async throws -> PostgresResult {
        try await connection.run(PostgresQuery(statement, parameters))
    }

    /// Runs a statement that changes at most `limit` rows of the account, in any order.
    private func changed(_ statement: PostgresStatement) async throws -> Progress {
        Progress(rows: try await run(statement, account + [.int64(limit)]).rowCount)
    }

    // MARK: - Entries

    /// Replaces the text of entries by its digest. The commands that had their keys lose answer and fingerprint.
    private func removeFromEntries() async throws -> Progress {
        let rows = try EntryRow.all(
            try await run(Self.findEntries, account + [.int64(done), .int64(upTo), .int64(limit)]))
        guard let last = rows.last else { return Progress(rows: 0) }
        var erased: [Entry] = []
        for row in rows {
            guard let digest = row.entry.digest(of: owner) else { throw StorageError.missingRow("the salt") }
            erased.append(row.entry.erased(digest))
        }
        _ = try await run(
            Self.eraseEntries,
            account + [
                .int64s(erased.map(\.sequence)), .nullableTexts(erased.map(\.cause.details.storedJSON)),
                .byteArrays(erased.map { $0.personalDigest?.bytes ?? [] }),
            ])
        let keys = rows.compactMap(\.entry.cause.idempotencyKey).map {
            CommandKey(environmentID: environmentID, idempotencyKey: $0)
        }
        if !keys.isEmpty {
            _ = try await run(
                Self.removeAnswersByKey, account + [.uuids(Set(keys).sorted().map { PostgresUUID($0.id) })])
        }
        return Progress(rows: rows.count, last: last.entry.sequence)
    }

    private static let findEntries = EntryRow.select(
        where: """
            t.environment_id = $1 and t.account_id = $2 and t.sequence > $3 and t.sequence <= $4
            order by t.sequence
            limit $5
            """)

    private static let eraseEntries: PostgresStatement = """
        update entries e
        set idempotency_key = null, reason = null, metadata = null, details = n.details, personal_digest = n.digest
        from unnest($3::bigint[], $4::text[], $5::bytea[]) as n (sequence, details, digest)
        where e.environment_id = $1 and e.account_id = $2 and e.sequence = n.sequence
        """

    /// Commands of the account, and transfers to it. The answer to a use is made from its entry.
    private static let removeAnswersByKey: PostgresStatement = """
        update commands set response = null, fingerprint = null
        where environment_id = $1 and command_id = any ($3::uuid[]) and (account_id = $2 or receiver_account_id = $2)
        """

    // MARK: - Blocks, payments and reservations

    private func removeFromBlocks() async throws -> Progress {
        let found = try await run(
            """
            select number, external_payment_id
            from blocks
            where environment_id = $1 and account_id = $2 and number > $3
            order by number
            limit $4
            """, account + [.int32(Int32(done)), .int64(limit)]
        ).map { (number: try $0.int32(0), payment: try $0.textOrNil(1)) }
        guard let end = found.last?.number else { return Progress(rows: 0) }
        _ = try await run(
            """
            update blocks set reason = null, metadata = null
            where environment_id = $1 and account_id = $2 and number > $3 and number <= $4
                and (reason is not null or metadata is not null)
            """, account + [.int32(Int32(done)), .int32(end)])
        // The payment stays known, so that it is never applied again. Its request is known no longer.
        let payments = found.compactMap(\.payment)
        if !payments.isEmpty {
            _ = try await run(
                """
                update payments set response = '', fingerprint = gen_random_uuid()
                where environment_id = $1 and account_id = $2 and external_payment_id = any ($3::text[])
                """, account + [.texts(payments)])
        }
        return Progress(rows: found.count, last: Int64(end))
    }

    private func removeFromReservations() async throws -> Progress {
        let rows = try ReservationRow.all(
            try await run(Self.findReservations, account + [.int32(Int32(done)), .int64(limit)]))
        guard let last = rows.last else { return Progress(rows: 0) }
        let erased = rows.map(\.reservation.erased)
        _ = try await run(
            """
            update reservations r
            set estimate = n.estimate, watermark = n.watermark, parts = n.parts, counts = null, metadata = null
            from unnest($3::integer[], $4::text[], $5::text[], $6::text[]) as n (number, estimate, watermark, parts)
            where r.environment_id = $1 and r.account_id = $2 and r.number = n.number
            """,
            account + [
                .int32s(erased.map(\.number)), .texts(erased.map(\.estimate.storedJSON)),
                .nullableTexts(erased.map { $0.parts.count == 1 ? $0.parts[0].watermark?.storedJSON : nil }),
                .nullableTexts(erased.map(\.storedParts)),
            ])
        return Progress(rows: rows.count, last: Int64(last.reservation.number))
    }

    private static let findReservations = ReservationRow.select(
        where: """
            t.environment_id = $1 and t.account_id = $2 and t.number > $3
            order by t.number
            limit $4
            """)

    private static let removeFromSubscriptions: PostgresStatement = """
        update subscriptions set metadata = null
        where (environment_id, account_id, number) in (
            select s.environment_id, s.account_id, s.number
            from subscriptions s
            where s.environment_id = $1 and s.account_id = $2 and s.metadata is not null
            limit $3)
        returning 1
        """

    // MARK: - Commands

    /// The answers to commands without an entry, or without a key. The answer to the erasure itself names nobody.
    private static let removeAnswers: PostgresStatement = """
        update commands set response = null, fingerprint = null
        where (environment_id, command_id) in (
            select c.environment_id, c.command_id
            from commands c
            where c.environment_id = $1 and c.account_id = $2 and c.response is not null
                and c.revision < (select x.revision from erasures x where x.environment_id = $1 and x.account_id = $2)
            limit $3)
        returning 1
        """

    /// The answers to transfers that the account received.
    private static let removeReceived: PostgresStatement = """
        update commands set response = null, fingerprint = null
        where (environment_id, command_id) in (
            select c.environment_id, c.command_id
            from commands c
            where c.environment_id = $1 and c.receiver_account_id = $2 and c.response is not null
            limit $3)
        returning 1
        """

    /// A parked command stays as an alarm, without its message. The encoded message contains the length of the id before
    /// the id, so that an id is not taken for a part of another. A message whose environment cannot be read has none
    /// here. It may be another tenant's, so only an id of at least 8 bytes is looked for in it.
    private func removeFromParkedCommands() async throws -> Progress {
        let id = Array(owner.endUserID.rawValue.utf8)
        let length = id.count < 128 ? [UInt8(id.count)] : [UInt8(id.count & 127 | 128), UInt8(id.count >> 7)]
        let result = try await run(
            """
            update parked_commands set message = '', error = 'the end user was erased'
            where parked_id in (
                select p.parked_id
                from parked_commands p
                where (p.environment_id = $1 or p.environment_id is null and $4)
                    and position($2::bytea in p.message) > 0
                limit $3)
            returning 1
            """, [.id(environmentID), .bytes(length + id), .int64(limit), .bool(id.count >= 8)])
        return Progress(rows: result.rowCount)
    }

    // MARK: - Events

    /// Removes the text that tenants have given from the data of events. The events stay, with their numbers.
    private func removeFromEvents() async throws -> Progress {
        let found = try await run(
            """
            select sequence, data
            from events
            where environment_id = $1 and account_id = $2 and sequence > $3
            order by sequence
            limit $4
            """, account + [.int64(done), .int64(limit)]
        ).map { (sequence: try $0.int64(0), data: try $0.text(1)) }
        guard let end = found.last?.sequence else { return Progress(rows: 0) }
        let changed = try found.compactMap { row -> (sequence: Int64, data: String)? in
            let data = try EventContent.erased(storedJSON: row.data)
            return data == row.data ? nil : (row.sequence, data)
        }
        if !changed.isEmpty {
            _ = try await run(
                """
                update events e set data = n.data
                from unnest($3::bigint[], $4::text[]) as n (sequence, data)
                where e.environment_id = $1 and e.account_id = $2 and e.sequence = n.sequence
                """, account + [.int64s(changed.map(\.sequence)), .texts(changed.map(\.data))])
        }
        return Progress(rows: found.count, last: end)
    }

    /// Removes the answers of receivers, which may repeat what was sent. A worker that records an attempt has locked the
    /// endpoint. After the wait for it, every answer of before is seen, and workers keep no answer from then on.
    private func removeFromDeliveries() async throws -> Progress {
        _ = try await run(
            "select from webhook_progress where environment_id = $1 order by endpoint_id for update",
            [.id(environmentID)])
        return try await changed(Self.removeFromDeliveries)
    }

    static let removeFromDeliveries = PostgresStatement(
        """
        update webhook_deliveries set attempts = \(WebhookRecords.withoutResponses("attempts"))
        where (environment_id, delivery_id) in (
            select d.environment_id, d.delivery_id
            from webhook_deliveries d
            where d.environment_id = $1 and d.account_id = $2 and d.attempts ~ '"response":"[^"]'
            limit $3)
        returning 1
        """)

    // MARK: - Counters and old transfers

    /// The id of a counter is a digest of what it counts, attributes included. The remainders of prices, which begin at the
    /// epoch and have no end, name nobody and stay.
    private static let deleteCounters: PostgresStatement = """
        delete from counters
        where (environment_id, account_id, counter_id) in (
            select c.environment_id, c.account_id, c.counter_id
            from counters c
            where c.environment_id = $1 and c.account_id = $2
                and not (c.window_start = 'epoch' and c.window_end = 'infinity')
            limit $3)
        returning 1
        """

    /// A checkpoint that is being made may not have seen the erasure. Its rows are deleted in a later slice, because waiting
    /// for it would keep the account locked. Later checkpoints do not sum by attributes until the erasure has ended.
    private func deleteUsage() async throws -> Progress {
        let locked = try await run(CheckpointStore.tryLock, account)
        guard try locked.first?.bool(0) == true else { return Progress(rows: 0, mustWait: true) }
        return try await changed(Self.deleteUsage)
    }

    /// The usage that checkpoints have summed by the values of attributes. It goes first, because the sums of entries without
    /// attributes are others.
    private static let deleteUsage: PostgresStatement = """
        delete from checkpoint_usage
        where (environment_id, account_id, attribute, feature_key, sequence, number) in (
            select u.environment_id, u.account_id, u.attribute, u.feature_key, u.sequence, u.number
            from checkpoint_usage u
            where u.environment_id = $1 and u.account_id = $2 and u.attribute <> ''
            limit $3)
        returning 1
        """

    /// Puts the opaque id into the entries of version 1 that others have of transfers from and to the account. Those of
    /// version 2 name the account by its number.
    private func renameInTransfersOfVersion1() async throws -> Progress {
        let found = try await run(
            """
            select e.account_id, e.sequence, e.details
            from entries e
            where e.environment_id = $1 and e.version = 1 and e.type = 'transfer'
                and e.details::json ->> 'counterparty' = $2
            limit $3
            """, [.id(environmentID), .text(owner.endUserID.rawValue), .int64(limit)])
        var details: [String?] = []
        for row in found {
            var old = try EntryDetails(storedJSON: try row.text(2))
            old.counterparty = EndUserID(erased: owner.account)
            details.append(old.storedJSON)
        }
        guard !details.isEmpty else { return Progress(rows: 0) }
        _ = try await run(
            """
            update entries e set details = n.details
            from unnest($2::bigint[], $3::bigint[], $4::text[]) as n (account_id, sequence, details)
            where e.environment_id = $1 and e.account_id = n.account_id and e.sequence = n.sequence
            """,
            [
                .id(environmentID), .int64s(try found.map { try $0.int64(0) }),
                .int64s(try found.map { try $0.int64(1) }), .nullableTexts(details),
            ])
        return Progress(rows: found.rowCount)
    }
}
