package import Catalogue
package import Credits

// Refusals that both the API and the ledger give. Each text is written once, here.

extension Problem {
    package static let catchingUp = Problem(
        .unavailable,
        "Time has done more to the end user's account than fits in one step. Repeat the request in a moment.")
    package static let unknownEndUser = Problem(
        .unknownEndUser, "No end user has that id in this environment. Create it, or check the id.")
    package static let unknownReservation = Problem(
        .notFound, "No reservation has that id in this environment. Check the id.")
    package static let unknownSpendCap = Problem(
        .notFound, "No spend cap has that id in this environment. Check the id.")
    package static let unknownBlock = Problem(
        .notFound, "No credit block has that id or payment in this environment. Check the id.")
    package static let unknownAutoTopUp = Problem(
        .notFound, "The end user has no rule for automatic top-ups. Set one with PUT.")
    package static let unknownTopUpRequest = Problem(
        .notFound, "No request for a top-up has that id for this end user. Check the id.")
    package static let unknownKey = Problem(.notFound, "No API key has that id in this environment. Check the id.")
    package static let unknownTenant = Problem(.notFound, "There is no tenant with that id. Check the id.")
    package static let unknownRule = Problem(
        .notFound, "No metering rule has that id in this environment. Check the id.")
    package static let unknownTestClock = Problem(
        .notFound,
        "No test clock has that id in this environment. Create one with POST /v1/test-clocks, or check the id.")

    /// - Parameter key: Nil when the client's text is not a valid feature key.
    package static func unknownFeature(_ key: FeatureKey? = nil) -> Problem {
        let name = key.map { " \($0.rawValue)" } ?? " with that key"
        return Problem(
            .unknownFeature,
            "There is no feature\(name) in this environment, or it is archived. Create it with POST /v1/features.")
    }

    /// - Parameter key: Nil when the client's text is not a valid package key.
    package static func unknownPackage(_ key: PackageKey? = nil) -> Problem {
        let name = key.map { " \($0.rawValue)" } ?? " with that key"
        return Problem(
            .notFound,
            "There is no top-up package\(name) in this environment, or it is archived. Create it with POST /v1/topup-packages."
        )
    }

    /// The refusal of a grant that does not fit its feature's type.
    ///
    /// - Parameter pointer: The list of grants in the body.
    package static func wrongGrant(of key: FeatureKey, at pointer: String) -> Problem {
        Problem(
            at: pointer, "must fit the feature's type",
            "limit is only for features of type limit, quota only for metered features; \(key.rawValue) has another type."
        )
    }

    /// - Parameter name: Nil when the client's text is neither an id nor a valid key.
    package static func unknownPlan(_ name: PlanName? = nil) -> Problem {
        let name = name.map { " \($0.text)" } ?? " with that id or key"
        return Problem(
            .notFound, "There is no plan\(name) in this environment. Create it with POST /v1/plans, or check the name.")
    }

    /// - Parameters:
    ///   - name: Nil when the client's text is neither an id nor a valid key.
    ///   - pointer: The field of the body that names the variant; nil if the path does.
    package static func unknownVariant(_ name: VariantName? = nil, at pointer: String? = nil) -> Problem {
        let name = name.map { " \($0.text)" } ?? " with that id or key"
        return Problem(
            .notFound,
            "There is no plan variant\(name) in this environment, or it is archived. Create it with POST /v1/plans/{id}/variants, or check the name.",
            errors: pointer.map { [FieldError(pointer: $0, detail: "must be a variant that is not archived")] } ?? [])
    }

    /// The refusal to create one object more than an environment's catalogue may have.
    ///
    /// - Parameter nouns: The kind of objects, such as `features`.
    package static func tooMany(_ nouns: String) -> Problem {
        Problem(
            .conflict,
            "An environment can have at most \(CatalogueLimits.items) \(nouns), archived and revoked ones included.")
    }

    /// The refusal to create an object under a key that already exists.
    ///
    /// - Parameter noun: The kind of object with its article, such as `a feature`.
    package static func taken(_ noun: String, _ key: String) -> Problem {
        Problem(
            .conflict, "There is already \(noun) \(key). Change it with PATCH, or choose another key.",
            errors: [FieldError(pointer: "/key", detail: "is taken")])
    }
}
