import JSON
import Testing

extension Client {
    func topUp(
        _ endUser: String, _ credits: Int64, payment: String? = nil, price: Int64? = nil, currency: String? = nil,
        key: String? = nil
    ) async throws -> Answer {
        try await post(
            "/v1/topups",
            .members([
                ("end_user_id", .string(endUser)), ("credits", .integer(credits)),
                ("external_payment_id", payment.map { .string($0) }), ("price_paid", price.map { .integer($0) }),
                ("currency", currency.map { .string($0) }),
            ]), key: key)
    }

    /// Refunds a use or a commit, by the id of either kind.
    func refund(
        _ endUser: String, _ id: String, units: Int64? = nil, credits: Int64? = nil, expiresAfter: String? = nil,
        key: String? = nil
    ) async throws -> Answer {
        try await post(
            "/v1/credits/refund",
            .members([
                ("end_user_id", .string(endUser)), (id.hasPrefix("use_") ? "usage_id" : "entry_id", .string(id)),
                ("units", units.map { .integer($0) }), ("credits", credits.map { .integer($0) }),
                ("expires_after", expiresAfter.map { .string($0) }),
            ]), key: key)
    }

    /// Revokes a block, by its id or by the payment that bought it.
    func revoke(_ id: String, key: String? = nil) async throws -> Answer {
        try await post(
            "/v1/credits/revoke", .members([(id.hasPrefix("blk_") ? "block_id" : "external_payment_id", .string(id))]),
            key: key)
    }

    func adjust(_ endUser: String, _ amount: Int64, key: String? = nil) async throws -> Answer {
        try await post(
            "/v1/credits/adjust",
            ["end_user_id": .string(endUser), "amount": .integer(amount), "reason": "a correction"], key: key)
    }

    func transfer(_ sender: String, _ receiver: String, _ credits: Int64, key: String? = nil) async throws -> Answer {
        try await post(
            "/v1/credits/transfer",
            [
                "from_end_user_id": .string(sender), "to_end_user_id": .string(receiver),
                "credits": .integer(credits),
            ], key: key)
    }

    // MARK: - Reservations

    func reserve(
        _ endUser: String, _ feature: String, units: Int64? = nil, credits: Int64? = nil, ttl: Int64? = nil,
        key: String? = nil
    ) async throws -> Answer {
        try await post(
            "/v1/reservations",
            .members([
                ("end_user_id", .string(endUser)), ("feature_key", .string(feature)),
                ("units", units.map { .integer($0) }), ("credits", credits.map { .integer($0) }),
                ("ttl_seconds", ttl.map { .integer($0) }),
            ]), key: key)
    }

    func commit(
        _ reservation: String, units: Int64? = nil, credits: Int64? = nil, shortfall: String? = nil,
        key: String? = nil
    ) async throws -> Answer {
        try await post(
            "/v1/reservations/\(reservation)/commit",
            .members([
                ("units", units.map { .integer($0) }), ("credits", credits.map { .integer($0) }),
                ("shortfall", shortfall.map { .string($0) }),
            ]), key: key)
    }

    func release(_ reservation: String, key: String? = nil) async throws -> Answer {
        try await post("/v1/reservations/\(reservation)/release", key: key)
    }

    func extend(_ reservation: String, ttl: Int64) async throws -> Answer {
        try await post("/v1/reservations/\(reservation)/extend", ["ttl_seconds": .integer(ttl)])
    }

    func progress(_ reservation: String, units: Int64) async throws -> Answer {
        try await post("/v1/reservations/\(reservation)/progress", ["units": .integer(units)])
    }

    func reservation(_ id: String) async throws -> Answer {
        try await get("/v1/reservations/\(id)")
    }

    // MARK: - Settings

    /// Creates an end user on a test clock.
    func make(_ endUser: String, at now: String) async throws -> TestClock {
        let clock = try await post("/v1/test-clocks", ["now": .string(now)]).expect(201)
        try await post(
            "/v1/end-users", ["end_user_id": .string(endUser), "test_clock_id": try #require(clock["id"])]
        ).expect(201)
        return TestClock(id: try clock.text("id"), client: self)
    }

    func cap(
        _ endUser: String, _ credits: Int64, window: String = "month", feature: String? = nil
    ) async throws -> Answer {
        try await post(
            "/v1/spend-caps",
            .members([
                ("end_user_id", .string(endUser)), ("credits", .integer(credits)), ("window", .string(window)),
                ("feature_key", feature.map { .string($0) }),
            ]))
    }

    /// Sets the overage policy and the overage limit of an end user.
    func allowOverage(_ endUser: String, limit: Int64? = nil, policy: String = "allow") async throws {
        try await post(
            "/v1/end-users",
            .members([
                ("end_user_id", .string(endUser)), ("overage_policy", .string(policy)),
                ("overage_limit", limit.map { .integer($0) }),
            ])
        ).expect(201)
    }
}

/// The test clock of an end user.
struct TestClock: Sendable {
    let id: String
    let client: Client

    func advance(to instant: String) async throws {
        try await client.post("/v1/test-clocks/\(id)/advance", ["to": .string(instant)]).expect(200)
    }
}
