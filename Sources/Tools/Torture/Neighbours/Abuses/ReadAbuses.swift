import Credits

/// Abuses of reads over a large account's history.
extension Abuse {
    static let reads: [Abuse] = [
        reading("explain-flood", "An explanation folds the account's entries.", "/v1/ledger/explain?end_user_id=deep"),
        reading(
            "usage-totals-flood", "Totals by day add up the account's uses.",
            "/v1/usage?end_user_id=deep&feature_key=calls&group_by=day"),
        reading(
            "balance-at-flood", "A balance at a past instant folds the entries up to it.",
            "/v1/credits/balance?end_user_id=deep&at="),
        reading("export-flood", "An export reads the whole ledger.", "/v1/ledger/export"),
        reading(
            "ledger-flood", "A filter without matches scans the account's entries.",
            "/v1/ledger?end_user_id=deep&type=refund"),
        reading("audit-flood", "A filter without matches scans the audit log.", "/v1/audit-log?action=api_key.revoke"),
        Abuse("check-batch-flood", "A batch of 1,000 checks on one heavy account is long work between two awaits.") {
            abuser in
            try await abuser.fillWithBlocks("heavy", features: 100)
            let request = abuser.call(
                "POST", "/v1/entitlements/check-batch", Abuser.list("checks", 1_000, of: event("heavy")))
            return abuser.flood(16) { _ in request }
        },
    ]

    /// A flood of one read on an account of 20,000 entries.
    ///
    /// - Parameter path: The path and query. An instant after the last entry completes a query that ends with `=`.
    private static func reading(_ name: String, _ reason: String, _ path: String) -> Abuse {
        Abuse(name, reason) { abuser in
            try await abuser.sell()
            try await abuser.useOften("deep", times: 20_000)
            let request = abuser.call("GET", path + (path.hasSuffix("=") ? Instant.now.description : ""))
            return abuser.flood(24) { _ in request }
        }
    }
}
