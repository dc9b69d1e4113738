import JSON
import Testing

/// A tenant of an installation, with its two environments.
struct Tenant: Sendable {
    let id: String
    let live: Client
    let test: Client
}

extension Installation {
    /// A caller with the root key.
    var root: Client { Client(url: url, key: rootKey) }

    func client(_ key: String?) -> Client { Client(url: url, key: key) }

    /// - Parameter node: The node to call; nil calls the server of the installation.
    func makeTenant(_ name: String = "Acme", through node: Node? = nil) async throws -> Tenant {
        let root = node.map { Client(url: $0.url, key: rootKey) } ?? root
        let client = { Client(url: root.url, key: $0) }
        let answer = try await root.post("/v1/admin/tenants", ["name": .string(name)]).expect(201)
        return Tenant(
            id: try answer.text("id"), live: client(try answer.text("api_keys.live")),
            test: client(try answer.text("api_keys.test")))
    }
}

/// A new tenant on the shared installation. Most tests use its test environment.
func makeTenant() async throws -> Tenant {
    try await SharedInstallation.get().makeTenant()
}

extension Client {
    /// Creates a metered feature with a price per unit.
    func sell(_ feature: String, unitCost: Int64, perUnits: Int64 = 1) async throws {
        try await post("/v1/features", ["key": .string(feature), "name": .string(feature), "type": "metered"]).expect(
            201)
        try await post(
            "/v1/metering-rules",
            [
                "feature_key": .string(feature), "model": "per_unit", "unit_cost": .integer(unitCost),
                "per_units": .integer(perUnits),
            ]
        ).expect(201)
    }

    func grant(
        _ endUser: String, _ credits: Int64, priority: Int64? = nil, expiresAt: String? = nil,
        expiresAfter: String? = nil, featureKeys: [String]? = nil, key: String? = nil
    ) async throws -> Answer {
        let body = JSONValue.members([
            ("end_user_id", .string(endUser)), ("credits", .integer(credits)),
            ("priority", priority.map { .integer($0) }), ("expires_at", expiresAt.map { .string($0) }),
            ("expires_after", expiresAfter.map { .string($0) }),
            ("feature_keys", featureKeys.map { .array($0.map { .string($0) }) }),
        ])
        return try await post("/v1/credits/grant", body, key: key)
    }

    func use(_ endUser: String, _ feature: String, _ units: Int64 = 1, key: String? = nil) async throws -> Answer {
        try await post(
            "/v1/usage",
            ["end_user_id": .string(endUser), "feature_key": .string(feature), "units": .integer(units)], key: key)
    }

    func check(_ endUser: String, _ feature: String, _ units: Int64 = 1) async throws -> Answer {
        try await get(
            "/v1/entitlements/check", [("end_user_id", endUser), ("feature_key", feature), ("units", "\(units)")])
    }

    func balance(_ endUser: String) async throws -> Answer {
        try await get("/v1/credits/balance", [("end_user_id", endUser)])
    }

    func blocks(_ endUser: String, status: String? = nil) async throws -> [JSONValue] {
        try await all("/v1/credits/blocks", [("end_user_id", endUser), ("status", status)])
    }

    /// The entries of an end user, oldest first.
    func ledger(_ endUser: String, type: String? = nil) async throws -> [JSONValue] {
        try await all("/v1/ledger", [("end_user_id", endUser), ("type", type), ("order", "asc")])
    }
}

/// An event of a batch.
func event(_ endUser: String, _ feature: String, _ units: Int64 = 1, key: String? = nil) -> JSONValue {
    .members([
        ("end_user_id", .string(endUser)), ("feature_key", .string(feature)), ("units", .integer(units)),
        ("idempotency_key", key.map { .string($0) }),
    ])
}
