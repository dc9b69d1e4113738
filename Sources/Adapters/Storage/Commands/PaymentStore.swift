package import Commands
package import Credits
package import Postgres

/// The answer to the first request that applied a payment.
package struct AppliedPayment: Hashable, Sendable {
    /// The digest of that request.
    package let fingerprint: Bits128
    package let status: UInt16
    package let body: [UInt8]

    package init(fingerprint: Bits128, status: UInt16, body: [UInt8]) {
        self.fingerprint = fingerprint
        self.status = status
        self.body = body
    }
}

/// A payment that a batch applies, to be stored for good.
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

/// The payments that were turned into credits. The key of this table makes each payment count once.
package enum PaymentStore {
    /// The block that a payment was turned into; nil for a payment that was not applied.
    package static func block(
        of key: PaymentKey, on connection: PostgresConnection
    ) async throws -> (accountID: AccountID, block: Int32)? {
        let result = try await connection.run(
            PostgresQuery(
                """
                select account_id, block_number from payments
                where environment_id = $1 and external_payment_id = $2
                """, [.id(key.environmentID), .text(key.externalID)]))
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
}

extension BulkStatement<NewPayment> {
    static let insertPayments = BulkStatement.insert(
        into: "payments",
        [
            .int32("environment_id") { $0.key.environmentID.rawValue as Int32 },
            .text("external_payment_id") { $0.key.externalID as String },
            .int64("account_id") { $0.accountID.rawValue as Int64 },
            .int32("block_number") { $0.block as Int32 },
            .bits("fingerprint") { $0.applied.fingerprint as Bits128 },
            .int16("status") { Int16($0.applied.status) },
            .bytes("response") { $0.applied.body as [UInt8] },
            .bits("command_id") { $0.commandID as Bits128 },
            .instant("created_at") { $0.createdAt as Instant },
        ])
}
