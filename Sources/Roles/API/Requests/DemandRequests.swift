import Credits
import JSON
import Ledger
import Metering

/// Reads the members that measure an event or a job.
extension JSONReader {
    /// One of `units`, `quantities` and `credits`.
    ///
    /// - Parameters:
    ///   - minimum: The smallest allowed value of `credits`.
    ///   - hasAttributes: Whether `attributes` may choose the price and the limits.
    mutating func demand(creditsFrom minimum: Int64, hasAttributes: Bool) -> Demand? {
        let isInCredits = presence(of: "credits") == .present
        let isMeasured = ["units", "quantities"].filter { presence(of: $0) == .present }
        if !isInCredits, isMeasured.isEmpty { report("units", "is required, or quantities or credits in its place") }
        if isInCredits, let other = isMeasured.first { report("credits", "excludes \(other): give one of them") }
        let credits = optionalInt64("credits", .amount, in: minimum...Millicredits.limit)
        let measure = measure()
        let attributes = hasAttributes ? attributes() : Attributes.none
        guard let attributes else { return nil }
        if isInCredits { return credits.flatMap { try? Millicredits($0) }.map { .credits($0, attributes) } }
        guard let measure else { return nil }
        return .measured(measure, attributes)
    }

    /// `units` (1 by default) or `quantities`.
    mutating func measure() -> Measure? {
        let units = int64("units", default: 1, .plain, in: 0...Int64.max)
        guard value("quantities") != nil else { return units.map { .units($0) } }
        if value("units") != nil { report("quantities", "excludes units: give one of them") }
        return quantities("quantities").map { .quantities($0) }
    }

    /// `attributes`; an absent member means no attributes.
    mutating func attributes() -> Attributes? {
        value("attributes") != nil ? attributes("attributes") : Attributes.none
    }

    mutating func reservationRequest() -> ReservationRequest? {
        let features = reservedFeatures()
        let estimate = demand(creditsFrom: 1, hasAttributes: true)
        if let features, features.count > 1, case .measured? = estimate {
            report("feature_keys", "of several features take credits, not units or quantities")
        }
        let ttl = int64("ttl_seconds", default: Reservation.defaultTTLSeconds, .plain, in: Reservation.ttlSeconds)
        let metadata = metadata()
        guard let features, let estimate, let ttl else { return nil }
        return ReservationRequest(featureKeys: features, estimate: estimate, ttlSeconds: ttl, metadata: metadata)
    }

    /// `feature_key`, or `feature_keys` for a reservation over several.
    private mutating func reservedFeatures() -> [FeatureKey]? {
        guard value("feature_keys") != nil else { return featureKey().map { [$0] } }
        if value("feature_key") != nil { report("feature_keys", "excludes feature_key: give one of them") }
        let features = optionalStrings(
            "feature_keys", count: 1...Reservation.maximumFeatures, expected: FeatureKey.expectation
        ) { FeatureKey($0) }
        if let features, Set(features).count < features.count { report("feature_keys", "has a feature twice") }
        return features
    }

    /// The feature that a report of a job names; nil when it names none.
    private mutating func reportedFeature() -> FeatureKey? {
        optionalString("feature_key", expected: FeatureKey.expectation) { FeatureKey($0) }
    }

    mutating func commit() -> ReservationAction? {
        let actual = demand(creditsFrom: 0, hasAttributes: true)
        let feature = reportedFeature()
        let shortfall = optionalChoice("shortfall", of: Shortfall.self)
        return actual.map { .commit($0, of: feature, shortfall: shortfall) }
    }

    mutating func progress() -> ReservationAction? {
        let progress = demand(creditsFrom: 0, hasAttributes: false)
        let feature = reportedFeature()
        return progress.map { .progress($0, of: feature) }
    }

    mutating func extendedTime() -> ReservationAction? {
        int64("ttl_seconds", .plain, in: Reservation.ttlSeconds).map { .extend(ttlSeconds: $0) }
    }
}
