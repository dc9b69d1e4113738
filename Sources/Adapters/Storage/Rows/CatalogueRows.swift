package import Catalogue
package import Credits
import Metering
package import Postgres

// The rows of a catalogue: each an item of the catalogue with the environment that it belongs to. They are few and short,
// so replicas follow whole rows.

package struct FeatureRow: TableRow, Sendable {
    package let environmentID: EnvironmentID
    package let feature: Feature

    package static let table = "features"
    package static let columns = [
        "environment_id", "feature_key", "name", "type", "unit_name", "quota", "created_at", "updated_at",
        "archived_at",
    ]

    package init(environmentID: EnvironmentID, feature: Feature) {
        self.environmentID = environmentID
        self.feature = feature
    }

    package init(_ fields: inout RowFields, keeping old: FeatureRow?) throws {
        environmentID = try fields.environmentID(or: old?.environmentID)
        let before = old?.feature
        feature = Feature(
            key: try fields.featureKey(or: before?.key), name: try fields.text(or: before?.name),
            type: try fields.parsed("type", or: before?.type) { FeatureType(rawValue: $0) },
            unitName: try fields.textOrNil(or: before.map(\.unitName)),
            quota: try fields.parsedOrNil("quota", or: before.map(\.quota)) { try Quota(json: $0) },
            createdAt: try fields.instant(or: before?.createdAt), updatedAt: try fields.instant(or: before?.updatedAt),
            archivedAt: try fields.instantOrNil(or: before.map(\.archivedAt)))
    }
}

package struct RuleRow: TableRow, Sendable {
    package let environmentID: EnvironmentID
    package let rule: MeteringRule

    package static let table = "metering_rules"
    package static let columns = [
        "environment_id", "rule_id", "feature_key", "version", "price", "effective_from", "created_at",
    ]

    package init(_ fields: inout RowFields, keeping old: RuleRow?) throws {
        environmentID = try fields.environmentID(or: old?.environmentID)
        let before = old?.rule
        rule = MeteringRule(
            id: PublicID(.rule, try fields.bits(or: before?.id.bits)),
            featureKey: try fields.featureKey(or: before?.featureKey), version: try fields.int32(or: before?.version),
            price: try fields.parsed("price", or: before?.price) { try Price(json: $0) },
            effectiveFrom: try fields.instant(or: before?.effectiveFrom),
            createdAt: try fields.instant(or: before?.createdAt))
    }
}

package struct PackageRow: TableRow, Sendable {
    package let environmentID: EnvironmentID
    package let package: TopupPackage

    package static let table = "topup_packages"
    package static let columns = [
        "environment_id", "package_key", "name", "credits", "price", "currency", "expires_after", "priority",
        "created_at", "updated_at", "archived_at",
    ]

    package init(environmentID: EnvironmentID, package: TopupPackage) {
        self.environmentID = environmentID
        self.package = package
    }

    package init(_ fields: inout RowFields, keeping old: PackageRow?) throws {
        environmentID = try fields.environmentID(or: old?.environmentID)
        let (before, terms) = (old?.package, old?.package.terms)
        package = TopupPackage(
            key: try fields.parsed("package_key", or: before?.key) { PackageKey($0) },
            terms: PackageTerms(
                name: try fields.text(or: terms?.name), credits: try fields.amount(or: terms?.credits),
                price: try fields.int64(or: terms?.price), currency: try fields.text(or: terms?.currency),
                expiresAfter: try fields.parsedOrNil("expires_after", or: terms.map(\.expiresAfter)) {
                    CalendarDuration(iso8601: $0)
                }, priority: try fields.int16OrNil(or: terms.map(\.priority))),
            createdAt: try fields.instant(or: before?.createdAt), updatedAt: try fields.instant(or: before?.updatedAt),
            archivedAt: try fields.instantOrNil(or: before.map(\.archivedAt)))
    }
}

package struct TestClockRow: TableRow, Sendable {
    package let environmentID: EnvironmentID
    package let clock: TestClock

    package static let table = "test_clocks"
    package static let columns = ["environment_id", "clock_id", "shows", "created_at", "updated_at"]

    package init(_ fields: inout RowFields, keeping old: TestClockRow?) throws {
        environmentID = try fields.environmentID(or: old?.environmentID)
        let before = old?.clock
        clock = TestClock(
            id: try fields.bits(or: before?.id), now: try fields.instant(or: before?.now),
            createdAt: try fields.instant(or: before?.createdAt), updatedAt: try fields.instant(or: before?.updatedAt))
    }
}

/// A row of `environments`.
package struct EnvironmentRow: TableRow, Sendable {
    package let id: EnvironmentID
    package let kind: EnvironmentKind
    package let catalogueVersion: Int64
    package let config: EnvironmentConfig

    package static let table = "environments"
    package static let columns = [
        "environment_id", "kind", "catalogue_version", "rate_limit_per_second", "fail_closed_over_ms",
        "overage_policy", "overage_limit", "timezone", "zone_starts", "zone_offsets",
    ]

    package init(_ fields: inout RowFields, keeping old: EnvironmentRow?) throws {
        id = try fields.environmentID(or: old?.id)
        kind = try fields.parsed("kind", or: old?.kind) { EnvironmentKind(rawValue: $0) }
        catalogueVersion = try fields.int64(or: old?.catalogueVersion)
        let before = old?.config
        let rateLimit = try fields.int32OrNil(or: before.map(\.rateLimitPerSecond))
        let failClosed = try fields.int32OrNil(or: before.map(\.failClosedOverMilliseconds))
        let policy = try fields.parsedOrNil("overage_policy", or: before.map(\.overagePolicy)) {
            OveragePolicy(rawValue: $0)
        }
        let limit = try fields.amountOrNil(or: before.map(\.overageLimit))
        let timeZone = try fields.textOrNil(or: before.map(\.timeZone))
        let starts = try fields.timestamps(or: before?.zone.storedStarts)
        let offsets = try fields.int32s(or: before?.zone.storedOffsets)
        config = EnvironmentConfig(
            rateLimitPerSecond: rateLimit, failClosedOverMilliseconds: failClosed, overagePolicy: policy,
            overageLimit: limit, timeZone: timeZone,
            zone: timeZone == nil ? .utc : try ZoneRules(storedStarts: starts, offsets: offsets))
    }
}

extension ZoneRules {
    /// The rules as a row has them: the offset before the first start comes first.
    package init(storedStarts starts: [Int64], offsets: [Int32]) throws {
        guard let initial = offsets.first, offsets.count == starts.count + 1 else {
            throw StorageError.unknownValue(column: "zone_offsets")
        }
        self.init(
            transitions: zip(starts, offsets.dropFirst()).map { (at: Instant(microseconds: $0), offsetSeconds: $1) },
            initialOffsetSeconds: initial)
    }
}

/// A row of `api_keys` as replicas look keys up.
package struct KeyRow: TableRow, Sendable {
    package let environmentID: EnvironmentID
    package let id: Bits128
    /// SHA-256 of the key's text.
    package let hash: [UInt8]
    package let rights: KeyRights
    package let revokedAt: Instant?

    package static let table = "api_keys"
    package static let columns = ["environment_id", "key_id", "key_hash", "scopes", "expires_at", "revoked_at"]

    package init(_ fields: inout RowFields, keeping old: KeyRow?) throws {
        environmentID = try fields.environmentID(or: old?.environmentID)
        id = try fields.bits(or: old?.id)
        hash = try fields.bytes(or: old?.hash)
        rights = KeyRights(
            scopes: KeyScopes(stored: try fields.textsOrNil(or: old.map(\.rights.scopes.names))),
            expiresAt: try fields.instantOrNil(or: old.map(\.rights.expiresAt)))
        revokedAt = try fields.instantOrNil(or: old.map(\.revokedAt))
    }
}

/// A row of `api_keys` as it is shown, with the kind of its environment behind it.
struct KeyRecordRow: TableRow {
    let record: KeyRecord

    static let table = "api_keys"
    static let columns = [
        "key_id", "name", "scopes", "expires_at", "hint", "created_at", "replaces", "revoked_at",
        "environment_id",
    ]

    init(_ fields: inout RowFields, keeping old: KeyRecordRow?) throws {
        let (id, name) = (try fields.bits(), try fields.text())
        let rights = KeyRights(
            scopes: KeyScopes(stored: try fields.textsOrNil()), expiresAt: try fields.instantOrNil())
        let (hint, createdAt) = (try fields.text(), try fields.instant())
        let (replaces, revokedAt) = (try fields.bitsOrNil(), try fields.instantOrNil())
        try fields.skip()
        record = KeyRecord(
            id: id, name: name, kind: try fields.parsed("kind") { EnvironmentKind(rawValue: $0) }, rights: rights,
            hint: hint, createdAt: createdAt, replaces: replaces, revokedAt: revokedAt)
    }
}

extension KeyScopes {
    /// The scopes of a row; null is all. A name that this release does not know gives nothing.
    package init(stored names: [String]?) {
        guard let names else {
            self = .all
            return
        }
        self = names.reduce(into: []) { scopes, name in scopes.formUnion(KeyScopes(name: name) ?? []) }
    }
}

/// A row of `tenants`.
struct TenantRow: TableRow {
    let tenant: Tenant

    static let table = "tenants"
    static let columns = ["tenant_id", "name", "created_at"]

    init(_ fields: inout RowFields, keeping old: TenantRow?) throws {
        tenant = Tenant(id: try fields.bits(), name: try fields.text(), createdAt: try fields.instant())
    }
}
