import Credits
import Ledger
import Postgres

/// A row of `topup_requests`: a request to the tenant to top up an end user.
struct TopUpRequestRow: TableRow, Hashable, Sendable {
    let environmentID: EnvironmentID
    let accountID: AccountID
    let request: TopUpRequest

    static let table = "topup_requests"
    static let columns = [
        "environment_id", "account_id", "number", "credits", "package_key", "requested_at", "status", "answered_at",
    ]

    init(_ fields: inout RowFields, keeping old: TopUpRequestRow?) throws {
        environmentID = try fields.environmentID()
        accountID = try fields.accountID()
        let number = try fields.int32()
        let credits = try fields.amountOrNil()
        let packageKey = try fields.parsedOrNil("package_key") { PackageKey($0) }
        guard let amount = credits.map({ TopUp.Credits.amount($0) }) ?? packageKey.map({ TopUp.Credits.package($0) })
        else {
            throw StorageError.unknownValue(column: "credits")
        }
        request = TopUpRequest(
            number: number, amount: amount, requestedAt: try fields.instant(),
            status: try fields.parsed("status") { TopUpRequest.Status(rawValue: $0) },
            answeredAt: try fields.instantOrNil())
    }

    init(account: Account, request: TopUpRequest) {
        environmentID = account.environmentID
        accountID = account.id
        self.request = request
    }
}

extension BulkStatement<TopUpRequestRow> {
    /// The key of a request, and the columns that change when it ends.
    private static let state: [BulkColumn<TopUpRequestRow>] = [
        .int32("environment_id") { $0.environmentID.rawValue as Int32 },
        .int64("account_id") { $0.accountID.rawValue as Int64 },
        .int32("number") { $0.request.number as Int32 },
        .text("status") { $0.request.status.rawValue as String },
        .instant("answered_at") { $0.request.answeredAt },
    ]

    static let updateTopUpRequests = BulkStatement.update(
        "topup_requests", key: ["environment_id", "account_id", "number"], state)

    static let insertTopUpRequests = BulkStatement.insert(
        into: "topup_requests",
        state + [
            .int64("credits") { row in
                if case .amount(let credits) = row.request.amount { credits.rawValue as Int64? } else { nil }
            },
            .text("package_key") { row in
                if case .package(let key) = row.request.amount { key.rawValue as String? } else { nil }
            },
            .instant("requested_at") { $0.request.requestedAt as Instant },
        ])
}
