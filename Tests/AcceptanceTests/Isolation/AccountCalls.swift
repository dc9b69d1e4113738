import API
import Catalogue
import Credits
import JSON

extension EndpointCall {
    /// Calls about the credits of an end user who does not exist in the stranger's environment. None of them creates
    /// the end user.
    static let ofAccounts: [EndpointCall] = [
        .call("POST", "/v1/topups", .write(.credits), ["end_user_id": "alice", "package_key": "secret-other"], 404),
        .call("POST", "/v1/credits/refund", .write(.credits), 404) {
            ["end_user_id": "alice", "usage_id": .string($0.usageID)]
        },
        .call("POST", "/v1/credits/revoke", .write(.credits), 404) { ["block_id": .string($0.blockID)] },
        .call("POST", "/v1/credits/adjust", .write(.credits), ["end_user_id": "alice", "amount": -1], 402),
        .call(
            "POST", "/v1/credits/transfer", .write(.credits),
            ["from_end_user_id": "alice", "to_end_user_id": "bob", "credits": 1], 402),
        .call("GET", "/v1/ledger/export", .read(.credits), 404) { _ in "/v1/ledger/export?end_user_id=alice" },
        // A stream of the owner's would not end; `LedgerStreamTests` reads it with another environment's key.
        .call("GET", "/v1/ledger/stream", .read(.credits), 404) { _ in "/v1/ledger/stream?end_user_id=nobody" },
        .call("GET", "/v1/ledger/explain", .read(.credits), 404) { _ in
            "/v1/ledger/explain?end_user_id=alice&feature_key=secret-other"
        },

        .call(
            "POST", "/v1/reservations", .write(.reservations),
            ["end_user_id": "alice", "feature_key": "secret-other", "units": 1], 404),
        .call("GET", "/v1/reservations", .read(.reservations), 404) { _ in "/v1/reservations?end_user_id=alice" },
        .call("GET", "/v1/reservations/{id}", .read(.reservations), 404) { "/v1/reservations/\($0.reservationID)" },
        .call("POST", "/v1/reservations/{id}/commit", .write(.reservations), ["units": 1], 404) {
            "/v1/reservations/\($0.reservationID)/commit"
        },
        .call(
            "POST", "/v1/subscriptions", .write(.subscriptions),
            ["end_user_id": "alice", "plan_variant_id": "secret-variant"], 404),
        .call("GET", "/v1/subscriptions", .read(.subscriptions), 404) { _ in "/v1/subscriptions?end_user_id=alice" },
        .call("GET", "/v1/subscriptions/{id}", .read(.subscriptions), 404) {
            "/v1/subscriptions/\($0.subscriptionID)"
        },
        .call("GET", "/v1/subscriptions/{id}/preview", .read(.subscriptions), 404) {
            "/v1/subscriptions/\($0.subscriptionID)/preview?quantity=2"
        },
        .call("GET", "/v1/subscriptions/{id}/upcoming", .read(.subscriptions), 404) {
            "/v1/subscriptions/\($0.subscriptionID)/upcoming"
        },
        .call("POST", "/v1/subscriptions/{id}/renew", .write(.subscriptions), [:], 404) {
            "/v1/subscriptions/\($0.subscriptionID)/renew"
        },
        .call(
            "POST", "/v1/subscriptions/{id}/upgrade", .write(.subscriptions), ["plan_variant_id": "secret-variant"], 404
        ) { "/v1/subscriptions/\($0.subscriptionID)/upgrade" },
        .call(
            "POST", "/v1/subscriptions/{id}/downgrade", .write(.subscriptions), ["plan_variant_id": "secret-variant"],
            404
        ) { "/v1/subscriptions/\($0.subscriptionID)/downgrade" },
        .call("POST", "/v1/subscriptions/{id}/quantity", .write(.subscriptions), ["quantity": 2], 404) {
            "/v1/subscriptions/\($0.subscriptionID)/quantity"
        },
        .call("POST", "/v1/subscriptions/{id}/pause", .write(.subscriptions), [:], 404) {
            "/v1/subscriptions/\($0.subscriptionID)/pause"
        },
        .call("POST", "/v1/subscriptions/{id}/resume", .write(.subscriptions), [:], 404) {
            "/v1/subscriptions/\($0.subscriptionID)/resume"
        },
        .call("POST", "/v1/subscriptions/{id}/cancel", .write(.subscriptions), [:], 404) {
            "/v1/subscriptions/\($0.subscriptionID)/cancel"
        },
        .call("POST", "/v1/subscriptions/{id}/uncancel", .write(.subscriptions), [:], 404) {
            "/v1/subscriptions/\($0.subscriptionID)/uncancel"
        },
        .call("DELETE", "/v1/subscriptions/{id}/pending-change", .write(.subscriptions), 404) {
            "/v1/subscriptions/\($0.subscriptionID)/pending-change"
        },
        .call("GET", "/v1/events", .read(.webhooks), 404) { "/v1/events?after=\($0.eventID)" },
        .call("POST", "/v1/reservations/{id}/release", .write(.reservations), [:], 404) {
            "/v1/reservations/\($0.reservationID)/release"
        },
        .call("POST", "/v1/reservations/{id}/extend", .write(.reservations), ["ttl_seconds": 9], 404) {
            "/v1/reservations/\($0.reservationID)/extend"
        },
        .call("POST", "/v1/reservations/{id}/progress", .write(.reservations), ["units": 1], 404) {
            "/v1/reservations/\($0.reservationID)/progress"
        },

        .call(
            "POST", "/v1/spend-caps", .write(.entitlements),
            ["end_user_id": "alice", "feature_key": "secret-other", "credits": 1, "window": "day"], 404),
        .call("GET", "/v1/spend-caps", .read(.entitlements), 404) { _ in "/v1/spend-caps?end_user_id=alice" },
        .call("GET", "/v1/spend-caps/{id}", .read(.entitlements), 404) { "/v1/spend-caps/\($0.capID)" },
        .call("DELETE", "/v1/spend-caps/{id}", .write(.entitlements), 404) { "/v1/spend-caps/\($0.capID)" },
        .call("GET", "/v1/end-users/{id}/limits", .read(.entitlements), 404) { _ in "/v1/end-users/alice/limits" },
        .call("GET", "/v1/end-users/{id}/limits/{key}", .read(.entitlements), 404) { _ in
            "/v1/end-users/alice/limits/five"
        },
        .call(
            "PUT", "/v1/end-users/{id}/limits/{key}", .write(.entitlements),
            ["unit": "units", "limit": 1, "window": "day", "feature_keys": ["secret-other"]], 404
        ) { _ in "/v1/end-users/alice/limits/five" },
        .call("DELETE", "/v1/end-users/{id}/limits/{key}", .write(.entitlements), 404) { _ in
            "/v1/end-users/alice/limits/five"
        },
        .call("GET", "/v1/end-users/{id}/auto-topup", .read(.credits), 404) { _ in "/v1/end-users/alice/auto-topup" },
        .call(
            "PUT", "/v1/end-users/{id}/auto-topup", .write(.credits),
            ["threshold": 1, "package_key": "secret-other"], 404
        ) { _ in "/v1/end-users/alice/auto-topup" },
        .call("DELETE", "/v1/end-users/{id}/auto-topup", .write(.credits), 404) { _ in
            "/v1/end-users/alice/auto-topup"
        },
        .call("POST", "/v1/auto-topups/{id}/failed", .write(.credits), ["reason": "declined"], 404) {
            "/v1/auto-topups/\($0.topUpRequestID)/failed"
        },
        .call("GET", "/v1/entitlements", .read(.entitlements), 200) { _ in "/v1/entitlements?end_user_id=alice" },
        .call(
            "POST", "/v1/entitlements/check-batch", .read(.entitlements),
            ["checks": [["end_user_id": "alice", "feature_key": "secret-other"]]], 200),
        .call("GET", "/v1/usage", .read(.usage), 404) { _ in "/v1/usage?end_user_id=alice" },
    ]

    /// A call whose body contains the owner's ids.
    private static func call(
        _ method: String, _ path: String, _ scope: KeyScopes, _ stranger: Int,
        bodyOf: @escaping @Sendable (Property) -> JSONValue
    ) -> EndpointCall {
        EndpointCall(
            endpoint: Endpoint(method: method, path: path, access: .scope(scope)), target: { _ in path }, body: nil,
            bodyOf: bodyOf, stranger: stranger)
    }
}
