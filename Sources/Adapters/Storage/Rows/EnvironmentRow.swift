package import Catalogue
package import Credits
package import Postgres

/// A row of `environments`.
package struct EnvironmentRow: TableRow, Sendable {
    package let id: EnvironmentID
    package let kind: EnvironmentKind
    package let catalogueVersion: Int64
    package let config: EnvironmentConfig

    package static let table = "environments"
    package static let columns = [
        "environment_id", "kind", "catalogue_version", "rate_limit_per_second", "fail_closed_over_ms",
        "overage_policy", "overage_limit", "timezone", "zone_starts", "zone_offsets", "operator_rate_limit",
        "create_end_users", "default_variant_id", "fallback_variant_id", "balance_low_thresholds",
        "expiring_soon_hours", "recorded_event_types",
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
        let operatorRateLimit = try fields.int32OrNil(or: before.map(\.operatorRateLimit))
        let createEndUsers = try fields.parsedOrNil("create_end_users", or: before.map(\.createEndUsers)) {
            EndUserCreation(rawValue: $0)
        }
        let defaultVariant = try fields.bitsOrNil(or: before.map { $0.defaultVariantID?.bits })
        let fallbackVariant = try fields.bitsOrNil(or: before.map { $0.fallbackVariantID?.bits })
        let thresholds = try fields.parsedOrNil("balance_low_thresholds", or: before.map(\.balanceLowThresholds)) {
            try [BalanceThreshold](json: $0)
        }
        let expiringSoonHours = try fields.int32OrNil(or: before.map(\.expiringSoonHours))
        let eventTypes = try fields.parsedOrNil("recorded_event_types", or: before.map(\.recordedEventTypes)) {
            EventTypes(names: $0)
        }
        config = EnvironmentConfig(
            rateLimitPerSecond: rateLimit, operatorRateLimit: operatorRateLimit,
            failClosedOverMilliseconds: failClosed, overagePolicy: policy,
            overageLimit: limit, createEndUsers: createEndUsers,
            defaultVariantID: defaultVariant.map { PublicID(.planVariant, $0) },
            fallbackVariantID: fallbackVariant.map { PublicID(.planVariant, $0) },
            balanceLowThresholds: thresholds, expiringSoonHours: expiringSoonHours, recordedEventTypes: eventTypes,
            timeZone: timeZone,
            zone: timeZone == nil ? .utc : try ZoneRules(storedStarts: starts, offsets: offsets))
    }
}

extension ZoneRules {
    /// The rules as a row stores them. The first offset is valid before the first start.
    package init(storedStarts starts: [Int64], offsets: [Int32]) throws {
        guard let initial = offsets.first, offsets.count == starts.count + 1 else {
            throw StorageError.unknownValue(column: "zone_offsets")
        }
        self.init(
            transitions: zip(starts, offsets.dropFirst()).map { (at: Instant(microseconds: $0), offsetSeconds: $1) },
            initialOffsetSeconds: initial)
    }
}
