import Credits
import Ledger
import Metering
import Postgres
import Storage

/// The replicated tables: what a snapshot selects and what the stream must bring, in this order.
enum ReplicatedTable: String, CaseIterable {
    case environments
    case features
    case meteringRules = "metering_rules"
    case topupPackages = "topup_packages"
    case apiKeys = "api_keys"
    case testClocks = "test_clocks"
    case accounts
    case blocks
    case reservations

    var columns: [String] {
        switch self {
        case .environments:
            [
                "environment_id", "tenant_id", "kind", "catalogue_version", "rate_limit_per_second",
                "fail_closed_over_ms", "overage_policy", "overage_limit", "timezone", "zone_starts", "zone_offsets",
            ]
        case .features: ["environment_id", "feature_key", "archived_at", "type", "quota"]
        case .testClocks: ["environment_id", "clock_id", "shows"]
        case .meteringRules:
            [
                "environment_id", "rule_id", "feature_key", "version", "price", "effective_from", "created_at",
            ]
        case .topupPackages:
            [
                "environment_id", "package_key", "name", "credits", "price", "currency", "expires_after", "priority",
                "archived_at",
            ]
        case .apiKeys: ["environment_id", "key_id", "key_hash", "revoked_at", "scopes", "expires_at"]
        case .accounts:
            [
                "environment_id", "account_id", "end_user_id", "version", "revision", "balance", "reserved", "overage",
                "lifetime_granted", "reservation_count", "settings", "counters",
            ]
        case .blocks:
            [
                "environment_id", "account_id", "number", "original", "remaining", "held", "priority", "expires_at",
                "price_paid", "feature_keys", "open", "revoked_at",
            ]
        case .reservations:
            [
                "environment_id", "account_id", "number", "feature_key", "status", "rule_id", "estimate",
                "estimated_cost", "hold_blocks", "hold_amounts", "uncovered", "watermark", "charged", "expires_at",
                "created_at", "windows",
            ]
        }
    }

    var snapshotSQL: String {
        let condition =
            switch self {
            case .blocks: " where open"
            case .reservations: " where status = 'active'"
            default: ""
            }
        return "copy (select \(columns.joined(separator: ", ")) from \(rawValue)\(condition)) to stdout (format binary)"
    }
}

/// Gives the fields of a row one after another; both the snapshot and the stream do.
protocol FieldCursor {
    /// The next field; nil is null.
    mutating func next() throws -> ReplicaField?
}

enum ReplicaField {
    case value(PostgresField)
    case unchanged
}

extension FieldCursor {
    fileprivate mutating func optional() throws -> PostgresField? {
        switch try next() {
        case .value(let field): field
        case nil: nil
        case .unchanged: throw ReplicaError.unexpectedValue
        }
    }

    fileprivate mutating func field() throws -> PostgresField {
        guard let field = try optional() else { throw ReplicaError.unexpectedValue }
        return field
    }

    /// A value that is stored as text, or that the log did not repeat.
    fileprivate mutating func stored<Value>(
        _ read: (String) throws -> Value
    ) throws -> (value: Value?, isUnchanged: Bool) {
        switch try next() {
        case .value(let field): (try read(field.text()), false)
        case nil: (nil, false)
        case .unchanged: (nil, true)
        }
    }

    fileprivate mutating func environmentID() throws -> EnvironmentID {
        EnvironmentID(try field().int32())
    }

    fileprivate mutating func amount() throws -> Millicredits {
        try Millicredits(try field().int64())
    }

    fileprivate mutating func featureKey() throws -> FeatureKey {
        guard let key = FeatureKey(try field().text()) else { throw ReplicaError.unexpectedValue }
        return key
    }
}

/// A row or a stream that this release cannot read.
enum ReplicaError: Error, CustomStringConvertible {
    case unexpectedValue
    case unexpectedColumns(table: String)
    case unexpectedChange(table: String)

    var description: String {
        switch self {
        case .unexpectedValue: "a replicated row holds a value that this release does not know"
        case .unexpectedColumns(let table):
            "the publication gives other columns of \(table) than this release expects: run quotastack migrate"
        case .unexpectedChange(let table): "the stream brought a change of \(table) that never happens"
        }
    }
}

extension ReplicaChange {
    /// Reads an inserted, updated or copied row.
    init(_ table: ReplicatedTable, _ row: inout some FieldCursor) throws {
        switch table {
        case .environments:
            self = try Self.environment(&row)
        case .features:
            let id = try row.environmentID()
            let key = try row.featureKey()
            let isArchived = try row.optional() != nil
            guard let type = FeatureType(rawValue: try row.field().text()) else { throw ReplicaError.unexpectedValue }
            let quota = try row.optional().map { try Quota(json: $0.text()) }
            self = .catalogue(.feature(id, Feature(key: key, type: type, quota: quota, isArchived: isArchived)))
        case .testClocks:
            let id = try row.environmentID()
            let clock = PublicID(.testClock, Bits128(try row.field().uuid()))
            self = .catalogue(.testClock(id, clock, shows: Instant(microseconds: try row.field().timestamp())))
        case .meteringRules:
            self = try Self.rule(&row)
        case .topupPackages:
            self = try Self.package(&row)
        case .apiKeys:
            let environmentID = try row.environmentID()
            let keyID = Bits128(try row.field().uuid())
            let hash = KeyHash(try row.field().byteArray())
            let isRevoked = try row.optional() != nil
            let scopes = try row.optional()?.array { field throws(PostgresError) in field.text() }.compactMap { $0 }
            let rights = KeyRights(
                scopes: KeyScopes(stored: scopes),
                expiresAt: try row.optional().map { Instant(microseconds: try $0.timestamp()) })
            let key = ReplicaKey(keyID: keyID, environmentID: environmentID, isRevoked: isRevoked, rights: rights)
            self = .catalogue(.key(hash, key))
        case .accounts:
            let environmentID = try row.environmentID()
            let id = AccountID(try row.field().int64())
            guard let endUserID = EndUserID(try row.field().text()) else { throw ReplicaError.unexpectedValue }
            self = try Self.account(id, AccountKey(environmentID: environmentID, endUserID: endUserID), &row)
        case .blocks:
            self = try Self.block(&row)
        case .reservations:
            self = try Self.reservation(&row)
        }
    }

    private static func environment(_ row: inout some FieldCursor) throws -> ReplicaChange {
        let id = try row.environmentID()
        _ = try row.field()
        guard let kind = EnvironmentKind(rawValue: try row.field().text()) else { throw ReplicaError.unexpectedValue }
        let version = try row.field().int64()
        var config = EnvironmentConfig(
            rateLimitPerSecond: try row.optional()?.int32(), failClosedOverMilliseconds: try row.optional()?.int32())
        if let name = try row.optional()?.text() {
            guard let policy = OveragePolicy(rawValue: name) else { throw ReplicaError.unexpectedValue }
            config.overagePolicy = policy
        }
        config.overageLimit = try row.optional().map { try Millicredits(try $0.int64()) }
        config.timeZone = try row.optional()?.text()
        let starts = try row.optional()?.array { field throws(PostgresError) in try field.timestamp() }
        let offsets = try row.optional()?.array { field throws(PostgresError) in try field.int32() }
        if let starts, let offsets {
            config.zone = try ZoneRules(storedStarts: starts.compactMap { $0 }, offsets: offsets.compactMap { $0 })
        }
        return .catalogue(.environment(id, kind, config, version: version))
    }

    private static func rule(_ row: inout some FieldCursor) throws -> ReplicaChange {
        let environmentID = try row.environmentID()
        let id = PublicID(.rule, Bits128(try row.field().uuid()))
        let featureKey = try row.featureKey()
        let version = try row.field().int32()
        let price = try Price(json: row.field().text())
        let effectiveFrom = Instant(microseconds: try row.field().timestamp())
        return .catalogue(
            .rule(
                environmentID,
                MeteringRule(
                    id: id, featureKey: featureKey, version: version, price: price, effectiveFrom: effectiveFrom)
            ))
    }

    private static func package(_ row: inout some FieldCursor) throws -> ReplicaChange {
        let environmentID = try row.environmentID()
        guard let key = PackageKey(try row.field().text()) else { throw ReplicaError.unexpectedValue }
        let name = try row.field().text()
        let credits = try row.amount()
        let price = try row.field().int64()
        let currency = try row.field().text()
        let expiresAfter = try row.optional().map { field in
            guard let duration = CalendarDuration(iso8601: field.text()) else { throw ReplicaError.unexpectedValue }
            return duration
        }
        let priority = try row.optional()?.int16()
        return .catalogue(
            .package(
                environmentID,
                TopupPackage(
                    key: key, name: name, credits: credits, price: price, currency: currency,
                    expiresAfter: expiresAfter, priority: priority, isArchived: try row.optional() != nil)))
    }

    private static func account(
        _ id: AccountID, _ key: AccountKey, _ row: inout some FieldCursor
    ) throws -> ReplicaChange {
        let (version, revision) = (try row.field().int64(), try row.field().int64())
        let (balance, reserved) = (try row.amount(), try row.amount())
        let (overage, lifetimeGranted) = (try row.amount(), try row.amount())
        let reservationCount = try row.field().int32()
        let (settings, keepsSettings) = try row.stored { try AccountSettings(storedJSON: $0) }
        let counters = try row.optional().map { try UsageCounters(storedJSON: $0.text()) }
        return .account(
            AccountRow(
                id: id, key: key, version: version, revision: revision, balance: balance, reserved: reserved,
                overage: overage, lifetimeGranted: lifetimeGranted, reservationCount: reservationCount,
                settings: keepsSettings ? nil : settings ?? AccountSettings.none, counters: counters ?? .none))
    }

    private static func block(_ row: inout some FieldCursor) throws -> ReplicaChange {
        _ = try row.environmentID()
        let accountID = AccountID(try row.field().int64())
        let number = try row.field().int32()
        let original = try row.amount()
        let remaining = try row.amount()
        let held = try row.amount()
        let priority = try row.field().int16()
        let expiresAt = try row.optional().map { Instant(microseconds: try $0.timestamp()) }
        let isPaid = (try row.optional()?.int64() ?? 0) > 0
        var featureKeys: [FeatureKey] = []
        var keepsFeatures = false
        switch try row.next() {
        case .value(let field):
            featureKeys = try field.array { field throws(PostgresError) in
                guard let key = FeatureKey(field.text()) else {
                    throw PostgresError(.decoding("a feature key that is none"))
                }
                return key
            }.compactMap { $0 }
        case .unchanged: keepsFeatures = true
        case nil: throw ReplicaError.unexpectedValue
        }
        let isOpen = try row.field().bool()
        let revokedAt = try row.optional().map { Instant(microseconds: try $0.timestamp()) }
        let block = Block(
            number: number, original: original, remaining: remaining, held: held, priority: priority,
            expiresAt: expiresAt, isPaid: isPaid, featureKeys: featureKeys, revokedAt: revokedAt)
        return .block(accountID, block, keepsFeatures: keepsFeatures, isOpen: isOpen)
    }
    private static func reservation(_ row: inout some FieldCursor) throws -> ReplicaChange {
        _ = try row.environmentID()
        let accountID = AccountID(try row.field().int64())
        let number = try row.field().int32()
        let featureKey = try row.featureKey()
        guard let status = ReservationStatus(rawValue: try row.field().text()) else {
            throw ReplicaError.unexpectedValue
        }
        let ruleID = try row.optional().map { PublicID(.rule, Bits128(try $0.uuid())) }
        let (estimate, keepsEstimate) = try row.stored { try Demand(storedJSON: $0) }
        let estimatedCost = try row.amount()
        let holdBlocks = try row.field().array { field throws(PostgresError) in try field.int32() }.compactMap { $0 }
        let holdAmounts = try row.field().array { field throws(PostgresError) in try field.int64() }.compactMap { $0 }
        let uncovered = try row.amount()
        let watermark = try row.optional().map { try Demand(storedJSON: $0.text()) }
        let charged = try row.amount()
        let expiresAt = Instant(microseconds: try row.field().timestamp())
        let createdAt = Instant(microseconds: try row.field().timestamp())
        let (windows, keepsWindows) = try row.stored { try ReservationWindows(storedJSON: $0) }
        let reservation = Reservation(
            number: number, featureKey: featureKey, estimate: estimate ?? .credits(.zero), ruleID: ruleID,
            estimatedCost: estimatedCost, status: status,
            holds: zip(holdBlocks, holdAmounts).map { Allocation(block: $0, amount: $1) }, uncovered: uncovered,
            watermark: watermark, charged: charged, expiresAt: expiresAt, createdAt: createdAt, finishedAt: nil,
            windows: windows ?? ReservationWindows(), metadata: nil)
        return .reservation(
            accountID,
            ReservationRow(reservation: reservation, keepsEstimate: keepsEstimate, keepsWindows: keepsWindows))
    }
}
