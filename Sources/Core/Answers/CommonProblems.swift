package import Credits

// Refusals that the API and the ledger both give: each text stands once.

extension Problem {
    package static let unknownEndUser = Problem(
        .unknownEndUser, "No end user has that id in this environment. Create it, or check the id.")
    package static let unknownReservation = Problem(
        .notFound, "There is no reservation with that id in this environment.")
    package static let unknownSpendCap = Problem(.notFound, "There is no spend cap with that id in this environment.")
    package static let unknownBlock = Problem(.notFound, "There is no such block in this environment.")
    package static let unknownKey = Problem(.notFound, "There is no key with that id in this environment.")
    package static let unknownRule = Problem(.notFound, "There is no metering rule with that id in this environment.")
    package static let unknownTestClock = Problem(
        .notFound, "There is no test clock with that id in this environment.")

    /// - Parameter key: Nil for a text that cannot be a feature's key.
    package static func unknownFeature(_ key: FeatureKey? = nil) -> Problem {
        let name = key.map { " \($0.rawValue)" } ?? " with that key"
        return Problem(
            .unknownFeature,
            "There is no feature\(name) in this environment, or it is archived. Create it with POST /v1/features.")
    }

    /// - Parameter key: Nil for a text that cannot be a package's key.
    package static func unknownPackage(_ key: PackageKey? = nil) -> Problem {
        let name = key.map { " \($0.rawValue)" } ?? " with that key"
        return Problem(
            .notFound,
            "There is no top-up package\(name) in this environment. Create it with POST /v1/topup-packages.")
    }

    /// A key that something else has.
    ///
    /// - Parameter noun: With its article, such as `a feature`.
    package static func taken(_ noun: String, _ key: String) -> Problem {
        Problem(
            .conflict, "There is \(noun) \(key) already. Change it with PATCH, or choose another key.",
            errors: [FieldError(pointer: "/key", detail: "is taken")])
    }
}
