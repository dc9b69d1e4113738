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
    ///   - hasAttributes: Whether `attributes` may choose the price.
    mutating func demand(creditsFrom minimum: Int64, hasAttributes: Bool) -> Demand? {
        let isInCredits = presence(of: "credits") == .present
        let isMeasured = ["units", "quantities"].filter { presence(of: $0) == .present }
        if !isInCredits, isMeasured.isEmpty { report("units", "is required, or quantities or credits in its place") }
        if isInCredits, let other = isMeasured.first { report("credits", "excludes \(other): give one of them") }
        let credits = optionalInt64("credits", .amount, in: minimum...Millicredits.limit)
        let measure = measure()
        let attributes = hasAttributes ? attributes() : Attributes.none
        if isInCredits {
            if let attributes, !attributes.values.isEmpty {
                report("attributes", "excludes credits: no rule prices them")
            }
            return credits.flatMap { try? Millicredits($0) }.map { .credits($0) }
        }
        guard let measure, let attributes else { return nil }
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
        let feature = featureKey()
        let estimate = demand(creditsFrom: 1, hasAttributes: true)
        let ttl = int64("ttl_seconds", default: Reservation.defaultTTLSeconds, .plain, in: Reservation.ttlSeconds)
        let metadata = metadata()
        guard let feature, let estimate, let ttl else { return nil }
        return ReservationRequest(featureKey: feature, estimate: estimate, ttlSeconds: ttl, metadata: metadata)
    }

    mutating func commit() -> ReservationAction? {
        let actual = demand(creditsFrom: 0, hasAttributes: true)
        let shortfall = optionalChoice("shortfall", of: Shortfall.self)
        return actual.map { .commit($0, shortfall: shortfall) }
    }

    mutating func progress() -> ReservationAction? {
        demand(creditsFrom: 0, hasAttributes: false).map { .progress($0) }
    }

    mutating func extendedTime() -> ReservationAction? {
        int64("ttl_seconds", .plain, in: Reservation.ttlSeconds).map { .extend(ttlSeconds: $0) }
    }
}
