import Catalogue
import Commands
import Credits
import JSON
import Metering

/// A metering rule to be created.
struct NewRule {
    let featureKey: FeatureKey
    /// The variant to whose subscribers the rule belongs; nil for a rule for all others.
    let variant: VariantName?
    let price: Price
    let effectiveFrom: Instant?
}

/// Reads request bodies about the catalogue: features, metering rules, top-up packages, API keys and configuration.
extension JSONReader {
    mutating func newFeature() -> NewFeature? {
        let key = featureKey("key")
        let name = name()
        let type = choice("type", of: FeatureType.self)
        let unitName = unitName()
        let quota = optionalObject("quota") { $0.quota() }
        let reportBy = reportBy()
        if let type, type != .metered {
            if quota != nil { report("quota", "is for metered features only") }
            if reportBy != nil { report("report_by", "is for metered features only") }
        }
        guard let key, let name, let type else { return nil }
        return NewFeature(
            key: key, name: name, type: type, unitName: unitName, quota: quota, reportBy: reportBy ?? .none)
    }

    mutating func featureChange() -> FeatureChange? {
        FeatureChange(
            name: optionalName(), unitName: unitName(), isArchived: optionalBool("archived"),
            quota: fieldChange("quota") { $0.optionalObject("quota") { $0.quota() } },
            reportBy: fieldChange("report_by") { $0.reportBy() })
    }

    mutating func newRule() -> NewRule? {
        let key = featureKey()
        let variant: VariantName? = optionalName("plan_variant_id")
        let price = price()
        let effectiveFrom = optionalInstant("effective_from")
        guard let key, let price else { return nil }
        return NewRule(featureKey: key, variant: variant, price: price, effectiveFrom: effectiveFrom)
    }

    mutating func newPackage() -> CatalogueAction? {
        let key = string("key", expected: FeatureKey.expectation) { PackageKey($0) }
        let name = name()
        let credits = credits()
        let price = int64("price", .plain, in: Self.packagePrices)
        let currency = string("currency", expected: Self.currencyExpectation, Self.currency)
        let expiresAfter = expiresAfter()
        let priority = priority()
        guard let key, let name, let credits, let price, let currency else { return nil }
        return .createPackage(
            key: key,
            PackageTerms(
                name: name, credits: credits, price: price, currency: currency, expiresAfter: expiresAfter,
                priority: priority))
    }

    /// Reads every member except the key; null clears the expiry or the priority.
    mutating func packageChange() -> PackageChange? {
        PackageChange(
            name: optionalName(), credits: optionalCredits(),
            price: optionalInt64("price", .plain, in: Self.packagePrices), currency: optionalCurrency(),
            expiresAfter: fieldChange("expires_after") { $0.expiresAfter() },
            priority: fieldChange("priority") { $0.priority() }, isArchived: optionalBool("archived"))
    }

    mutating func configChange() -> ConfigChange? {
        ConfigChange(
            rateLimitPerSecond: setting("rate_limit_per_second", in: EnvironmentConfig.rateLimits),
            failClosedOverMilliseconds: setting("fail_closed_over_ms", in: EnvironmentConfig.failClosedLimits),
            overagePolicy: fieldChange("overage_policy") { $0.optionalChoice("overage_policy") },
            overageLimit: fieldChange("overage_limit") { $0.optionalAmount("overage_limit") },
            createEndUsers: fieldChange("create_end_users") { $0.optionalChoice("create_end_users") },
            defaultVariant: fieldChange("default_plan_variant_id") { $0.optionalName("default_plan_variant_id") },
            fallbackVariant: fieldChange("fallback_variant_id") { $0.optionalName("fallback_variant_id") },
            balanceLowThresholds: fieldChange("balance_low_thresholds") {
                $0.balanceThresholds("balance_low_thresholds")
            },
            expiringSoonHours: setting("expiring_soon_hours", in: EnvironmentConfig.expiringSoonLeads),
            recordedEventTypes: fieldChange("record_event_types") { reader in
                reader.optionalStrings(
                    "record_event_types", count: 0...EventType.allCases.count,
                    expected: "the name of a type of events that accounts record",
                    among: EventType.allCases.map(\.rawValue)
                ) { EventType(rawValue: $0) }.map { EventTypes($0) }
            },
            timeZone: fieldChange("timezone") { $0.optionalString("timezone", length: 1...64) })
    }

    /// The change of a number: an absent member keeps it, null sets the default.
    /// The operator's limits of a tenant.
    mutating func tenantLimits() -> FieldChange<Int32>? {
        setting("rate_limit_per_second", in: EnvironmentConfig.rateLimits)
    }

    private mutating func setting(_ key: String, in range: ClosedRange<Int64>) -> FieldChange<Int32> {
        fieldChange(key) { $0.optionalInt64(key, .plain, in: range).map { Int32($0) } }
    }

    /// `name`, `scopes` and `expires_at` of a new key.
    mutating func newKey() -> (name: String, rights: KeyRights)? {
        let name = name()
        let rights = keyRights()
        guard let name, let rights else { return nil }
        return (name, rights)
    }

    /// `environment`, and the members of a new key. The name of the environment is the default of `name`, as for the keys
    /// of a new tenant.
    mutating func newTenantKey() -> (kind: EnvironmentKind, name: String, rights: KeyRights)? {
        let kind = choice("environment", of: EnvironmentKind.self)
        let name = optionalName()
        let rights = keyRights()
        guard let kind, let rights else { return nil }
        return (kind, name ?? kind.rawValue, rights)
    }

    private mutating func keyRights() -> KeyRights? {
        let scopes = scopes()
        let expiresAt = optionalInstant("expires_at")
        return scopes.map { KeyRights(scopes: $0, expiresAt: expiresAt) }
    }

    /// `scopes`; an absent member means all scopes.
    private mutating func scopes() -> KeyScopes? {
        guard presence(of: "scopes") == .present else {
            _ = value("scopes")
            return .all
        }
        let names = KeyScopes.named.map(\.name)
        let expected = "one of " + names.map { "\"\($0)\"" }.joined(separator: ", ")
        let scopes = optionalStrings("scopes", count: 1...names.count, expected: expected, among: names) {
            KeyScopes(name: $0)
        }
        return scopes.map { scopes in scopes.reduce(into: []) { $0.formUnion($1) } }
    }

    /// `report_by`; nil for an absent or empty list.
    private mutating func reportBy() -> ReportAttributes? {
        let names = optionalStrings(
            "report_by", count: 0...ReportAttributes.maximumCount, expected: ReportAttributes.expectation
        ) { ReportAttributes.isName($0) ? $0 : nil }
        guard let names, !names.isEmpty else { return nil }
        let attributes = ReportAttributes(names)
        if attributes == nil { report("report_by", "must not have a name twice") }
        return attributes
    }

    private mutating func unitName() -> String? {
        optionalString("unit_name", length: 1...64)
    }

    private static let packagePrices: ClosedRange<Int64> = 0...Millicredits.limit
}
