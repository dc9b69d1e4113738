package import Credits
package import Ledger
package import Postgres

/// A reservation with the account that it belongs to.
package struct AccountReservation: Hashable, Sendable {
    package let accountID: AccountID
    package let reservation: Reservation
}

/// The reservations of accounts, active or not.
package enum ReservationStore {
    /// What `decode` reads, in its order.
    static func columns(of alias: String) -> String {
        [
            "account_id", "number", "feature_key", "status", "rule_id", "estimate", "estimated_cost", "hold_blocks",
            "hold_amounts", "uncovered", "watermark", "charged", "expires_at", "created_at", "finished_at", "windows",
            "metadata",
        ].map { "\(alias).\($0)" }.joined(separator: ", ")
    }

    static func decode(_ row: PostgresRow) throws -> AccountReservation {
        guard let featureKey = FeatureKey(try row.text(2)), let status = ReservationStatus(rawValue: try row.text(3))
        else { throw StorageError.unknownValue(column: "feature_key or status") }
        return AccountReservation(
            accountID: AccountID(try row.int64(0)),
            reservation: Reservation(
                number: try row.int32(1), featureKey: featureKey, estimate: try Demand(storedJSON: row.text(5)),
                ruleID: try row.uuidOrNil(4).map { PublicID(.rule, Bits128($0)) },
                estimatedCost: try Millicredits(row.int64(6)), status: status,
                holds: zip(try row.int32s(7), try row.int64s(8)).map { Allocation(block: $0, amount: $1) },
                uncovered: try Millicredits(row.int64(9)),
                watermark: try row.textOrNil(10).map { try Demand(storedJSON: $0) },
                charged: try Millicredits(row.int64(11)), expiresAt: Instant(microseconds: try row.timestamp(12)),
                createdAt: Instant(microseconds: try row.timestamp(13)),
                finishedAt: try row.timestampOrNil(14).map { Instant(microseconds: $0) },
                windows: try row.textOrNil(15).map { try ReservationWindows(storedJSON: $0) } ?? ReservationWindows(),
                metadata: try row.textOrNil(16).map { Metadata(canonicalJSON: $0) }))
    }

    // MARK: - Reading

    /// A reservation as it was last written; time may have gone on since.
    package static func find(
        _ number: Int32, accountID: AccountID, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> Reservation? {
        let result = try await connection.run(
            PostgresQuery(
                findStatement,
                [.int32(environmentID.rawValue), .int64(accountID.rawValue), .int32(number)]))
        return try result.first.map { try decode($0).reservation }
    }

    private static let findStatement = PostgresStatement(
        """
        select \(columns(of: "r"))
        from reservations r
        where r.environment_id = $1 and r.account_id = $2 and r.number = $3
        """)

    /// A page of an account's reservations as they were last written, newest first, beginning before a number.
    package static func list(
        environmentID: EnvironmentID, accountID: AccountID, status: ReservationStatus?, before: Int32?, limit: Int,
        on connection: PostgresConnection
    ) async throws -> [Reservation] {
        let result = try await connection.run(
            PostgresQuery(
                listStatement,
                [
                    .int32(environmentID.rawValue), .int64(accountID.rawValue), .optional(status?.rawValue),
                    .optional(before), .int64(Int64(limit)),
                ]))
        return try result.map { try decode($0).reservation }
    }

    private static let listStatement = PostgresStatement(
        """
        select \(columns(of: "r"))
        from reservations r
        where r.environment_id = $1 and r.account_id = $2 and ($3::text is null or r.status = $3)
            and ($4::integer is null or r.number < $4)
        order by r.number desc
        limit $5
        """)

    // MARK: - Writing

    static func insert(_ rows: [(account: Account, reservation: Reservation)]) -> PostgresQuery {
        let reservations = rows.map(\.reservation)
        return PostgresQuery(
            insertStatement,
            state(rows) + [
                .texts(reservations.map(\.featureKey.rawValue)),
                .nullableUUIDs(reservations.map { $0.ruleID.map { PostgresUUID($0.bits) } }),
                .texts(reservations.map(\.estimate.storedJSON)),
                .int64s(reservations.map(\.estimatedCost.rawValue)),
                .timestamps(microseconds: reservations.map(\.createdAt.microseconds)),
                .nullableTexts(reservations.map(\.windows.storedJSON)),
                .nullableTexts(reservations.map { $0.metadata?.canonicalJSON }),
            ])
    }

    static func update(_ rows: [(account: Account, reservation: Reservation)]) -> PostgresQuery {
        PostgresQuery(updateStatement, state(rows))
    }

    /// What changes in the life of a reservation, behind its key.
    private static func state(_ rows: [(account: Account, reservation: Reservation)]) -> [PostgresValue] {
        let reservations = rows.map(\.reservation)
        return [
            .int32s(rows.map(\.account.environmentID.rawValue)),
            .int64s(rows.map(\.account.id.rawValue)),
            .int32s(reservations.map(\.number)),
            .texts(reservations.map(\.status.rawValue)),
            .texts(reservations.map { LedgerStore.arrayText($0.holds.map { Int64($0.block) }) }),
            .texts(reservations.map { LedgerStore.arrayText($0.holds.map(\.amount)) }),
            .int64s(reservations.map(\.held)),
            .int64s(reservations.map(\.uncovered.rawValue)),
            .nullableTexts(reservations.map { $0.watermark?.storedJSON }),
            .int64s(reservations.map(\.charged.rawValue)),
            .timestamps(microseconds: reservations.map(\.expiresAt.microseconds)),
            .nullableTimestamps(microseconds: reservations.map { $0.finishedAt?.microseconds }),
        ]
    }

    private static let insertStatement: PostgresStatement = """
        insert into reservations (environment_id, account_id, number, status, hold_blocks, hold_amounts, held, uncovered,
            watermark, charged, expires_at, finished_at, feature_key, rule_id, estimate, estimated_cost, created_at,
            windows, metadata)
        select r.environment_id, r.account_id, r.number, r.status, r.hold_blocks::integer[], r.hold_amounts::bigint[],
            r.held, r.uncovered, r.watermark, r.charged, r.expires_at, r.finished_at, r.feature_key, r.rule_id,
            r.estimate, r.estimated_cost, r.created_at, r.windows, r.metadata
        from unnest($1::integer[], $2::bigint[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::bigint[],
            $8::bigint[], $9::text[], $10::bigint[], $11::timestamptz[], $12::timestamptz[], $13::text[], $14::uuid[],
            $15::text[], $16::bigint[], $17::timestamptz[], $18::text[], $19::text[])
            as r (environment_id, account_id, number, status, hold_blocks, hold_amounts, held, uncovered, watermark,
                charged, expires_at, finished_at, feature_key, rule_id, estimate, estimated_cost, created_at, windows,
                metadata)
        """

    static let updateStatement: PostgresStatement = """
        update reservations r
        set status = n.status, hold_blocks = n.hold_blocks::integer[], hold_amounts = n.hold_amounts::bigint[],
            held = n.held, uncovered = n.uncovered, watermark = n.watermark, charged = n.charged,
            expires_at = n.expires_at, finished_at = n.finished_at
        from unnest($1::integer[], $2::bigint[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::bigint[],
            $8::bigint[], $9::text[], $10::bigint[], $11::timestamptz[], $12::timestamptz[])
            as n (environment_id, account_id, number, status, hold_blocks, hold_amounts, held, uncovered, watermark,
                charged, expires_at, finished_at)
        where r.environment_id = n.environment_id and r.account_id = n.account_id and r.number = n.number
        """
}
