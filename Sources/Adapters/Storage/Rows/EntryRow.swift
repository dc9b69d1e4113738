package import Credits
package import Ledger
package import Postgres

/// A row of `entries`: an entry with the account that it belongs to.
package struct EntryRow: TableRow, Hashable, Sendable {
    package let environmentID: EnvironmentID
    package let accountID: AccountID
    package let entry: Entry

    package var key: EntryKey {
        EntryKey(environmentID: environmentID, accountID: accountID, sequence: entry.sequence)
    }

    package static let table = "entries"
    package static let columns = [
        "environment_id", "account_id", "sequence", "type", "amount", "reserved_delta", "overage_delta",
        "balance_after", "reserved_after", "overage_after", "allocation_blocks", "allocation_amounts", "hold_blocks",
        "hold_amounts", "feature_key", "units", "rule_id", "reservation", "refunds", "idempotency_key", "reason",
        "metadata", "details", "effective_at", "recorded_at", "hash", "version", "personal_digest",
    ]

    package init(_ fields: inout RowFields, keeping old: EntryRow?) throws {
        environmentID = try fields.environmentID()
        accountID = try fields.accountID()
        let sequence = try fields.int64()
        let type = try fields.parsed("type") { EntryType(rawValue: $0) }
        let (amount, reservedDelta, overageDelta) = (try fields.int64(), try fields.int64(), try fields.int64())
        let (balanceAfter, reservedAfter, overageAfter) = (
            try fields.int64(), try fields.int64(), try fields.int64()
        )
        let allocations = zip(try fields.int32s(), try fields.int64s()).map { Allocation(block: $0, amount: $1) }
        let holds = zip(try fields.int32s(), try fields.int64s()).map { Allocation(block: $0, amount: $1) }
        let cause = EntryCause(
            featureKey: try fields.parsedOrNil("feature_key") { FeatureKey($0) }, units: try fields.int64OrNil(),
            ruleID: try fields.bitsOrNil().map { PublicID(.rule, $0) }, reservation: try fields.int32OrNil(),
            refunds: try fields.int64OrNil(), idempotencyKey: try fields.textOrNil(), reason: try fields.textOrNil(),
            metadata: try fields.metadata(),
            details: try fields.parsedOrNil("details") { try EntryDetails(storedJSON: $0) } ?? .none)
        let (effectiveAt, recordedAt) = (try fields.instant(), try fields.instant())
        guard let hash = EntryHash(bytes: try fields.bytes()) else { throw StorageError.unknownValue(column: "hash") }
        guard let version = EntryVersion(rawValue: try fields.int16()) else {
            throw StorageError.unknownValue(column: "version")
        }
        let digest = try fields.bytesOrNil().map { bytes in
            guard let digest = EntryHash(bytes: bytes) else {
                throw StorageError.unknownValue(column: "personal_digest")
            }
            return digest
        }
        entry = Entry(
            sequence: sequence, type: type, amount: amount, reservedDelta: reservedDelta, overageDelta: overageDelta,
            balanceAfter: balanceAfter, reservedAfter: reservedAfter, overageAfter: overageAfter,
            allocations: allocations, holds: holds, cause: cause, effectiveAt: effectiveAt, recordedAt: recordedAt,
            hash: hash, version: version, personalDigest: digest)
    }

    init(account: Account, entry: Entry) {
        environmentID = account.environmentID
        accountID = account.id
        self.entry = entry
    }
}

/// The primary key of an entry.
package struct EntryKey: Hashable, Sendable {
    package let environmentID: EnvironmentID
    package let accountID: AccountID
    package let sequence: Int64

    package init(environmentID: EnvironmentID, accountID: AccountID, sequence: Int64) {
        self.environmentID = environmentID
        self.accountID = accountID
        self.sequence = sequence
    }
}

extension BulkStatement<EntryRow> {
    static let insertEntries = BulkStatement.insert(
        into: "entries",
        [
            .int32("environment_id") { $0.environmentID.rawValue as Int32 },
            .int64("account_id") { $0.accountID.rawValue as Int64 },
            .int64("sequence") { $0.entry.sequence as Int64 },
            .text("type") { $0.entry.type.rawValue as String },
            .int64("amount") { $0.entry.amount as Int64 },
            .int64("reserved_delta") { $0.entry.reservedDelta as Int64 },
            .int64("overage_delta") { $0.entry.overageDelta as Int64 },
            .int64("balance_after") { $0.entry.balanceAfter as Int64 },
            .int64("reserved_after") { $0.entry.reservedAfter as Int64 },
            .int64("overage_after") { $0.entry.overageAfter as Int64 },
            .int32List("allocation_blocks") { $0.entry.allocations.map(\.block) },
            .int64List("allocation_amounts") { $0.entry.allocations.map(\.amount) },
            .int32List("hold_blocks") { $0.entry.holds.isEmpty ? nil : $0.entry.holds.map(\.block) },
            .int64List("hold_amounts") { $0.entry.holds.isEmpty ? nil : $0.entry.holds.map(\.amount) },
            .text("feature_key") { $0.entry.cause.featureKey?.rawValue },
            .int64("units") { $0.entry.cause.units },
            .bits("rule_id") { $0.entry.cause.ruleID?.bits },
            .int32("reservation") { $0.entry.cause.reservation },
            .int64("refunds") { $0.entry.cause.refunds },
            .text("idempotency_key") { $0.entry.cause.idempotencyKey },
            .text("reason") { $0.entry.cause.reason },
            .text("metadata") { $0.entry.cause.metadata?.canonicalJSON },
            .text("details") { $0.entry.cause.details.storedJSON },
            .instant("effective_at") { $0.entry.effectiveAt as Instant },
            .instant("recorded_at") { $0.entry.recordedAt as Instant },
            .bytes("hash") { $0.entry.hash.bytes as [UInt8] },
            .int16("version") { $0.entry.version.rawValue as Int16 },
            .bytes("personal_digest") { $0.entry.personalDigest?.bytes },
        ])
}
