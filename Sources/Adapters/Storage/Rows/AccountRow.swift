package import Credits
package import Ledger
package import Postgres

/// A row of `accounts` with the columns that decisions and replicas read. Blocks and reservations have their own rows.
package struct AccountRow: TableRow, Sendable {
    package let environmentID: EnvironmentID
    package let id: AccountID
    package let endUserID: EndUserID
    package let version: Int64
    package let revision: Int64
    package let sums: AccountSums
    package let settings: AccountSettings
    package let autoTopUp: AutoTopUp?

    package static let table = "accounts"
    package static let columns = [
        "environment_id", "account_id", "end_user_id", "version", "revision", "balance", "reserved", "overage",
        "lifetime_granted", "settings", "auto_topup",
    ]

    package init(_ fields: inout RowFields, keeping old: AccountRow?) throws {
        environmentID = try fields.environmentID(or: old?.environmentID)
        id = try fields.accountID(or: old?.id)
        endUserID = try fields.endUserID(or: old?.endUserID)
        version = try fields.int64(or: old?.version)
        revision = try fields.int64(or: old?.revision)
        sums = AccountSums(
            balance: try fields.amount(or: old?.sums.balance), reserved: try fields.amount(or: old?.sums.reserved),
            overage: try fields.amount(or: old?.sums.overage),
            lifetimeGranted: try fields.amount(or: old?.sums.lifetimeGranted))
        settings =
            try fields.parsedOrNil("settings", or: old.map { .some($0.settings) }) {
                try AccountSettings(storedJSON: $0)
            } ?? .none
        autoTopUp = try fields.parsedOrNil("auto_topup", or: old.map(\.autoTopUp)) { try AutoTopUp(storedJSON: $0) }
    }

    /// - Parameters:
    ///   - advancedTo: Read by the ledger worker only.
    ///   - blocks: The blocks with remaining credits.
    ///   - scheduled: The blocks whose grants start later.
    ///   - reservations: The active ones.
    ///   - subscriptions: The live ones.
    ///   - counters: Those that the caller needs.
    ///   - exhausted: Read by the ledger worker only.
    package func account(
        advancedTo: Instant = Instant(microseconds: .min), blocks: BlockList, scheduled: ScheduledBlocks,
        reservations: OrderedList<Reservation>, subscriptions: OrderedList<Subscription>, counters: UsageCounters,
        exhausted: [ExhaustedLimit] = []
    ) -> Account {
        Account(
            id: id, environmentID: environmentID, endUserID: endUserID, version: version, revision: revision,
            sums: sums, advancedTo: advancedTo, blocks: blocks, scheduled: scheduled, reservations: reservations,
            subscriptions: subscriptions, settings: settings, counters: counters, exhausted: exhausted,
            autoTopUp: autoTopUp)
    }
}

/// The columns of `accounts` that only the ledger worker reads: the book, the clock, and the end user's profile.
struct AccountBookRow {
    let book: AccountBook
    let advancedTo: Instant
    /// The number of counters, or more: those that were deleted after the end of their window are still counted.
    let counterCount: Int32
    /// The earliest end of a window among the counters; nil when none has an end.
    let countersEndAt: Instant?
    /// The number of open and scheduled blocks and of active reservations. An older release does not keep it up to date,
    /// so it only bounds what is loaded at once.
    let openRows: Int32
    /// The limits that were exhausted in windows which are still open.
    let exhausted: [ExhaustedLimit]
    let profile: EndUserProfile

    static let columns = [
        "block_count", "reservation_count", "subscription_count", "event_count", "last_hash", "salt", "advanced_to",
        "counter_count",
        "counters_end_at", "open_rows", "exhausted_limits", "name", "metadata", "created_at", "updated_at", "erased_at",
    ]

    init(_ fields: inout RowFields) throws {
        let (blockCount, reservationCount) = (try fields.int32(), try fields.int32())
        let subscriptionCount = try fields.int32()
        let eventCount = try fields.int64()
        guard let hash = EntryHash(bytes: try fields.bytes()) else {
            throw StorageError.unknownValue(column: "last_hash")
        }
        let salt = try fields.salt()
        book = AccountBook(
            blockCount: blockCount, reservationCount: reservationCount, subscriptionCount: subscriptionCount,
            eventCount: eventCount, lastHash: hash, salt: salt)
        advancedTo = try fields.instant()
        counterCount = try fields.int32()
        countersEndAt = try fields.instantOrNil()
        openRows = try fields.int32()
        exhausted = try fields.textOrNil().map { try [ExhaustedLimit](storedJSON: $0) } ?? []
        profile = try EndUserProfile(&fields)
    }

    static func columns(of alias: String) -> String {
        columns.map { "\(alias).\($0)" }.joined(separator: ", ")
    }
}

extension EndUserProfile {
    /// Reads `name`, `metadata`, `created_at`, `updated_at` and `erased_at`.
    init(_ fields: inout RowFields) throws {
        self.init(
            name: try fields.textOrNil(), metadata: try fields.metadata(), createdAt: try fields.instant(),
            updatedAt: try fields.instant(), erasedAt: try fields.instantOrNil())
    }
}

extension BulkStatement<AccountDraft> {
    /// Settings can be long. Unchanged settings keep the stored value, and a value that PostgreSQL stores out of line
    /// is then written neither to the table nor to the WAL again.
    static let updateAccounts = BulkStatement.update(
        "accounts", key: ["environment_id", "account_id"],
        [
            .int32("environment_id") { $0.account.environmentID.rawValue as Int32 },
            .int64("account_id") { $0.account.id.rawValue as Int64 },
            .int64("version") { $0.account.version as Int64 },
            .int64("revision") { $0.account.revision as Int64 },
            .amount("balance") { $0.account.balance },
            .amount("reserved") { $0.account.reserved },
            .amount("overage") { $0.account.overage },
            .amount("lifetime_granted") { $0.account.lifetimeGranted },
            .int32("block_count") { $0.book.blockCount as Int32 },
            .int32("reservation_count") { $0.book.reservationCount as Int32 },
            .int32("subscription_count") { $0.book.subscriptionCount as Int32 },
            .int64("event_count") { $0.book.eventCount as Int64 },
            .bytes("last_hash") { $0.book.lastHash.bytes as [UInt8] },
            .instant("advanced_to") { $0.account.advancedTo as Instant },
            .instant("due_at") { $0.scheduledAt },
            .text("exhausted_limits") { $0.account.exhausted.storedJSON },
            .int32("open_rows") { Int32($0.openRows) as Int32 },
            .text("name") { $0.profile?.name },
            .text("metadata") { $0.profile?.metadata?.canonicalJSON },
            .instant("created_at") { $0.profile?.createdAt },
            .instant("updated_at") { $0.profile?.updatedAt },
            .int32("counter_count") { Int32(clamping: $0.account.counters.storedCount) as Int32 },
            .instant("counters_end_at") { $0.account.counters.endsAt },
            .bool("has_new_settings") { $0.hasNewSettings }.assigned(""),
            .text("settings") { $0.hasNewSettings ? $0.account.settings.storedJSON : nil }
                .assigned("case when n.has_new_settings then n.settings else t.settings end"),
            .bool("has_new_auto_topup") { $0.hasNewAutoTopUp }.assigned(""),
            .text("auto_topup") { $0.hasNewAutoTopUp ? $0.account.autoTopUp?.storedJSON : nil }
                .assigned("case when n.has_new_auto_topup then n.auto_topup else t.auto_topup end"),
            .bits("test_clock_id") { $0.account.settings.testClock?.bits },
        ])
}
