import Credits
package import Ledger
package import Postgres

extension LedgerStore {
    /// Writes what became of a batch and commits: entries, blocks, reservations, accounts, payments and the decided
    /// commands in one transaction and one round trip.
    ///
    /// An error leaves the transaction to be rolled back; a lost connection leaves the outcome unknown, and loading the
    /// commands again tells.
    package static func write(
        _ drafts: [AccountDraft], payments: [NewPayment] = [], decided: [NewDecision],
        on connection: PostgresConnection
    ) async throws {
        let changed = drafts.filter(\.isChanged)
        var queries: [PostgresQuery] = []
        if changed.contains(where: { !$0.entries.isEmpty }) { queries.append(insertEntries(changed)) }
        if changed.contains(where: { !$0.grantedBlocks.isEmpty }) { queries.append(insertBlocks(changed)) }
        if changed.contains(where: { !$0.olderChangedBlocks.isEmpty }) { queries.append(updateBlocks(changed)) }
        let newReservations = changed.flatMap { draft in draft.newReservations.map { (draft.account, $0) } }
        if !newReservations.isEmpty { queries.append(ReservationStore.insert(newReservations)) }
        let olderReservations = changed.flatMap { draft in draft.olderChangedReservations.map { (draft.account, $0) } }
        if !olderReservations.isEmpty { queries.append(ReservationStore.update(olderReservations)) }
        if !changed.isEmpty { queries.append(updateAccounts(changed)) }
        if !payments.isEmpty { queries.append(PaymentStore.insert(payments)) }
        if !decided.isEmpty { queries += CommandStore.insert(decided) }
        let unused = drafts.filter { $0.account.revision == 0 }
        if !unused.isEmpty { queries.append(deleteUnused(unused)) }
        queries.append(PostgresQuery("commit"))
        _ = try await connection.run(queries)
    }

    private static func insertEntries(_ drafts: [AccountDraft]) -> PostgresQuery {
        let rows = drafts.flatMap { draft in draft.entries.map { (draft.account, $0) } }
        return PostgresQuery(
            insertEntriesStatement,
            [
                .int32s(rows.map(\.0.environmentID.rawValue)),
                .int64s(rows.map(\.0.id.rawValue)),
                .int64s(rows.map(\.1.sequence)),
                .texts(rows.map(\.1.type.rawValue)),
                .int64s(rows.map(\.1.amount)),
                .int64s(rows.map(\.1.reservedDelta)),
                .int64s(rows.map(\.1.overageDelta)),
                .int64s(rows.map(\.1.balanceAfter)),
                .int64s(rows.map(\.1.reservedAfter)),
                .texts(rows.map { arrayText($0.1.allocations.map { Int64($0.block) }) }),
                .texts(rows.map { arrayText($0.1.allocations.map(\.amount)) }),
                .nullableTexts(rows.map { $0.1.cause.featureKey?.rawValue }),
                .nullableInt64s(rows.map(\.1.cause.units)),
                .nullableUUIDs(rows.map { $0.1.cause.ruleID.map { PostgresUUID($0.bits) } }),
                .nullableTexts(rows.map(\.1.cause.idempotencyKey)),
                .nullableTexts(rows.map(\.1.cause.reason)),
                .nullableTexts(rows.map { $0.1.cause.metadata?.canonicalJSON }),
                .timestamps(microseconds: rows.map(\.1.effectiveAt.microseconds)),
                .timestamps(microseconds: rows.map(\.1.recordedAt.microseconds)),
                .byteArrays(rows.map(\.1.hash.bytes)),
                .nullableInt32s(rows.map(\.1.cause.reservation)),
                .nullableInt64s(rows.map(\.1.cause.refunds)),
                .nullableTexts(rows.map { $0.1.holds.isEmpty ? nil : arrayText($0.1.holds.map { Int64($0.block) }) }),
                .nullableTexts(rows.map { $0.1.holds.isEmpty ? nil : arrayText($0.1.holds.map(\.amount)) }),
                .int64s(rows.map(\.1.overageAfter)),
                .nullableTexts(rows.map(\.1.cause.details.storedJSON)),
            ])
    }

    private static func insertBlocks(_ drafts: [AccountDraft]) -> PostgresQuery {
        let rows = drafts.flatMap { draft in draft.grantedBlocks.map { (draft.account, $0, draft.current($0)) } }
        return PostgresQuery(
            insertBlocksStatement,
            [
                .int32s(rows.map(\.0.environmentID.rawValue)),
                .int64s(rows.map(\.0.id.rawValue)),
                .int32s(rows.map(\.1.block.number)),
                .int64s(rows.map(\.1.block.original.rawValue)),
                .int64s(rows.map(\.2.remaining.rawValue)),
                .int64s(rows.map(\.2.held.rawValue)),
                .int16s(rows.map(\.1.block.priority)),
                .nullableTimestamps(microseconds: rows.map { $0.1.block.expiresAt?.microseconds }),
                .texts(rows.map { arrayText($0.1.block.featureKeys) }),
                .texts(rows.map(\.1.source.rawValue)),
                .nullableTexts(rows.map(\.1.reason)),
                .nullableTexts(rows.map { $0.1.metadata?.canonicalJSON }),
                .timestamps(microseconds: rows.map(\.1.createdAt.microseconds)),
                .nullableTimestamps(microseconds: rows.map { $0.2.revokedAt?.microseconds }),
                .nullableInt64s(rows.map { $0.1.payment?.price }),
                .nullableTexts(rows.map { $0.1.payment?.currency }),
                .nullableTexts(rows.map { $0.1.payment?.externalID }),
            ])
    }

    private static func updateBlocks(_ drafts: [AccountDraft]) -> PostgresQuery {
        let rows = drafts.flatMap { draft in draft.olderChangedBlocks.map { (draft.account, $0) } }
        return PostgresQuery(
            updateBlocksStatement,
            [
                .int32s(rows.map(\.0.environmentID.rawValue)),
                .int64s(rows.map(\.0.id.rawValue)),
                .int32s(rows.map(\.1.number)),
                .int64s(rows.map(\.1.remaining.rawValue)),
                .int64s(rows.map(\.1.held.rawValue)),
                .nullableTimestamps(microseconds: rows.map { $0.1.revokedAt?.microseconds }),
            ])
    }

    private static func updateAccounts(_ drafts: [AccountDraft]) -> PostgresQuery {
        let accounts = drafts.map(\.account)
        let profiles = drafts.map(\.profile)
        return PostgresQuery(
            updateAccountsStatement,
            [
                .int32s(accounts.map(\.environmentID.rawValue)),
                .int64s(accounts.map(\.id.rawValue)),
                .int64s(accounts.map(\.version)),
                .int64s(accounts.map(\.revision)),
                .int64s(accounts.map(\.balance.rawValue)),
                .int64s(accounts.map(\.reserved.rawValue)),
                .int64s(accounts.map(\.overage.rawValue)),
                .int64s(accounts.map(\.lifetimeGranted.rawValue)),
                .int32s(accounts.map(\.blockCount)),
                .byteArrays(accounts.map(\.lastHash.bytes)),
                .timestamps(microseconds: accounts.map(\.advancedTo.microseconds)),
                .nullableTimestamps(microseconds: accounts.map { $0.scheduledAt?.microseconds }),
                .nullableTexts(profiles.map { $0?.name }),
                .nullableTexts(profiles.map { $0?.metadata?.canonicalJSON }),
                .nullableTimestamps(microseconds: profiles.map { $0?.createdAt.microseconds }),
                .nullableTimestamps(microseconds: profiles.map { $0?.updatedAt.microseconds }),
                .int32s(accounts.map(\.reservationCount)),
                .nullableTexts(accounts.map(\.counters.storedJSON)),
                .bools(drafts.map(\.hasNewSettings)),
                .nullableTexts(drafts.map { $0.hasNewSettings ? $0.account.settings.storedJSON : nil }),
                .nullableUUIDs(accounts.map { $0.settings.testClock.map { PostgresUUID($0.bits) } }),
            ])
    }

    private static func deleteUnused(_ drafts: [AccountDraft]) -> PostgresQuery {
        PostgresQuery(
            """
            delete from accounts a
            using unnest($1::integer[], $2::bigint[]) as u (environment_id, account_id)
            where a.environment_id = u.environment_id and a.account_id = u.account_id and a.revision = 0
            """,
            [
                .int32s(drafts.map(\.account.environmentID.rawValue)),
                .int64s(drafts.map(\.account.id.rawValue)),
            ])
    }

    private static let insertEntriesStatement: PostgresStatement = """
        insert into entries (environment_id, account_id, sequence, type, amount, reserved_delta, overage_delta,
            balance_after, reserved_after, allocation_blocks, allocation_amounts, feature_key, units, rule_id,
            idempotency_key, reason, metadata, effective_at, recorded_at, hash, reservation, refunds, hold_blocks,
            hold_amounts, overage_after, details)
        select e.environment_id, e.account_id, e.sequence, e.type, e.amount, e.reserved_delta, e.overage_delta,
            e.balance_after, e.reserved_after, e.allocation_blocks::integer[], e.allocation_amounts::bigint[],
            e.feature_key, e.units, e.rule_id, e.idempotency_key, e.reason, e.metadata, e.effective_at,
            e.recorded_at, e.hash, e.reservation, e.refunds, e.hold_blocks::integer[], e.hold_amounts::bigint[],
            e.overage_after, e.details
        from unnest($1::integer[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[],
            $8::bigint[], $9::bigint[], $10::text[], $11::text[], $12::text[], $13::bigint[], $14::uuid[],
            $15::text[], $16::text[], $17::text[], $18::timestamptz[], $19::timestamptz[], $20::bytea[],
            $21::integer[], $22::bigint[], $23::text[], $24::text[], $25::bigint[], $26::text[])
            as e (environment_id, account_id, sequence, type, amount, reserved_delta, overage_delta, balance_after,
                reserved_after, allocation_blocks, allocation_amounts, feature_key, units, rule_id, idempotency_key,
                reason, metadata, effective_at, recorded_at, hash, reservation, refunds, hold_blocks, hold_amounts,
                overage_after, details)
        """

    private static let insertBlocksStatement: PostgresStatement = """
        insert into blocks (environment_id, account_id, number, original, remaining, held, priority, expires_at,
            feature_keys, open, source, reason, metadata, created_at, revoked_at, price_paid, currency,
            external_payment_id)
        select b.environment_id, b.account_id, b.number, b.original, b.remaining, b.held, b.priority, b.expires_at,
            b.feature_keys::text[], b.remaining > 0, b.source, b.reason, b.metadata, b.created_at,
            b.revoked_at, b.price_paid, b.currency, b.external_payment_id
        from unnest($1::integer[], $2::bigint[], $3::integer[], $4::bigint[], $5::bigint[], $6::bigint[],
            $7::smallint[], $8::timestamptz[], $9::text[], $10::text[], $11::text[], $12::text[], $13::timestamptz[],
            $14::timestamptz[], $15::bigint[], $16::text[], $17::text[])
            as b (environment_id, account_id, number, original, remaining, held, priority, expires_at, feature_keys,
                source, reason, metadata, created_at, revoked_at, price_paid, currency, external_payment_id)
        """

    static let updateBlocksStatement: PostgresStatement = """
        update blocks b
        set remaining = n.remaining, held = n.held, open = n.remaining > 0, revoked_at = n.revoked_at
        from unnest($1::integer[], $2::bigint[], $3::integer[], $4::bigint[], $5::bigint[], $6::timestamptz[])
            as n (environment_id, account_id, number, remaining, held, revoked_at)
        where b.environment_id = n.environment_id and b.account_id = n.account_id and b.number = n.number
        """

    /// Settings can be long. Where they stay as they are they are not written again, neither to the table nor to the log.
    private static let updateAccountsStatement: PostgresStatement = """
        update accounts a
        set version = n.version, revision = n.revision, balance = n.balance, reserved = n.reserved,
            overage = n.overage, lifetime_granted = n.lifetime_granted, block_count = n.block_count,
            last_hash = n.last_hash, advanced_to = n.advanced_to, due_at = n.due_at, name = n.name,
            metadata = n.metadata, created_at = n.created_at, updated_at = n.updated_at,
            reservation_count = n.reservation_count, counters = n.counters,
            settings = case when n.has_new_settings then n.settings else a.settings end,
            test_clock_id = n.test_clock_id
        from unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
            $7::bigint[], $8::bigint[], $9::integer[], $10::bytea[], $11::timestamptz[], $12::timestamptz[],
            $13::text[], $14::text[], $15::timestamptz[], $16::timestamptz[], $17::integer[], $18::text[],
            $19::boolean[], $20::text[], $21::uuid[])
            as n (environment_id, account_id, version, revision, balance, reserved, overage, lifetime_granted,
                block_count, last_hash, advanced_to, due_at, name, metadata, created_at, updated_at,
                reservation_count, counters, has_new_settings, settings, test_clock_id)
        where a.environment_id = n.environment_id and a.account_id = n.account_id
        """

    /// A PostgreSQL array literal; an array of arrays has no binary form that `unnest` leaves nested.
    static func arrayText(_ values: [Int64]) -> String {
        if values.count == 1 { return "{\(values[0])}" }
        return "{" + values.map(String.init).joined(separator: ",") + "}"
    }

    /// Feature keys have no character that an array literal would need quoted.
    private static func arrayText(_ keys: [FeatureKey]) -> String {
        "{" + keys.map { "\"\($0.rawValue)\"" }.joined(separator: ",") + "}"
    }
}
