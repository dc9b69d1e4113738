package import Credits
package import Postgres

/// A payment by the payment provider's id.
package struct PaymentKey: Hashable, Comparable, Sendable {
    package let environmentID: EnvironmentID
    package let externalID: String

    package init(environmentID: EnvironmentID, externalID: String) {
        self.environmentID = environmentID
        self.externalID = externalID
    }

    /// Ids are the same when their bytes are, as in PostgreSQL.
    package static func == (left: PaymentKey, right: PaymentKey) -> Bool {
        left.environmentID == right.environmentID && left.externalID.utf8.elementsEqual(right.externalID.utf8)
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(environmentID)
        var text = externalID
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }

    package static func < (left: PaymentKey, right: PaymentKey) -> Bool {
        left.environmentID == right.environmentID
            ? left.externalID.utf8.lexicographicallyPrecedes(right.externalID.utf8)
            : left.environmentID < right.environmentID
    }
}

/// What was answered to the first request that applied a payment.
package struct AppliedPayment: Hashable, Sendable {
    /// What that request asked for.
    package let fingerprint: Bits128
    package let status: UInt16
    package let body: [UInt8]

    package init(fingerprint: Bits128, status: UInt16, body: [UInt8]) {
        self.fingerprint = fingerprint
        self.status = status
        self.body = body
    }
}

/// A payment that is applied now, to be remembered for ever.
package struct NewPayment: Hashable, Sendable {
    package let key: PaymentKey
    package let accountID: AccountID
    package let block: Int32
    package let applied: AppliedPayment
    package let commandID: Bits128
    package let createdAt: Instant

    package init(
        key: PaymentKey, accountID: AccountID, block: Int32, applied: AppliedPayment, commandID: Bits128,
        createdAt: Instant
    ) {
        self.key = key
        self.accountID = accountID
        self.block = block
        self.applied = applied
        self.commandID = commandID
        self.createdAt = createdAt
    }
}

/// The payments that were turned into credits: what makes each count once, for ever.
package enum PaymentStore {
    /// Which block a payment has become; nil when it has become none.
    package static func block(
        of key: PaymentKey, on connection: PostgresConnection
    ) async throws -> (accountID: AccountID, block: Int32)? {
        let result = try await connection.run(
            PostgresQuery(
                """
                select account_id, block_number from payments
                where environment_id = $1 and external_payment_id = $2
                """, [.int32(key.environmentID.rawValue), .text(key.externalID)]))
        return try result.first.map { (AccountID(try $0.int64(0)), try $0.int32(1)) }
    }

    static func find(_ keys: Set<PaymentKey>) -> PostgresQuery {
        let sorted = keys.sorted()
        return PostgresQuery(
            findStatement,
            [.int32s(sorted.map(\.environmentID.rawValue)), .texts(sorted.map(\.externalID))])
    }

    static let findStatement: PostgresStatement = """
        select p.environment_id, p.external_payment_id, p.fingerprint, p.status, p.response
        from unnest($1::integer[], $2::text[]) as k (environment_id, external_payment_id)
        join payments p using (environment_id, external_payment_id)
        """

    static func decode(_ result: PostgresResult) throws -> [PaymentKey: AppliedPayment] {
        var payments: [PaymentKey: AppliedPayment] = [:]
        for row in result {
            let key = PaymentKey(environmentID: EnvironmentID(try row.int32(0)), externalID: try row.text(1))
            payments[key] = AppliedPayment(
                fingerprint: Bits128(try row.uuid(2)), status: UInt16(try row.int16(3)), body: try row.bytes(4))
        }
        return payments
    }

    /// Rows go in by key, the order in which every writer takes them, so that two batches that share a payment wait for
    /// each other and never both ways.
    static func insert(_ payments: [NewPayment]) -> PostgresQuery {
        let rows = payments.sorted { $0.key < $1.key }
        return PostgresQuery(
            insertStatement,
            [
                .int32s(rows.map(\.key.environmentID.rawValue)),
                .texts(rows.map(\.key.externalID)),
                .int64s(rows.map(\.accountID.rawValue)),
                .int32s(rows.map(\.block)),
                .uuids(rows.map { PostgresUUID($0.applied.fingerprint) }),
                .int16s(rows.map { Int16($0.applied.status) }),
                .byteArrays(rows.map(\.applied.body)),
                .uuids(rows.map { PostgresUUID($0.commandID) }),
                .timestamps(microseconds: rows.map(\.createdAt.microseconds)),
            ])
    }

    private static let insertStatement: PostgresStatement = """
        insert into payments (environment_id, external_payment_id, account_id, block_number, fingerprint, status,
            response, command_id, created_at)
        select p.environment_id, p.external_payment_id, p.account_id, p.block_number, p.fingerprint, p.status,
            p.response, p.command_id, p.created_at
        from unnest($1::integer[], $2::text[], $3::bigint[], $4::integer[], $5::uuid[], $6::smallint[], $7::bytea[],
            $8::uuid[], $9::timestamptz[])
            as p (environment_id, external_payment_id, account_id, block_number, fingerprint, status, response,
                command_id, created_at)
        """
}
