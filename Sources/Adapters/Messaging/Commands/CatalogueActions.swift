import Catalogue
import Commands
import Credits
import Metering

// The numbers of actions and fields are permanent, as in AccountActions.swift.

extension CatalogueAction: FieldCodable {
    func write(to writer: inout FieldWriter) {
        switch self {
        case .createTenant(let name, let liveKey, let testKey):
            writer.write(1) { writer in
                writer.write(1, name)
                writer.write(2, liveKey)
                writer.write(3, testKey)
            }
        case .createKey(let name, let key, let rights, let grantor):
            writer.write(2) { writer in
                writer.write(1, name)
                writer.write(2, key)
                writer.write(3, rights)
                writer.write(4, grantor)
            }
        case .revokeKey(let id, let grantor):
            // An older worker does not compare the scopes, so it must not revoke for a key that has only some.
            writer.write(3, since: grantor == .all ? MessageRevision.first : 2) { writer in
                id.write(to: &writer)
                if grantor != .all { writer.write(3, Int64(grantor.rawValue)) }
            }
        case .createTenantKey(let tenantID, let kind, let name, let key, let rights):
            writer.write(13, since: 2) { writer in
                writer.write(1, tenantID)
                writer.write(2, kind.rawValue)
                writer.write(3, name)
                writer.write(4, key)
                writer.write(5, rights)
            }
        case .updateTenantLimits(let tenantID, let rateLimit):
            writer.write(14, since: 2) { writer in
                writer.write(1, tenantID)
                writer.write(2, rateLimit) { $0.write($1, Int64($2)) }
            }
        case .createFeature(let feature): writer.write(4, feature)
        case .updateFeature(let key, let change):
            writer.write(5) { writer in
                writer.write(1, key.rawValue)
                writer.write(2, change)
            }
        case .createRule(let featureKey, let price, let effectiveFrom, let variant):
            writer.write(6) { writer in
                writer.write(1, featureKey.rawValue)
                writer.write(2, price.canonicalJSON)
                writer.write(3, effectiveFrom)
                if let variant { writer.write(4, since: 4) { $0.write(1, variant.text) } }
            }
        case .rollKey(let id, let key, let overlapSeconds, let grantor):
            writer.write(7) { writer in
                writer.write(1, id)
                writer.write(2, key)
                writer.write(3, overlapSeconds)
                writer.write(4, grantor)
            }
        case .updateConfig(let change): writer.write(8, change)
        case .createTestClock(let now): writer.write(9, now)
        case .advanceTestClock(let id, let instant):
            writer.write(10) { writer in
                writer.write(1, id)
                writer.write(2, instant)
            }
        case .createPackage(let key, let terms):
            writer.write(11) { writer in
                writer.write(1, key.rawValue)
                writer.write(2, terms)
            }
        case .updatePackage(let key, let change):
            writer.write(12) { writer in
                writer.write(1, key.rawValue)
                writer.write(2, change)
            }
        case .createPlan(let plan): writer.write(15, since: 4) { $0.write(1, plan) }
        case .updatePlan(let name, let change):
            writer.write(16, since: 4) { writer in
                writer.write(1, name.text)
                writer.write(2, change)
            }
        case .createVariant(let plan, let variant):
            writer.write(17, since: 4) { writer in
                writer.write(1, plan.text)
                writer.write(2, variant)
            }
        case .updateVariant(let name, let change):
            writer.write(18, since: 4) { writer in
                writer.write(1, name.text)
                writer.write(2, change)
            }
        case .migrateVariant(let name, let migration):
            writer.write(19, since: 5) { writer in
                writer.write(1, name.text)
                writer.write(2, migration)
            }
        case .createWebhookEndpoint, .updateWebhookEndpoint, .deleteWebhookEndpoint, .rotateWebhookSecret,
            .testWebhookEndpoint, .replayWebhookEvents, .retryWebhookDelivery:
            writeWebhookAction(to: &writer)
        }
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        guard let number = try reader.nextNumber() else { throw .missing(field: "catalogue action") }
        switch number {
        case 4: self = .createFeature(try reader.value(4, "feature"))
        case 8: self = .updateConfig(try reader.value(8, "config"))
        case 9: self = .createTestClock(now: try reader.instant(9, "instant"))
        default:
            self = try reader.message(number, "catalogue action") { (reader) throws(CodingError) in
                try Self.compound(number, from: &reader)
            }
        }
    }

    /// Reads an action that has more than one field.
    private static func compound(
        _ number: Int, from reader: inout FieldReader
    ) throws(CodingError) -> CatalogueAction {
        switch number {
        case 1:
            .createTenant(
                name: try reader.string(1, "name"), liveKey: try reader.value(2, "key"),
                testKey: try reader.value(3, "key"))
        case 2:
            .createKey(
                name: try reader.string(1, "name"), try reader.value(2, "key"), try reader.value(3, "rights"),
                grantor: try reader.value(4, "rights"))
        case 3: .revokeKey(id: try Bits128(from: &reader), grantor: try reader.optionalScopes(3) ?? .all)
        case 5: .updateFeature(key: try reader.featureKey(1), try reader.value(2, "change"))
        case 6:
            .createRule(
                featureKey: try reader.featureKey(1),
                price: try reader.parsed(2, "price") { text in try? Price(json: text) },
                effectiveFrom: try reader.optionalInstant(3),
                variant: try reader.optionalMessage(4) { (reader) throws(CodingError) in try reader.name(1) })
        case 7:
            .rollKey(
                id: try reader.value(1, "key"), try reader.value(2, "key"),
                overlapSeconds: try reader.int64(3, "overlap"), grantor: try reader.value(4, "rights"))
        case 10: .advanceTestClock(id: try reader.value(1, "clock"), to: try reader.instant(2, "instant"))
        case 11: .createPackage(key: try reader.packageKey(1), try reader.value(2, "package"))
        case 12: .updatePackage(key: try reader.packageKey(1), try reader.value(2, "change"))
        case 13:
            .createTenantKey(
                tenantID: try reader.value(1, "tenant"),
                try reader.parsed(2, "environment") { EnvironmentKind(rawValue: $0) },
                name: try reader.string(3, "name"), try reader.value(4, "key"), try reader.value(5, "rights"))
        case 14:
            .updateTenantLimits(
                tenantID: try reader.value(1, "tenant"),
                rateLimitPerSecond: try reader.setting(2, in: EnvironmentConfig.rateLimits))
        case 15: .createPlan(try reader.value(1, "plan"))
        case 16: .updatePlan(try reader.name(1), try reader.value(2, "change"))
        case 17: .createVariant(plan: try reader.name(1), try reader.value(2, "variant"))
        case 18: .updateVariant(try reader.name(1), try reader.value(2, "change"))
        case 19: .migrateVariant(try reader.name(1), try reader.value(2, "migration"))
        default: try webhookAction(number, from: &reader)
        }
    }
}

extension FieldReader {
    fileprivate mutating func packageKey(_ number: Int) throws(CodingError) -> PackageKey {
        try parsed(number, "package key") { PackageKey($0) }
    }

    fileprivate mutating func reportAttributes(_ number: Int) throws(CodingError) -> ReportAttributes {
        guard let attributes = ReportAttributes(try strings(number, "attribute")) else {
            throw .invalid(field: "list of attributes")
        }
        return attributes
    }
}

extension NewFeature: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, key.rawValue)
        writer.write(2, name)
        writer.write(3, type.rawValue)
        writer.write(4, unitName)
        writer.write(5, quota?.canonicalJSON)
        if !reportBy.isEmpty { writer.write(6, since: 3) { $0.write(1, each: reportBy.names) } }
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(
            key: try reader.featureKey(1), name: try reader.string(2, "name"),
            type: try reader.parsed(3, "type of feature") { FeatureType(rawValue: $0) },
            unitName: try reader.optionalString(4, "unit"),
            quota: try reader.optional(5, "quota") { text in try? Quota(json: text) },
            reportBy: try reader.optionalMessage(6) { (reader) throws(CodingError) in
                try reader.reportAttributes(1)
            } ?? .none)
    }
}

extension FeatureChange: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, name)
        writer.write(2, unitName)
        writer.write(3, isArchived)
        writer.write(4, quota) { $0.write($1, $2.canonicalJSON) }
        writer.write(5, since: 3, reportBy) { $0.write($1, each: $2.names) }
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(
            name: try reader.optionalString(1, "name"), unitName: try reader.optionalString(2, "unit"),
            isArchived: try reader.optionalBool(3, "flag"),
            quota: try reader.change(4) { (reader) throws(CodingError) in
                try reader.optional(1, "quota") { text in try? Quota(json: text) }
            },
            reportBy: try reader.change(5) { (reader) throws(CodingError) in
                let attributes = try reader.reportAttributes(1)
                return attributes.isEmpty ? nil : attributes
            })
    }
}

extension PackageTerms: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, name)
        writer.write(2, credits)
        writer.write(3, price)
        writer.write(4, currency)
        writer.write(5, expiresAfter)
        writer.write(6, priority)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(
            name: try reader.string(1, "name"), credits: try reader.amount(2, in: AmountRange.positive, "amount"),
            price: try reader.int64(3, "price"), currency: try reader.string(4, "currency"),
            expiresAfter: try reader.optional(5), priority: try reader.optionalPriority(6))
        guard AmountRange.unsigned.contains(price) else { throw .invalid(field: "price") }
    }
}

extension PackageChange: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, name)
        writer.write(2, credits)
        writer.write(3, price)
        writer.write(4, currency)
        writer.write(5, expiresAfter) { $0.write($1, $2 as CalendarDuration?) }
        writer.write(6, priority) { $0.write($1, $2 as Int16?) }
        writer.write(7, isArchived)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(
            name: try reader.optionalString(1, "name"),
            credits: try reader.optionalAmount(2, in: AmountRange.positive, "amount"),
            price: try reader.optionalInt64(3), currency: try reader.optionalString(4, "currency"),
            expiresAfter: try reader.change(5) { (reader) throws(CodingError) in try reader.optional(1) },
            priority: try reader.change(6) { (reader) throws(CodingError) in try reader.optionalPriority(1) },
            isArchived: try reader.optionalBool(7, "flag"))
        guard price.map({ AmountRange.unsigned.contains($0) }) ?? true else { throw .invalid(field: "price") }
    }
}

extension ConfigChange: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, rateLimitPerSecond) { $0.write($1, Int64($2)) }
        writer.write(2, failClosedOverMilliseconds) { $0.write($1, Int64($2)) }
        writer.write(3, overagePolicy) { $0.write($1, $2.rawValue) }
        writer.write(4, overageLimit) { $0.write($1, $2 as Millicredits?) }
        writer.write(5, timeZone) { $0.write($1, $2 as String?) }
        writer.write(6, since: 3, createEndUsers) { $0.write($1, $2.rawValue) }
        writer.write(7, since: 4, defaultVariant) { $0.write($1, $2.text) }
        writer.write(8, since: 4, fallbackVariant) { $0.write($1, $2.text) }
        writer.write(9, since: 6, balanceLowThresholds) { $0.write($1, $2.canonicalJSON) }
        writer.write(10, since: 6, expiringSoonHours) { $0.write($1, Int64($2)) }
        writer.write(11, since: 6, recordedEventTypes) { $0.write($1, $2.names) }
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(
            rateLimitPerSecond: try reader.setting(1, in: EnvironmentConfig.rateLimits),
            failClosedOverMilliseconds: try reader.setting(2, in: EnvironmentConfig.failClosedLimits),
            overagePolicy: try reader.change(3) { (reader) throws(CodingError) in
                try reader.optional(1, "overage policy") { OveragePolicy(rawValue: $0) }
            },
            overageLimit: try reader.change(4) { (reader) throws(CodingError) in
                try reader.optionalAmount(1, in: AmountRange.unsigned, "overage limit")
            },
            timeZone: try reader.change(5) { (reader) throws(CodingError) in
                try reader.optionalString(1, "time zone")
            })
        createEndUsers = try reader.change(6) { (reader) throws(CodingError) in
            try reader.optional(1, "creation of end users") { EndUserCreation(rawValue: $0) }
        }
        defaultVariant = try reader.nameChange(7)
        fallbackVariant = try reader.nameChange(8)
        balanceLowThresholds = try reader.thresholdsChange(9)
        expiringSoonHours = try reader.setting(10, in: EnvironmentConfig.expiringSoonLeads)
        recordedEventTypes = try reader.change(11) { (reader) throws(CodingError) in
            try reader.optionalString(1, "event types").map { EventTypes(names: $0) }
        }
    }
}

extension FieldReader {
    mutating func thresholdsChange(_ number: Int) throws(CodingError) -> FieldChange<[BalanceThreshold]> {
        try change(number) { (reader) throws(CodingError) in
            try reader.optional(1, "thresholds") { try? [BalanceThreshold](json: $0) }
        }
    }

    fileprivate mutating func setting(
        _ number: Int, in range: ClosedRange<Int64>
    ) throws(CodingError) -> FieldChange<Int32> {
        try change(number) { (reader) throws(CodingError) in
            let value = try reader.optionalInt32(1, "setting")
            guard value.map({ range.contains(Int64($0)) }) ?? true else { throw .invalid(field: "setting") }
            return value
        }
    }
}
