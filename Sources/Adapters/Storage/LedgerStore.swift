package import Credits
package import Ledger
package import Postgres

/// One end user, by the tenant's name.
package struct AccountKey: Hashable, Comparable, Sendable {
    package let environmentID: EnvironmentID
    package let endUserID: EndUserID

    package init(environmentID: EnvironmentID, endUserID: EndUserID) {
        self.environmentID = environmentID
        self.endUserID = endUserID
    }

    package static func < (left: AccountKey, right: AccountKey) -> Bool {
        (left.environmentID, left.endUserID) < (right.environmentID, right.endUserID)
    }
}

/// A command's name in the database.
package struct CommandKey: Hashable, Comparable, Sendable {
    package let environmentID: EnvironmentID
    package let id: Bits128

    package init(environmentID: EnvironmentID, id: Bits128) {
        self.environmentID = environmentID
        self.id = id
    }

    package static func < (left: CommandKey, right: CommandKey) -> Bool {
        (left.environmentID, left.id) < (right.environmentID, right.id)
    }
}

/// What a batch's refunds and revocations name of one account.
package struct HistoryRequest: Hashable, Sendable {
    /// Sequences of the charges to refund.
    package var charges: Set<Int64> = []
    /// Numbers of the blocks to revoke.
    package var blocks: Set<Int32> = []

    package init() {}
}

/// What a batch has to read beside its accounts.
package struct BatchNeeds: Sendable {
    package var commands: [CommandKey] = []
    package var payments: Set<PaymentKey> = []
    package var histories: [AccountKey: HistoryRequest] = [:]

    package init() {}
}

/// All that a batch reads before it decides, under the locks of its accounts.
package struct LoadedBatch: Sendable {
    /// In the order of the keys asked for; a new end user has an account with revision 0 and no profile.
    package var accounts: [AccountDraft]
    package var decided: [CommandKey: DecidedCommand]
    /// Those of the payments asked for that were applied before.
    package var payments: [PaymentKey: AppliedPayment]
    /// Version of the catalogue per environment asked for.
    package var catalogueVersions: [EnvironmentID: Int64]
    /// The database's clock, read after the locks.
    package var now: Instant
}

/// The statements of the ledger worker: load a batch under locks, write what became of it.
package enum LedgerStore {
    /// What a session of the worker is set to: the batch's joins are short lists against large tables, and a plan made
    /// while the tables were small must not be kept. A worker that is frozen in a transaction must not keep the locks of
    /// its accounts from the workers that have taken over, and a statement that waits for a lock must not outlive its worker.
    package static let sessionSettings = """
        set enable_hashjoin = off; set enable_mergejoin = off; set enable_seqscan = off; set jit = off;
        set idle_in_transaction_session_timeout = '5s'; set client_connection_check_interval = '2s'
        """

    /// Opens a transaction, locks the accounts in one order, and loads them.
    ///
    /// The transaction stays open. Rows of end users that do not exist yet are inserted, so that two first commands of
    /// one end user wait for each other; `write` removes those that stayed unused. One round trip; one more where there are
    /// new end users, and one where an account has had a reservation or history is needed.
    ///
    /// - Parameter keys: Without repetitions.
    package static func load(
        _ keys: [AccountKey], needs: BatchNeeds = BatchNeeds(), on connection: PostgresConnection
    ) async throws -> LoadedBatch {
        let environments = PostgresValue.int32s(keys.map(\.environmentID.rawValue))
        let endUsers = PostgresValue.texts(keys.map(\.endUserID.rawValue))
        let commandList: [PostgresValue] = [
            .int32s(needs.commands.map(\.environmentID.rawValue)), .uuids(needs.commands.map { PostgresUUID($0.id) }),
        ]
        let environmentList = PostgresValue.int32s(Set(keys.map(\.environmentID.rawValue)).sorted())
        let lock = PostgresQuery(lockAccounts, [environments, endUsers])
        var rest = [
            PostgresQuery(loadBlocks, [environments, endUsers]),
            PostgresQuery(CommandStore.loadDecided, commandList),
            PostgresQuery(loadCatalogueVersions, [environmentList]),
            PostgresQuery("select clock_timestamp()"),
        ]
        if !needs.payments.isEmpty { rest.append(PaymentStore.find(needs.payments)) }
        let begin = PostgresQuery("begin")
        var results = try await connection.run([begin, lock] + rest)
        if results[1].rowCount < keys.count {
            // From the beginning, without a lock: whoever waits for another's new row must hold no account that the
            // other may wait for.
            let insert = PostgresQuery(insertMissingAccounts, [environments, endUsers])
            results = try await connection.run([PostgresQuery("rollback"), begin, insert, lock] + rest)
            results.removeFirst(2)
        }
        return try await batch(results, keys: keys, needs: needs, on: connection)
    }

    private static func batch(
        _ results: [PostgresResult], keys: [AccountKey], needs: BatchNeeds, on connection: PostgresConnection
    ) async throws -> LoadedBatch {
        var blocks: [AccountID: [Block]] = [:]
        for row in results[2] { blocks[AccountID(try row.int64(0)), default: []].append(try block(row, from: 1)) }
        let locked = try results[1].map { row in
            let index = Int(try row.int64(0)) - 1
            return LockedAccount(
                row: row, index: index, key: keys[index], id: AccountID(try row.int64(1)),
                hasReserved: try row.int32(15) > 0)
        }
        let past = try await past(of: locked, needs.histories, on: connection)
        var accounts = [AccountDraft?](repeating: nil, count: keys.count)
        for account in locked {
            accounts[account.index] = try draft(account, blocks: blocks[account.id] ?? [], past: past[account.id])
        }
        var versions: [EnvironmentID: Int64] = [:]
        for row in results[4] { versions[EnvironmentID(try row.int32(0))] = try row.int64(1) }
        guard let clock = results[5].first else { throw StorageError.missingRow("the clock") }
        return LoadedBatch(
            accounts: try accounts.map { draft in
                guard let draft else { throw StorageError.missingRow("an account that was just locked") }
                return draft
            },
            decided: try CommandStore.decodeDecided(results[3]),
            payments: needs.payments.isEmpty ? [:] : try PaymentStore.decode(results[6]),
            catalogueVersions: versions,
            now: Instant(microseconds: try clock.timestamp(0))
        )
    }

    private static func draft(_ locked: LockedAccount, blocks: [Block], past: Past?) throws -> AccountDraft {
        let row = locked.row
        guard let hash = EntryHash(bytes: try row.bytes(9)) else { throw StorageError.missingRow("a hash") }
        let account = Account(
            id: locked.id, environmentID: locked.key.environmentID, endUserID: locked.key.endUserID,
            version: try row.int64(2), revision: try row.int64(3), balance: try Millicredits(row.int64(4)),
            reserved: try Millicredits(row.int64(5)), overage: try Millicredits(row.int64(6)),
            lifetimeGranted: try Millicredits(row.int64(7)), blockCount: try row.int32(8), lastHash: hash,
            advancedTo: Instant(microseconds: try row.timestamp(10)),
            blocksInBurnOrder: blocks.sorted(by: Block.burnsBefore), reservationCount: try row.int32(15),
            reservations: (past?.reservations ?? []).sorted { $0.number < $1.number },
            settings: try row.textOrNil(16).map { try AccountSettings(storedJSON: $0) } ?? .none,
            counters: try row.textOrNil(17).map { try UsageCounters(storedJSON: $0) } ?? .none)
        let profile = EndUserProfile(
            name: try row.textOrNil(11), metadata: try row.textOrNil(12).map { Metadata(canonicalJSON: $0) },
            createdAt: Instant(microseconds: try row.timestamp(13)),
            updatedAt: Instant(microseconds: try row.timestamp(14)))
        var draft = AccountDraft(account: account, profile: account.revision == 0 ? nil : profile)
        if let past { draft.history = past.history }
        return draft
    }

    /// Reads the nine columns of a block that decisions need, beginning at one.
    static func block(_ row: PostgresRow, from column: Int) throws -> Block {
        Block(
            number: try row.int32(column),
            original: try Millicredits(row.int64(column + 1)),
            remaining: try Millicredits(row.int64(column + 2)),
            held: try Millicredits(row.int64(column + 3)),
            priority: try row.int16(column + 4),
            expiresAt: try row.timestampOrNil(column + 5).map { Instant(microseconds: $0) },
            isPaid: (try row.int64OrNil(column + 6) ?? 0) > 0,
            featureKeys: try row.texts(column + 7).compactMap { FeatureKey($0) },
            revokedAt: try row.timestampOrNil(column + 8).map { Instant(microseconds: $0) })
    }

    static let lockAccounts: PostgresStatement = """
        select k.n, a.account_id, a.version, a.revision, a.balance, a.reserved, a.overage, a.lifetime_granted,
            a.block_count, a.last_hash, a.advanced_to, a.name, a.metadata, a.created_at, a.updated_at,
            a.reservation_count, a.settings, a.counters
        from unnest($1::integer[], $2::text[]) with ordinality as k (environment_id, end_user_id, n)
        join accounts a using (environment_id, end_user_id)
        order by a.account_id
        for update of a
        """

    private static let insertMissingAccounts: PostgresStatement = """
        insert into accounts (environment_id, end_user_id)
        select k.environment_id, k.end_user_id
        from unnest($1::integer[], $2::text[]) as k (environment_id, end_user_id)
        order by k.environment_id, k.end_user_id
        on conflict (environment_id, end_user_id) do nothing
        """

    static let loadBlocks: PostgresStatement = """
        select b.account_id, b.number, b.original, b.remaining, b.held, b.priority, b.expires_at, b.price_paid,
            b.feature_keys, b.revoked_at
        from unnest($1::integer[], $2::text[]) as k (environment_id, end_user_id)
        join accounts a using (environment_id, end_user_id)
        join blocks b using (environment_id, account_id)
        where b.open
        """

    private static let loadCatalogueVersions: PostgresStatement = """
        select environment_id, catalogue_version from environments where environment_id = any ($1::integer[])
        """
}

/// A row of an account that a batch has locked.
struct LockedAccount {
    let row: PostgresRow
    /// Its place among the keys that were asked for.
    let index: Int
    let key: AccountKey
    let id: AccountID
    /// Whether it has ever had a reservation.
    let hasReserved: Bool
}

extension PostgresUUID {
    package init(_ bits: Bits128) {
        self.init(high: bits.high, low: bits.low)
    }
}

extension Bits128 {
    package init(_ uuid: PostgresUUID) {
        self.init(high: uuid.high, low: uuid.low)
    }
}

/// The database answered something that the schema rules out.
package enum StorageError: Error, CustomStringConvertible {
    case missingRow(String)
    case unknownValue(column: String)

    package var description: String {
        switch self {
        case .missingRow(let what): "the database did not return \(what)"
        case .unknownValue(let column): "the database holds a value in \(column) that this release does not know"
        }
    }
}
