package import Credits
package import Ledger
package import Postgres

/// A row of `blocks` with the columns that decisions and replicas read.
package struct BlockRow: TableRow, Sendable {
    package let environmentID: EnvironmentID
    package let accountID: AccountID
    package let block: Block
    /// Kept beside the block, which stores only whether a price was paid.
    private let pricePaid: Int64?
    let createdAt: Instant
    /// The start that the grant stated.
    let startsAt: Instant?

    package static let table = "blocks"
    package static let columns = [
        "environment_id", "account_id", "number", "original", "remaining", "held", "priority", "expires_at",
        "price_paid", "feature_keys", "revoked_at", "created_at", "starts_at", "scheduled", "subscription", "line",
        "period_index", "ends_with_period",
    ]

    package init(_ fields: inout RowFields, keeping old: BlockRow?) throws {
        environmentID = try fields.environmentID(or: old?.environmentID)
        accountID = try fields.accountID(or: old?.accountID)
        let before = old?.block
        let number = try fields.int32(or: before?.number)
        let original = try fields.amount(or: before?.original)
        let remaining = try fields.amount(or: before?.remaining)
        let held = try fields.amount(or: before?.held)
        let priority = try fields.int16(or: before?.priority)
        let expiresAt = try fields.instantOrNil(or: before.map(\.expiresAt))
        pricePaid = try fields.int64OrNil(or: old.map(\.pricePaid))
        let featureKeys = try fields.texts(or: before?.featureKeys.map(\.rawValue)).map { text in
            guard let key = FeatureKey(text) else { throw StorageError.unknownValue(column: "feature_keys") }
            return key
        }
        let revokedAt = try fields.instantOrNil(or: before.map(\.revokedAt))
        createdAt = try fields.instant(or: old?.createdAt)
        startsAt = try fields.instantOrNil(or: old.map(\.startsAt))
        let since = max(createdAt, startsAt ?? createdAt)
        let isScheduled = try fields.bool(or: before?.isScheduled)
        let subscription = try fields.int32OrNil(or: before.map { $0.origin?.subscription })
        let line = try fields.int16OrNil(or: before.map { $0.origin?.line })
        let period = try fields.int32OrNil(or: before.map { $0.origin?.periodIndex })
        block = Block(
            number: number, original: original, remaining: remaining, held: held, priority: priority,
            expiresAt: expiresAt, isPaid: (pricePaid ?? 0) > 0, featureSet: FeatureSet(featureKeys), since: since,
            startsLater: since > createdAt, isScheduled: isScheduled, revokedAt: revokedAt,
            origin: subscription.map { SubscriptionOrigin(subscription: $0, line: line, periodIndex: period ?? 0) },
            endsWithPeriod: try fields.bool(or: before?.endsWithPeriod))
    }

    /// Makes a row from a block in memory, whose price and creation are not known. It serves to take unchanged values
    /// from, and every update has the values that are not known.
    package init(environmentID: EnvironmentID, accountID: AccountID, block: Block) {
        self.environmentID = environmentID
        self.accountID = accountID
        self.block = block
        pricePaid = block.isPaid ? 1 : nil
        createdAt = block.since
        startsAt = nil
    }
}

/// A row of `blocks` that also has the columns that only record the grant.
struct GrantedBlockRow: TableRow {
    let accountID: AccountID
    let granted: GrantedBlock

    static let table = "blocks"
    static let columns =
        BlockRow.columns + [
            "price_paid", "currency", "external_payment_id", "source", "reason", "metadata",
        ]

    init(_ fields: inout RowFields, keeping old: GrantedBlockRow?) throws {
        let row = try BlockRow(&fields, keeping: nil)
        let payment = Payment(
            price: try fields.int64OrNil(), currency: try fields.textOrNil(), externalID: try fields.textOrNil())
        accountID = row.accountID
        granted = GrantedBlock(
            block: row.block, source: try fields.parsed("source") { BlockSource(rawValue: $0) },
            payment: payment.isEmpty ? nil : payment, reason: try fields.textOrNil(),
            metadata: try fields.metadata(), createdAt: row.createdAt, startsAt: row.startsAt)
    }
}

/// A block to insert, with its account.
struct BlockToWrite {
    let account: Account
    let granted: GrantedBlock
    /// The present state of the block. The batch that granted it may have spent from it.
    let state: Block
}

extension BulkStatement<BlockToWrite> {
    static let insertBlocks = BulkStatement.insert(
        into: "blocks",
        [
            .int32("environment_id") { $0.account.environmentID.rawValue as Int32 },
            .int64("account_id") { $0.account.id.rawValue as Int64 },
            .int32("number") { $0.state.number as Int32 },
            .amount("original") { $0.state.original },
            .amount("remaining") { $0.state.remaining },
            .amount("held") { $0.state.held },
            .int16("priority") { $0.state.priority },
            .instant("expires_at") { $0.state.expiresAt },
            .featureKeys("feature_keys") { $0.state.featureKeys },
            .text("source") { $0.granted.source.rawValue as String },
            .text("reason") { $0.granted.reason },
            .text("metadata") { $0.granted.metadata?.canonicalJSON },
            .instant("created_at") { $0.granted.createdAt as Instant },
            .instant("starts_at") { $0.granted.startsAt },
            .bool("scheduled") { $0.state.isScheduled },
            .instant("revoked_at") { $0.state.revokedAt },
            .int64("price_paid") { $0.granted.payment?.price },
            .text("currency") { $0.granted.payment?.currency },
            .text("external_payment_id") { $0.granted.payment?.externalID },
            .int32("subscription") { $0.state.origin?.subscription },
            .int16("line") { $0.state.origin?.line },
            .int32("period_index") { $0.state.origin?.periodIndex },
            .bool("ends_with_period") { $0.state.endsWithPeriod },
        ], computed: [(name: "open", expression: "n.remaining > 0 or n.scheduled")])
}

/// A block that was granted before the batch and that the batch has changed.
struct BlockChange {
    let account: Account
    let block: Block
}

extension BulkStatement<BlockChange> {
    static let updateBlocks = BulkStatement.update(
        "blocks", key: ["environment_id", "account_id", "number"],
        [
            .int32("environment_id") { $0.account.environmentID.rawValue as Int32 },
            .int64("account_id") { $0.account.id.rawValue as Int64 },
            .int32("number") { $0.block.number as Int32 },
            .amount("remaining") { $0.block.remaining },
            .amount("held") { $0.block.held },
            .instant("expires_at") { $0.block.expiresAt },
            .instant("revoked_at") { $0.block.revokedAt },
            .bool("scheduled") { $0.block.isScheduled },
        ], computed: [(name: "open", expression: "n.remaining > 0 or n.scheduled")])
}
