import Credits
import Ledger
import Messaging
import Metering
import Storage
import Synchronization

/// One generation of the books in memory. The stream is its only writer; any number of readers.
///
/// Accounts are spread over stripes, each behind a lock that is held for a few instructions. All changes that a
/// transaction made to an account are applied under one hold of the lock: no reader sees half of them.
final class ReplicaMap: Sendable {
    private static let stripeCount = 64

    private let stripes: [Stripe]
    private let byID = Mutex<[AccountID: ReplicaAccount]>([:])
    private let environments = Mutex<[EnvironmentID: ReplicaEnvironment]>([:])
    private let keys = Mutex<[KeyHash: ReplicaKey]>([:])

    init() {
        stripes = (0..<Self.stripeCount).map { _ in Stripe() }
    }

    // MARK: - Reading

    var accountCount: Int { byID.withLock { $0.count } }

    func account(_ key: AccountKey) -> Account? {
        stripes[Self.stripe(of: key)].accounts.withLock { $0[key]?.account }
    }

    func endUserID(of account: AccountID, in environmentID: EnvironmentID) -> EndUserID? {
        guard let known = byID.withLock({ $0[account] }) else { return nil }
        return stripes[known.stripe].accounts.withLock { _ in
            known.row.key.environmentID == environmentID ? known.row.key.endUserID : nil
        }
    }

    func catalogue(_ environmentID: EnvironmentID) -> Catalogue? {
        environments.withLock { $0[environmentID]?.catalogue }
    }

    func keyHolder(_ hash: KeyHash) -> KeyHolder? {
        guard let key = keys.withLock({ $0[hash] }), !key.isRevoked else { return nil }
        let environment = environments.withLock { environments in
            environments[key.environmentID].map { (kind: $0.kind, config: $0.catalogue.config) }
        }
        guard let environment else { return nil }
        return KeyHolder(
            keyID: key.keyID, environmentID: key.environmentID, kind: environment.kind, rights: key.rights,
            config: environment.config)
    }

    /// - Parameter owner: The environment that the position must be of; nil for any.
    func hasReached(_ position: Position, in owner: EnvironmentID?) -> Bool {
        switch position {
        case .none: true
        case .account(let id, let revision):
            byID.withLock { $0[id] }.map { account in
                stripes[account.stripe].accounts.withLock { _ in
                    account.reached >= revision
                        && (owner ?? account.row.key.environmentID)
                            == account.row.key.environmentID
                }
            } ?? false
        case .catalogue(let environmentID, let version):
            (owner ?? environmentID) == environmentID
                && environments.withLock { ($0[environmentID]?.version ?? 0) >= version }
        }
    }

    // MARK: - Writing

    /// Applies the changes of one committed transaction, in order.
    func apply(_ changes: [ReplicaChange]) {
        var perStripe: [Int: [(ReplicaAccount, ReplicaChange)]] = [:]
        for change in changes {
            switch change {
            case .account(let row):
                let account = byID.withLock { accounts in
                    let account = accounts[row.id] ?? ReplicaAccount(row, stripe: Self.stripe(of: row.key))
                    accounts[row.id] = account
                    return account
                }
                perStripe[account.stripe, default: []].append((account, change))
            case .accountRemoved(let id):
                guard let account = byID.withLock({ $0.removeValue(forKey: id) }) else { continue }
                perStripe[account.stripe, default: []].append((account, change))
            case .block(let id, _, _, _), .reservation(let id, _):
                guard let account = byID.withLock({ $0[id] }) else { continue }
                perStripe[account.stripe, default: []].append((account, change))
            case .catalogue(let change):
                apply(change)
            }
        }
        for (stripe, changes) in perStripe {
            stripes[stripe].accounts.withLock { accounts in
                for (account, change) in changes { Self.apply(change, to: account, in: &accounts) }
            }
        }
        // Not before all is there: a transfer's position is its sender's, and its receiver must be seen there too.
        for (stripe, changes) in perStripe {
            stripes[stripe].accounts.withLock { _ in
                for (account, _) in changes { account.reached = account.row.revision }
            }
        }
    }

    private static func apply(
        _ change: ReplicaChange, to account: ReplicaAccount, in accounts: inout [AccountKey: ReplicaAccount]
    ) {
        switch change {
        case .account(let row):
            account.set(row)
            accounts[row.key] = account
        case .accountRemoved:
            accounts[account.row.key] = nil
        case .block(_, let block, let keepsFeatures, let isOpen):
            account.set(block, keepsFeatures: keepsFeatures, isOpen: isOpen)
        case .reservation(_, let row):
            account.set(row)
        case .catalogue: break
        }
    }

    private func apply(_ change: CatalogueRow) {
        switch change {
        case .environment(let id, let kind, let config, let version):
            environments.withLock { environments in
                var environment = environments[id] ?? ReplicaEnvironment(kind: kind)
                environment.catalogue.config = config
                environment.version = version
                environments[id] = environment
            }
        case .feature(let id, let feature):
            environments.withLock { $0[id]?.catalogue.features[feature.key] = feature }
        case .rule(let id, let rule):
            environments.withLock { $0[id]?.catalogue.prices[rule.featureKey, default: PriceList()].insert(rule) }
        case .testClock(let id, let clock, let instant):
            environments.withLock { $0[id]?.catalogue.testClocks[clock] = instant }
        case .package(let id, let package):
            environments.withLock { $0[id]?.catalogue.packages[package.key] = package }
        case .key(let hash, let key):
            keys.withLock { $0[hash] = key }
        }
    }

    private static func stripe(of key: AccountKey) -> Int {
        Int(UInt(bitPattern: key.hashValue) % UInt(stripeCount))
    }
}

/// The accounts behind one lock.
private final class Stripe: Sendable {
    let accounts = Mutex<[AccountKey: ReplicaAccount]>([:])
}

/// One change of a replicated row.
enum ReplicaChange {
    case account(AccountRow)
    case accountRemoved(AccountID)
    /// - `keepsFeatures`: The log did not repeat the block's feature keys, since they did not change.
    case block(AccountID, Block, keepsFeatures: Bool, isOpen: Bool)
    case reservation(AccountID, ReservationRow)
    case catalogue(CatalogueRow)
}

/// The replicated columns of an account.
struct AccountRow {
    let id: AccountID
    let key: AccountKey
    let version: Int64
    let revision: Int64
    let balance: Millicredits
    let reserved: Millicredits
    let overage: Millicredits
    let lifetimeGranted: Millicredits
    let reservationCount: Int32
    /// Nil where the log did not repeat them, since they did not change.
    let settings: AccountSettings?
    let counters: UsageCounters
}

/// The replicated columns of a reservation.
struct ReservationRow {
    /// Without its metadata.
    let reservation: Reservation
    /// The log did not repeat the estimate or the windows, since they did not change.
    let keepsEstimate: Bool
    let keepsWindows: Bool
}

/// The replicated rows that are no account's.
enum CatalogueRow {
    case environment(EnvironmentID, EnvironmentKind, EnvironmentConfig, version: Int64)
    case feature(EnvironmentID, Feature)
    case rule(EnvironmentID, MeteringRule)
    case testClock(EnvironmentID, PublicID, shows: Instant)
    case package(EnvironmentID, TopupPackage)
    case key(KeyHash, ReplicaKey)
}

struct ReplicaKey {
    let keyID: Bits128
    let environmentID: EnvironmentID
    let isRevoked: Bool
    let rights: KeyRights
}

private struct ReplicaEnvironment {
    let kind: EnvironmentKind
    var version: Int64 = 0
    var catalogue = Catalogue()

    init(kind: EnvironmentKind) {
        self.kind = kind
    }
}

/// One account in memory. Every access to its variables happens under the lock of its stripe.
final class ReplicaAccount: @unchecked Sendable {
    let stripe: Int
    fileprivate(set) var row: AccountRow
    /// The revision whose transaction is here as a whole.
    fileprivate var reached: Int64 = 0
    private var settings: AccountSettings
    private var blocks: [Block] = []
    private var reservations: [Reservation] = []

    init(_ row: AccountRow, stripe: Int) {
        self.row = row
        self.stripe = stripe
        settings = row.settings ?? .none
    }

    fileprivate var account: Account {
        Account(
            id: row.id, environmentID: row.key.environmentID, endUserID: row.key.endUserID, version: row.version,
            revision: row.revision, balance: row.balance, reserved: row.reserved, overage: row.overage,
            lifetimeGranted: row.lifetimeGranted, blockCount: blocks.last?.number ?? 0, lastHash: .zero,
            advancedTo: Instant(microseconds: .min), blocksInBurnOrder: blocks,
            reservationCount: row.reservationCount, reservations: reservations, settings: settings,
            counters: row.counters)
    }

    fileprivate func set(_ row: AccountRow) {
        self.row = row
        if let settings = row.settings { self.settings = settings }
    }

    /// A reservation leaves with its final state.
    fileprivate func set(_ row: ReservationRow) {
        let index = reservations.firstIndex { $0.number >= row.reservation.number } ?? reservations.endIndex
        let isThere = index < reservations.endIndex && reservations[index].number == row.reservation.number
        let before = isThere ? reservations.remove(at: index) : nil
        guard row.reservation.status == .active else { return }
        reservations.insert(
            row.reservation.with(
                estimate: row.keepsEstimate ? before?.estimate : nil, windows: row.keepsWindows ? before?.windows : nil),
            at: index)
    }

    fileprivate func set(_ block: Block, keepsFeatures: Bool, isOpen: Bool) {
        let index = blocks.firstIndex { $0.number == block.number }
        let features = keepsFeatures ? index.map { blocks[$0].featureKeys } ?? [] : block.featureKeys
        if let index { blocks.remove(at: index) }
        guard isOpen else { return }
        let whole = keepsFeatures ? block.with(featureKeys: features) : block
        blocks.insert(whole, at: blocks.firstIndex { Block.burnsBefore(whole, $0) } ?? blocks.endIndex)
    }
}

extension Block {
    fileprivate func with(featureKeys: [FeatureKey]) -> Block {
        Block(
            number: number, original: original, remaining: remaining, held: held, priority: priority,
            expiresAt: expiresAt, isPaid: isPaid, featureKeys: featureKeys, revokedAt: revokedAt)
    }
}

extension Reservation {
    /// Nil leaves a part as it is.
    fileprivate func with(estimate: Demand?, windows: ReservationWindows?) -> Reservation {
        Reservation(
            number: number, featureKey: featureKey, estimate: estimate ?? self.estimate, ruleID: ruleID,
            estimatedCost: estimatedCost, status: status, holds: holds, uncovered: uncovered, watermark: watermark,
            charged: charged, expiresAt: expiresAt, createdAt: createdAt, finishedAt: finishedAt,
            windows: windows ?? self.windows, metadata: metadata)
    }
}
