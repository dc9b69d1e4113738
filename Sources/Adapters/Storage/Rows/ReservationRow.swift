package import Credits
package import Ledger
package import Postgres

/// A row of `reservations`, active or ended.
package struct ReservationRow: TableRow, Sendable {
    package let environmentID: EnvironmentID
    package let accountID: AccountID
    package let reservation: Reservation

    package static let table = "reservations"
    package static let columns = [
        "environment_id", "account_id", "number", "feature_key", "status", "rule_id", "estimate", "estimated_cost",
        "hold_blocks", "hold_amounts", "uncovered", "watermark", "charged", "carried", "expires_at", "created_at",
        "finished_at", "counts", "metadata", "parts",
    ]

    package static let unreplicatedColumns: Set = ["carried", "finished_at", "metadata"]

    package init(_ fields: inout RowFields, keeping old: ReservationRow?) throws {
        environmentID = try fields.environmentID(or: old?.environmentID)
        accountID = try fields.accountID(or: old?.accountID)
        let before = old?.reservation
        let number = try fields.int32(or: before?.number)
        let only = before.flatMap { $0.parts.count == 1 ? $0.parts[0] : nil }
        let featureKey = try fields.featureKey(or: before?.parts[0].featureKey)
        let status = try fields.parsed("status", or: before?.status) { ReservationStatus(rawValue: $0) }
        let ruleID = try fields.bitsOrNil(or: before.map { _ in only?.ruleID?.bits }).map { PublicID(.rule, $0) }
        let estimate = try fields.parsed("estimate", or: before?.estimate) { try Demand(storedJSON: $0) }
        let estimatedCost = try fields.amount(or: before?.estimatedCost)
        let holdBlocks = try fields.int32s(or: before?.holds.map(\.block))
        let holdAmounts = try fields.int64s(or: before?.holds.map(\.amount))
        let uncovered = try fields.amount(or: before?.uncovered)
        let watermark = try fields.parsedOrNil("watermark", or: before.map { _ in only?.watermark }) {
            try Demand(storedJSON: $0)
        }
        let charged = try fields.amount(or: before?.charged)
        let carried =
            try fields.parsedOrNil("carried", or: before.map { _ in only?.carried }) {
                try [String: Int64](storedJSON: $0)
            } ?? [:]
        let expiresAt = try fields.instant(or: before?.expiresAt)
        let createdAt = try fields.instant(or: before?.createdAt)
        let finishedAt = try fields.instantOrNil(or: before.map(\.finishedAt))
        let counts =
            try fields.parsedOrNil("counts", or: before.map { .some($0.counts) }) {
                try [ReservationCount](storedJSON: $0)
            } ?? []
        let metadata = try fields.metadata(or: before.map(\.metadata))
        let parts = try fields.parsedOrNil("parts", or: before.map { $0.parts.count == 1 ? nil : $0.parts }) {
            try [JobPart](storedJSON: $0)
        }
        reservation = Reservation(
            number: number,
            parts: parts ?? [
                JobPart(
                    featureKey: featureKey, ruleID: ruleID, watermark: watermark, charged: charged, carried: carried)
            ], estimate: estimate, estimatedCost: estimatedCost, status: status,
            holds: zip(holdBlocks, holdAmounts).map { Allocation(block: $0, amount: $1) }, uncovered: uncovered,
            expiresAt: expiresAt, createdAt: createdAt, finishedAt: finishedAt, counts: counts, metadata: metadata)
    }

    package init(environmentID: EnvironmentID, accountID: AccountID, reservation: Reservation) {
        self.environmentID = environmentID
        self.accountID = accountID
        self.reservation = reservation
    }
}

extension Reservation {
    /// The part of a reservation of one feature, which has columns of its own.
    fileprivate var only: JobPart? { parts.count == 1 ? parts[0] : nil }

    /// The parts of a reservation over several features; nil for one.
    var storedParts: String? { parts.count == 1 ? nil : parts.storedJSON }
}

extension BulkStatement<ReservationRow> {
    /// The key of a reservation, and the columns that change during its life.
    private static let state: [BulkColumn<ReservationRow>] = [
        .int32("environment_id") { $0.environmentID.rawValue as Int32 },
        .int64("account_id") { $0.accountID.rawValue as Int64 },
        .int32("number") { $0.reservation.number as Int32 },
        .text("status") { $0.reservation.status.rawValue as String },
        .int32List("hold_blocks") { $0.reservation.holds.map(\.block) },
        .int64List("hold_amounts") { $0.reservation.holds.map(\.amount) },
        .int64("held") { $0.reservation.held as Int64 },
        .amount("uncovered") { $0.reservation.uncovered },
        .text("watermark") { $0.reservation.only?.watermark?.storedJSON },
        .amount("charged") { $0.reservation.charged },
        .text("carried") { $0.reservation.only?.carried.storedJSON },
        .instant("expires_at") { $0.reservation.expiresAt as Instant },
        .instant("finished_at") { $0.reservation.finishedAt },
        .text("counts") { $0.reservation.counts.storedJSON },
        .text("parts") { $0.reservation.storedParts },
    ]

    static let updateReservations = BulkStatement.update(
        "reservations", key: ["environment_id", "account_id", "number"], state)

    static let insertReservations = BulkStatement.insert(
        into: "reservations",
        state + [
            .text("feature_key") { $0.reservation.parts[0].featureKey.rawValue as String },
            .bits("rule_id") { $0.reservation.only?.ruleID?.bits },
            .text("estimate") { $0.reservation.estimate.storedJSON as String },
            .amount("estimated_cost") { $0.reservation.estimatedCost },
            .instant("created_at") { $0.reservation.createdAt as Instant },
            .text("metadata") { $0.reservation.metadata?.canonicalJSON },
        ])
}
