import Answers
import Catalogue
import Credits
import JSON
import Ledger
import Metering

/// Reads request bodies about credits, end users and spend caps.
extension JSONReader {
    mutating func grant() -> Grant? {
        let credits = credits()
        let source = optionalChoice("source", of: BlockSource.self)
        let startsAt = optionalInstant("starts_at")
        let terms = terms()
        let payment = payment()
        guard let credits else { return nil }
        return Grant(
            credits: credits, source: source ?? .promotional, priority: terms.priority, startsAt: startsAt,
            expiry: terms.expiry ?? .never, featureKeys: terms.featureKeys, payment: payment.isEmpty ? nil : payment,
            reason: terms.reason, metadata: terms.metadata)
    }

    mutating func topUp() -> TopUp? {
        let request = optionalID("auto_topup_request_id", .topUpRequest)
        let amount = presence(of: "auto_topup_request_id") == .present ? optionalTopUpAmount() : topUpAmount()
        var payment = payment()
        payment.externalID = optionalString("external_payment_id", length: 1...Self.externalIDBytes)
        let terms = terms()
        guard amount != nil || request != nil else { return nil }
        return TopUp(
            credits: amount, request: request, payment: payment, priority: terms.priority, expiry: terms.expiry,
            featureKeys: terms.featureKeys, reason: terms.reason, metadata: terms.metadata)
    }

    /// `usage_id` or `entry_id`, with `units`, `credits` or neither.
    mutating func refund() -> Refund? {
        let usage = optionalID("usage_id", .usage)
        let entry = optionalID("entry_id", .entry)
        exactlyOne(of: ["usage_id", "entry_id"])
        let units = optionalInt64("units", .plain, in: 1...Int64.max)
        let credits = optionalCredits()
        atMostOne(of: ["units", "credits"])
        let expiry = expiry()
        let (reason, metadata) = (reason(), metadata())
        guard let charge = usage ?? entry else { return nil }
        let extent: Refund.Extent = units.map { .units($0) } ?? credits.map { .credits($0) } ?? .rest
        return Refund(
            account: charge.account, charge: charge.number, extent: extent, compensationExpiry: expiry, reason: reason,
            metadata: metadata)
    }

    /// The members of a revocation except the block, whose number the caller sets.
    mutating func revocation() -> Revocation {
        Revocation(block: 0, reason: reason(), metadata: metadata())
    }

    mutating func adjustment() -> Adjustment? {
        let number = int64("amount", .amount, in: -Millicredits.limit...Millicredits.limit)
        if number == 0 { report("amount", "must not be 0") }
        let (reason, metadata) = (reason(), metadata())
        guard let number, number != 0, let amount = try? Millicredits(number) else { return nil }
        return Adjustment(amount: amount, reason: reason, metadata: metadata)
    }

    mutating func transfer(from sender: EndUserID?) -> Transfer? {
        let receiver = endUserID("to_end_user_id")
        if let receiver, receiver == sender { report("to_end_user_id", "must be another end user than the sender") }
        let credits = credits()
        let (reason, metadata) = (reason(), metadata())
        guard let receiver, let credits else { return nil }
        return Transfer(receiver: receiver, credits: credits, reason: reason, metadata: metadata)
    }

    mutating func endUserChange() -> EndUserChange {
        EndUserChange(
            name: fieldChange("name") { $0.optionalName() },
            metadata: fieldChange("metadata") { $0.metadata() },
            overagePolicy: fieldChange("overage_policy") { $0.optionalChoice("overage_policy") },
            overageLimit: fieldChange("overage_limit") { $0.optionalAmount("overage_limit") },
            overrides: fieldChange("feature_overrides") {
                $0.featureGrants("feature_overrides", atMost: AccountSettings.maximumOverrides)
            },
            balanceLowThresholds: fieldChange("balance_low_thresholds") {
                $0.balanceThresholds("balance_low_thresholds")
            },
            testClock: optionalID("test_clock_id", .testClock))
    }

    mutating func spendCap() -> NewSpendCap? {
        let feature = optionalString("feature_key", expected: FeatureKey.expectation) { FeatureKey($0) }
        let credits = int64("credits", .amount, in: 0...Millicredits.limit).flatMap { try? Millicredits($0) }
        let window = windowLength()
        guard let credits, let window else { return nil }
        return NewSpendCap(featureKey: feature, credits: credits, window: window)
    }
}

// MARK: - Parts

extension JSONReader {
    /// The maximum length of a payment provider's id, in bytes.
    static let externalIDBytes = 255

    /// The members that grants and top-ups share.
    private struct Terms {
        let priority: Int16?
        let expiry: Grant.Expiry?
        let featureKeys: [FeatureKey]
        let reason: String?
        let metadata: Metadata?
    }

    private mutating func terms() -> Terms {
        let priority = priority()
        let expiry = expiry()
        let keys = optionalStrings("feature_keys", count: 1...100, expected: FeatureKey.expectation) { FeatureKey($0) }
        return Terms(
            priority: priority, expiry: expiry, featureKeys: keys ?? [], reason: reason(), metadata: metadata())
    }

    /// `expires_at` or `expires_after`.
    private mutating func expiry() -> Grant.Expiry? {
        let expiresAt = optionalInstant("expires_at")
        let expiresAfter = expiresAfter()
        atMostOne(of: ["expires_at", "expires_after"])
        return expiresAt.map { .at($0) } ?? expiresAfter.map { .after($0) }
    }

    /// `price_paid` in the currency's minor unit, and `currency`.
    private mutating func payment() -> Payment {
        let price = optionalInt64("price_paid", .amount, in: 0...Millicredits.limit)
        return Payment(price: price, currency: optionalCurrency())
    }

    mutating func reason() -> String? {
        optionalString("reason", length: 1...500)
    }

    mutating func optionalID(_ key: String, _ kind: PublicIDKind) -> PublicID? {
        optionalString(key, expected: Fields.idExpectation(kind)) { PublicID(kind, parsing: $0) }
    }

    /// Reports all but the first of the given members that are present.
    mutating func atMostOne(of keys: [String]) {
        let given = keys.filter { presence(of: $0) == .present }
        for key in given.dropFirst() { report(key, "excludes \(given[0]): give one of them") }
    }

    /// Reports an error unless exactly one of the given members is present.
    mutating func exactlyOne(of keys: [String]) {
        atMostOne(of: keys)
        guard !keys.contains(where: { presence(of: $0) == .present }) else { return }
        report(keys[0], "is required, or \(keys.dropFirst().joined(separator: " or ")) in its place")
    }
}
