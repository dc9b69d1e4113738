import Catalogue
import Commands
import Credits
import Ledger
import Metering
import Runtime
import Storage
import Synchronization

/// One generation of the replicated data in memory. It has one writer, first the snapshot and then the stream, and any
/// number of readers.
///
/// Accounts are spread over stripes. Each stripe has a lock, which is held for a few instructions. All changes of a
/// transaction to one account are applied under one hold of the lock, so that no reader sees half of them.
final class ReplicaMap: ReplicaRows, Sendable {
    private static let stripeCount = 64

    private let stripes: [Stripe]
    private let byID = Mutex<[AccountID: ReplicaAccount]>([:])
    private let environments = Mutex<[EnvironmentID: ReplicaEnvironment]>([:])
    private let keys = Mutex<[KeyHash: KeyRow]>([:])
    private let generation: CatalogueGeneration

    /// - Parameter generation: Advances with every change of something that is not an account.
    init(_ generation: CatalogueGeneration = CatalogueGeneration()) {
        self.generation = generation
        stripes = (0..<Self.stripeCount).map { _ in Stripe() }
    }

    // MARK: - Reading

    var accountCount: Int { byID.withLock { $0.count } }

    /// An account with some of its counters. What the caller needs may take long to find out, so it does that without the
    /// lock, on a copy; if the account has changed meanwhile, it looks again.
    ///
    /// - Parameter counters: The counters that the caller needs of the account, of which nothing else is returned.
    func account(_ key: AccountKey, counters: (Account) -> [CounterID]) -> Account? {
        let stripe = stripes[Self.stripe(of: key)]
        while true {
            guard let (account, hasCounters) = stripe.accounts.withLock({ $0[key]?.copy() }) else { return nil }
            guard hasCounters else { return account }
            let ids = counters(account)
            guard !ids.isEmpty else { return account }
            let whole = stripe.accounts.withLock { accounts -> Account? in
                guard let held = accounts[key], held.row.revision == account.revision, held.row.id == account.id else {
                    return nil
                }
                return held.adding(ids, to: account)
            }
            if let whole { return whole }
        }
    }

    func endUserID(of account: AccountID, in environmentID: EnvironmentID) -> EndUserID? {
        guard let row = self.account(account), row.environmentID == environmentID else { return nil }
        return row.endUserID
    }

    func catalogue(_ environmentID: EnvironmentID) -> Catalogue? {
        environments.withLock { $0[environmentID]?.catalogue }
    }

    func keyHolder(_ hash: KeyHash) -> KeyHolder? {
        guard let key = keys.withLock({ $0[hash] }), key.revokedAt == nil else { return nil }
        guard let environment = environment(key.environmentID) else { return nil }
        return KeyHolder(
            keyID: key.id, environmentID: key.environmentID, kind: environment.kind, rights: key.rights,
            config: environment.config)
    }

    /// - Parameter owner: The environment that the position must belong to; nil for any.
    func hasReached(_ position: Position, in owner: EnvironmentID?) -> Bool {
        switch position {
        case .none: true
        case .account(let id, let revision):
            read(id) { account in
                account.reached >= revision && (owner ?? account.row.environmentID) == account.row.environmentID
            } ?? false
        case .catalogue(let environmentID, let version):
            (owner ?? environmentID) == environmentID
                && environments.withLock { ($0[environmentID]?.row.catalogueVersion ?? 0) >= version }
        }
    }

    private func read<Value>(_ id: AccountID, _ body: (ReplicaAccount) -> Value) -> Value? {
        guard let account = byID.withLock({ $0[id] }) else { return nil }
        return stripes[account.stripe].accounts.withLock { _ in body(account) }
    }

    // MARK: - Previous rows, for updates that leave out unchanged values

    func environment(_ id: EnvironmentID) -> EnvironmentRow? {
        environments.withLock { $0[id]?.row }
    }

    func key(_ environmentID: EnvironmentID, _ id: Bits128) -> KeyRow? {
        keys.withLock { keys in keys.values.first { $0.environmentID == environmentID && $0.id == id } }
    }

    func account(_ id: AccountID) -> AccountRow? {
        read(id) { $0.row }
    }

    func block(_ accountID: AccountID, _ number: Int32) -> BlockRow? {
        read(accountID) { account in
            account.block(number).map { block in
                BlockRow(environmentID: account.row.environmentID, accountID: accountID, block: block)
            }
        } ?? nil
    }

    func reservation(_ accountID: AccountID, _ number: Int32) -> ReservationRow? {
        read(accountID) { account in
            account.reservations[at: number].map { reservation in
                ReservationRow(
                    environmentID: account.row.environmentID, accountID: accountID, reservation: reservation)
            }
        } ?? nil
    }

    func subscription(_ accountID: AccountID, _ number: Int32) -> SubscriptionRow? {
        read(accountID) { account in
            account.subscriptions[at: number].map { subscription in
                SubscriptionRow(
                    environmentID: account.row.environmentID, accountID: accountID, subscription: subscription)
            }
        } ?? nil
    }

    func counter(_ accountID: AccountID, _ id: CounterID) -> CounterRow? {
        read(accountID) { account in
            account.counters[id].map { counter in
                CounterRow(
                    environmentID: account.row.environmentID, accountID: accountID, id: id, counter: counter)
            }
        } ?? nil
    }

    // MARK: - Writing

    /// Applies the changes of one committed transaction, in order.
    ///
    /// - Returns: The changes, of which none is partial.
    /// - Throws: When an update leaves out a value of a row that the map does not have. Nothing is applied then.
    @discardableResult
    func apply(_ changes: [ReplicaChange]) throws -> [ReplicaChange] {
        let changes = try TransactionRows.whole(changes, map: self)
        for case .account(let row) in changes where row.endUserID.isErased { rename(row) }
        var perStripe: [Int: [(ReplicaAccount, ReplicaChange)]] = [:]
        for change in changes {
            guard let account = account(of: change) else {
                apply(toCatalogue: change)
                continue
            }
            perStripe[account.stripe, default: []].append((account, change))
        }
        for (stripe, changes) in perStripe {
            stripes[stripe].accounts.withLock { accounts in
                for (account, change) in changes { Self.apply(change, to: account, in: &accounts) }
            }
        }
        // Revisions are published only after all stripes are updated: a client that waits for the sender's revision of
        // a transfer must also see the receiver's credits.
        for (stripe, changes) in perStripe {
            stripes[stripe].accounts.withLock { _ in
                for (account, _) in changes { account.reached = account.row.revision }
            }
        }
        return changes
    }

    /// Gives an account whose end user was erased its place under the opaque id. The old id leads to nothing from here on,
    /// and the opaque one to the account when the transaction is applied.
    private func rename(_ row: AccountRow) {
        guard let account = byID.withLock({ $0[row.id] }) else { return }
        let renamed = stripes[account.stripe].accounts.withLock { accounts -> ReplicaAccount? in
            guard account.row.key != row.key else { return nil }
            accounts[account.row.key] = nil
            return ReplicaAccount(account, stripe: Self.stripe(of: row.key))
        }
        if let renamed { byID.withLock { $0[row.id] = renamed } }
    }

    /// The account that a change belongs to. It is added for a new account and removed for a deleted one. Nil for a
    /// change of a catalogue, and for a change of an account that the map does not have.
    private func account(of change: ReplicaChange) -> ReplicaAccount? {
        switch change {
        case .account(let row):
            byID.withLock { accounts in
                let account = accounts[row.id] ?? ReplicaAccount(row, stripe: Self.stripe(of: row.key))
                accounts[row.id] = account
                return account
            }
        case .accountRemoved(let id): byID.withLock { $0.removeValue(forKey: id) }
        case .block(let row): byID.withLock { $0[row.accountID] }
        case .reservation(let row): byID.withLock { $0[row.accountID] }
        case .subscription(let row): byID.withLock { $0[row.accountID] }
        case .counter(let row): byID.withLock { $0[row.accountID] }
        case .counterRemoved(let id, _): byID.withLock { $0[id] }
        case .environment, .catalogue, .key, .partial: nil
        }
    }

    private static func apply(
        _ change: ReplicaChange, to account: ReplicaAccount, in accounts: inout [AccountKey: ReplicaAccount]
    ) {
        switch change {
        case .account(let row):
            account.row = row
            accounts[row.key] = account
        case .accountRemoved: accounts[account.row.key] = nil
        case .block(let row): account.set(row.block)
        case .reservation(let row): account.set(row.reservation)
        case .subscription(let row): account.set(row.subscription)
        case .counter(let row): account.set(row.id, row.counter)
        case .counterRemoved(_, let id): account.set(id, nil)
        case .environment, .catalogue, .key, .partial: break
        }
    }

    private func apply(toCatalogue change: ReplicaChange) {
        switch change {
        case .environment(let row):
            environments.withLock { environments in
                var environment = environments[row.id] ?? ReplicaEnvironment(row: row)
                environment.row = row
                environment.catalogue.config = row.config
                environments[row.id] = environment
                generation.advance()
            }
        case .catalogue(let row):
            environments.withLock { environments in
                guard var environment = environments.removeValue(forKey: row.environmentID) else { return }
                row.enter(&environment.catalogue)
                environments[row.environmentID] = environment
                generation.advance()
            }
        case .key(let row):
            keys.withLock { keys in
                keys[KeyHash(row.hash)] = row
                generation.advance()
            }
        case .account, .accountRemoved, .block, .reservation, .subscription, .counter, .counterRemoved, .partial: break
        }
    }

    private static func stripe(of key: AccountKey) -> Int {
        Int(UInt(bitPattern: key.hashValue) % UInt(stripeCount))
    }
}

/// The number of the latest change of something that is not an account. It advances under the lock under which the
/// change becomes visible.
final class CatalogueGeneration: Sendable {
    private let latest = Atomic<UInt64>(0)

    var number: UInt64 { latest.load(ordering: .acquiring) }

    func advance() { latest.wrappingAdd(1, ordering: .releasing) }
}

/// The accounts that share one lock.
private final class Stripe: Sendable {
    let accounts = Mutex<[AccountKey: ReplicaAccount]>([:])
}

private struct ReplicaEnvironment {
    var row: EnvironmentRow
    var catalogue = Catalogue()

    init(row: EnvironmentRow) {
        self.row = row
    }
}

/// One account in memory. Every access to its variables happens under the lock of its stripe.
private final class ReplicaAccount: @unchecked Sendable {
    let stripe: Int
    var row: AccountRow
    /// The latest revision whose transaction has been applied as a whole.
    var reached: Int64 = 0
    /// The blocks with remaining credits, in burn order.
    private(set) var blocks = BlockList()
    /// The blocks whose grants start later.
    private(set) var scheduled = ScheduledBlocks()
    /// The active reservations, by number.
    private(set) var reservations = OrderedList<Reservation>()
    /// The live subscriptions, by number.
    private(set) var subscriptions = OrderedList<Subscription>()
    private(set) var counters: [CounterID: WindowCounter] = [:]
    /// The number of counters that are remainders of prices.
    private var remainders = 0
    /// The number of counters whose windows had ended when they were last counted, and the end of the next one or an instant
    /// before it.
    private var ended = 0
    private var nextEnd = Instant.latest
    /// The instant at which they were last counted.
    private var countedAt = Instant(microseconds: .min)

    init(_ row: AccountRow, stripe: Int) {
        self.row = row
        self.stripe = stripe
    }

    /// The same account under another lock. The caller has that of the given one.
    init(_ other: ReplicaAccount, stripe: Int) {
        row = other.row
        reached = other.reached
        blocks = other.blocks
        scheduled = other.scheduled
        reservations = other.reservations
        subscriptions = other.subscriptions
        counters = other.counters
        (remainders, ended, nextEnd, countedAt) = (other.remainders, other.ended, other.nextEnd, other.countedAt)
        self.stripe = stripe
    }

    /// The number of counters whose windows are open. Only an account that has nearly as many as it may counts them, and
    /// only once for each end of a window.
    private func openCounters() -> Int {
        let count = counters.count - remainders
        guard count >= UsageCounters.maximumOpen - Limit.maximumCount, row.settings.testClock == nil else {
            return count
        }
        let now = Instant.now
        if nextEnd <= now {
            (ended, nextEnd, countedAt) = (0, .latest, now)
            for counter in counters.values where !counter.isRemainder {
                if counter.window.end <= now { ended += 1 } else { nextEnd = min(nextEnd, counter.window.end) }
            }
        }
        return count - ended
    }

    /// The account without its counters, and whether it has any.
    func copy() -> (account: Account, hasCounters: Bool) {
        let account = row.account(
            blocks: blocks, scheduled: scheduled, reservations: reservations,
            subscriptions: subscriptions, counters: UsageCounters(storedCount: openCounters()))
        return (account, !counters.isEmpty)
    }

    /// A copy of the account at the present revision with some of its counters.
    func adding(_ ids: [CounterID], to copy: Account) -> Account {
        var account = copy
        for id in ids {
            if let counter = counters[id] { account.counters.load(id, counter) }
        }
        return account
    }

    /// Replaces a counter; removes it with nil.
    func set(_ id: CounterID, _ counter: WindowCounter?) {
        if let old = counters[id] {
            if old.isRemainder { remainders -= 1 } else if old.window.end <= countedAt { ended -= 1 }
        }
        counters[id] = counter
        guard let counter else { return }
        if counter.isRemainder {
            remainders += 1
        } else if counter.window.end <= countedAt {
            ended += 1
        } else {
            nextEnd = min(nextEnd, counter.window.end)
        }
    }

    /// Replaces a reservation, and removes one that has ended.
    func set(_ reservation: Reservation) {
        reservations[at: reservation.number] = reservation.status == .active ? reservation : nil
    }

    /// Replaces a subscription, and removes one that has ended.
    func set(_ subscription: Subscription) {
        subscriptions[at: subscription.number] = subscription.isLive ? subscription : nil
    }

    /// The open or scheduled block with a number.
    func block(_ number: Int32) -> Block? { blocks.block(number) ?? scheduled.block(number) }

    /// Replaces a block, and removes one of which nothing remains and that is not scheduled.
    func set(_ block: Block) {
        scheduled.set(block)
        blocks.set(block)
    }
}

extension AccountRow {
    fileprivate var key: AccountKey { AccountKey(environmentID: environmentID, endUserID: endUserID) }
}
