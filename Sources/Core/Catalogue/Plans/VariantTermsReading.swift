import Credits
package import JSON
import Metering

/// Reads the terms of variants from JSON, in requests, in commands and in storage. Each problem is reported with its
/// pointer.
extension JSONReader {
    /// Reads the members of terms, except the fallback, which a request names by id or key and a stored variant by id.
    ///
    /// - Parameter old: Terms to be changed, whose value an absent member keeps. Null gives a member its default.
    package mutating func variantTerms(changing old: VariantTerms? = nil) -> VariantTerms? {
        let defaults = VariantTerms.defaults
        var terms = old ?? defaults
        /// Reads a member unless it is kept. The closure returns nil only after it reported a problem.
        func change<Value>(
            _ key: String, _ path: WritableKeyPath<VariantTerms, Value>, _ read: (inout JSONReader) -> Value?
        ) {
            guard old == nil || presence(of: key) != .absent, let value = read(&self) else { return }
            terms[keyPath: path] = value
        }
        func changeDays(_ key: String, _ path: WritableKeyPath<VariantTerms, Int32>, upTo limit: Int64) {
            change(key, path) { reader in
                reader.int64(key, default: Int64(defaults[keyPath: path]), in: 0...limit).map { Int32($0) }
            }
        }
        change("billing_interval", \.billingInterval) { $0.object("billing_interval") { $0.billingInterval() } }
        change("billing_mode", \.billingMode) { $0.optionalChoice("billing_mode") ?? defaults.billingMode }
        change("credit_grants", \.grants) { reader in
            let grants =
                reader.optionalObjects("credit_grants", count: 0...VariantTerms.maximumGrants) { $0.grantLine() } ?? []
            if grants.reduce(0, { $0 + $1.landingsPerDay }) > VariantTerms.maximumLandingsPerDay {
                reader.report(
                    "credit_grants", "must land at most \(VariantTerms.maximumLandingsPerDay) times a day in all")
            }
            return grants
        }
        change("features", \.features) { $0.featureGrants("features", atMost: VariantTerms.maximumFeatures) ?? [:] }
        change("limits", \.limits) { $0.variantLimits() ?? [:] }
        change("overage_policy", \.overagePolicy) { $0.optionalChoice("overage_policy") }
        change("overage_limit", \.overageLimit) { $0.optionalAmount("overage_limit") }
        changeDays("renewal_due_days", \.renewalDueDays, upTo: VariantTerms.maximumDays)
        changeDays("grace_period_days", \.gracePeriodDays, upTo: VariantTerms.maximumDays)
        change("allow_usage_while_overdue", \.allowsUsageWhileOverdue) { reader in
            reader.bool("allow_usage_while_overdue", default: defaults.allowsUsageWhileOverdue)
        }
        changeDays("trial_days", \.trialDays, upTo: VariantTerms.maximumTrialDays)
        change("trial_credits", \.trialCredits) { $0.optionalAmount("trial_credits") ?? defaults.trialCredits }
        change("price", \.price) { $0.optionalInt64("price", in: 0...Millicredits.limit) }
        change("currency", \.currency) { $0.optionalCurrency() }
        let quotas = terms.features.values.count { if case .quota = $0 { true } else { false } }
        if terms.limits.count + quotas > Limit.maximumCount {
            let stated = ["limits", "features"].first { presence(of: $0) == .present } ?? "limits"
            report(
                stated,
                "must have at most \(Limit.maximumCount) limits in total: limits, and features with a quota")
        }
        return problems.isEmpty ? terms : nil
    }

    private mutating func billingInterval() -> BillingInterval? {
        let unit = choice("unit", of: BillingInterval.Unit.self)
        let count = int64("count", default: 1, in: 1...Int64(BillingInterval.maximumCount))
        guard let unit, let count else { return nil }
        return BillingInterval(unit, count: Int32(count))
    }

    /// Reads limits, and reports a key that comes twice.
    private mutating func variantLimits() -> [LimitKey: VariantLimit]? {
        let read = optionalObjects("limits", count: 0...Limit.maximumCount) { item -> (LimitKey, VariantLimit)? in
            let limit = item.limit()
            let isPerQuantity = item.bool("per_quantity", default: false)
            guard let key = item.variantLimitKey(), let limit, let isPerQuantity else { return nil }
            return (key, VariantLimit(limit, isPerQuantity: isPerQuantity))
        }
        guard let read else { return nil }
        var limits: [LimitKey: VariantLimit] = [:]
        for (index, (key, limit)) in read.enumerated() where limits.updateValue(limit, forKey: key) != nil {
            report("limits", element: index, "key", "comes twice")
        }
        return limits
    }

    /// Reads the key of a variant's limit, which cannot be a quota's or a spend cap's.
    private mutating func variantLimitKey() -> LimitKey? {
        guard let key = string("key", expected: FeatureKey.expectation, { LimitKey($0) }) else { return nil }
        if key.quotaFeature != nil {
            report("key", "must not be a quota's: state the quotas of a variant in features")
        }
        if PublicID(.spendCap, parsing: key.rawValue) != nil { report("key", "must not be the id of a spend cap") }
        return key
    }

    // MARK: - Credit grants

    private mutating func grantLine() -> GrantLine? {
        let credits = credits()
        let name = choice("cadence", of: GrantLine.Cadence.Name.self)
        let cadence = name.flatMap { self.cadence($0) }
        let expiry = grantExpiry(of: name)
        let priority = priority()
        let rollover = rollover(of: name, expiry)
        let cap = positiveAmount("accumulation_cap")
        let features = optionalStrings(
            "feature_keys", count: 0...GrantLine.maximumFeatures, expected: FeatureKey.expectation
        ) { FeatureKey($0) }
        if let features, Set(features).count < features.count { report("feature_keys", "has a feature twice") }
        guard problems.isEmpty, let credits, let cadence, let expiry else { return nil }
        return GrantLine(
            credits: credits, cadence: cadence, expiry: expiry, priority: priority, rollover: rollover,
            accumulationCap: cap, featureKeys: features ?? [])
    }

    /// Reads `every` and `anchor`, which only lines of cadence `every` have.
    private mutating func cadence(_ name: GrantLine.Cadence.Name) -> GrantLine.Cadence? {
        guard name == .every else {
            for key in ["every", "anchor"] where value(key) != nil { report(key, "is only for the cadence \"every\"") }
            return name == .activation ? .activation : .period
        }
        let duration = string("every", expected: "an ISO 8601 duration from PT1M to P10Y") { text in
            CalendarDuration(iso8601: text).flatMap { $0.isWindowLength ? $0 : nil }
        }
        let anchor = optionalChoice("anchor", of: GrantLine.Anchor.self)
        return duration.map { .every($0, anchor: anchor ?? .subscription) }
    }

    /// Reads `expires`, whose default depends on the cadence.
    private mutating func grantExpiry(of name: GrantLine.Cadence.Name?) -> GrantLine.Expiry? {
        guard let stated = expiry() else { return name?.defaultExpiry }
        if name == .activation, stated == .nextGrant {
            report("expires", "cannot be \"next_grant\" for a line of cadence \"activation\", which lands once")
        }
        return stated
    }

    private mutating func rollover(
        of name: GrantLine.Cadence.Name?, _ lineExpiry: GrantLine.Expiry?
    ) -> GrantLine.Rollover? {
        let rollover = optionalObject("rollover") { reader -> GrantLine.Rollover? in
            let percentage = reader.int64("percentage", in: 1...100)
            let cap = reader.positiveAmount("cap")
            let expiry = reader.expiry()
            return percentage.map {
                GrantLine.Rollover(percentage: Int32($0), cap: cap, expiry: expiry ?? .periodEnd)
            }
        }
        guard rollover != nil, let name, let lineExpiry else { return rollover }
        if name != .period {
            report("rollover", "is only for lines of cadence \"period\"")
        } else if lineExpiry != .periodEnd, lineExpiry != .nextGrant {
            report("rollover", "is only for lines that expire at \"period_end\" or \"next_grant\"")
        }
        return rollover
    }

    private mutating func expiry() -> GrantLine.Expiry? {
        optionalString("expires", expected: GrantLine.Expiry.expectation) { GrantLine.Expiry(text: $0) }
    }

    private mutating func positiveAmount(_ key: String) -> Millicredits? {
        optionalInt64(key, .amount, in: 1...Millicredits.limit).flatMap { try? Millicredits($0) }
    }
}

extension GrantLine.Cadence.Name {
    /// The expiry of a line that states none.
    fileprivate var defaultExpiry: GrantLine.Expiry {
        switch self {
        case .activation: .never
        case .period: .periodEnd
        case .every: .nextGrant
        }
    }
}
