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
    case apiKeys = "api_keys"
    case accounts
    case blocks

    var columns: [String] {
        switch self {
        case .environments:
            [
                "environment_id", "tenant_id", "kind", "catalogue_version", "rate_limit_per_second",
                "fail_closed_over_ms",
            ]
        case .features: ["environment_id", "feature_key", "archived_at"]
        case .meteringRules:
            [
                "environment_id", "rule_id", "feature_key", "version", "model", "amount", "unit_cost", "per_units",
                "effective_from", "created_at",
            ]
        case .apiKeys: ["environment_id", "key_id", "key_hash", "revoked_at", "scopes", "expires_at"]
        case .accounts:
            [
                "environment_id", "account_id", "end_user_id", "version", "revision", "balance", "reserved", "overage",
                "lifetime_granted",
            ]
        case .blocks:
            [
                "environment_id", "account_id", "number", "original", "remaining", "held", "priority", "expires_at",
                "price_paid", "feature_keys", "open",
            ]
        }
    }

    var snapshotSQL: String {
        let condition = self == .blocks ? " where open" : ""
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
            let id = try row.environmentID()
            _ = try row.field()
            guard let kind = EnvironmentKind(rawValue: try row.field().text()) else {
                throw ReplicaError.unexpectedValue
            }
            let version = try row.field().int64()
            let config = EnvironmentConfig(
                rateLimitPerSecond: try row.optional()?.int32(), failClosedOverMilliseconds: try row.optional()?.int32()
            )
            self = .catalogue(.environment(id, kind, config, version: version))
        case .features:
            let id = try row.environmentID()
            let key = try row.featureKey()
            self = .catalogue(.feature(id, Feature(key: key, isArchived: try row.optional() != nil)))
        case .meteringRules:
            self = try Self.rule(&row)
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
            self = .account(
                AccountRow(
                    id: id, key: AccountKey(environmentID: environmentID, endUserID: endUserID),
                    version: try row.field().int64(), revision: try row.field().int64(), balance: try row.amount(),
                    reserved: try row.amount(), overage: try row.amount(), lifetimeGranted: try row.amount()))
        case .blocks:
            self = try Self.block(&row)
        }
    }

    private static func rule(_ row: inout some FieldCursor) throws -> ReplicaChange {
        let environmentID = try row.environmentID()
        let id = PublicID(.rule, Bits128(try row.field().uuid()))
        let featureKey = try row.featureKey()
        let version = try row.field().int32()
        let name = try row.field().text()
        let amount = try row.optional()?.int64()
        let unitCost = try row.optional()?.int64()
        let perUnits = try row.optional()?.int64()
        let effectiveFrom = Instant(microseconds: try row.field().timestamp())
        let model: PricingModel
        switch (name, amount, unitCost, perUnits) {
        case ("flat", let amount?, nil, nil): model = .flat(amount: try Millicredits(amount))
        case ("per_unit", nil, let unitCost?, let perUnits?):
            model = .perUnit(unitCost: try Millicredits(unitCost), perUnits: perUnits)
        default: throw ReplicaError.unexpectedValue
        }
        return .catalogue(
            .rule(
                environmentID,
                MeteringRule(
                    id: id, featureKey: featureKey, version: version, price: Price(model), effectiveFrom: effectiveFrom)
            ))
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
        let block = Block(
            number: number, original: original, remaining: remaining, held: held, priority: priority,
            expiresAt: expiresAt, isPaid: isPaid, featureKeys: featureKeys)
        return .block(accountID, block, keepsFeatures: keepsFeatures, isOpen: isOpen)
    }
}
