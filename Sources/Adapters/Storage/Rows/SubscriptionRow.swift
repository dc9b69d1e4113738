import Catalogue
package import Credits
package import Ledger
package import Postgres

/// A row of `subscriptions`, live or ended.
package struct SubscriptionRow: TableRow, Sendable {
    package let environmentID: EnvironmentID
    package let accountID: AccountID
    package let subscription: Subscription

    package static let table = "subscriptions"
    package static let columns = [
        "environment_id", "account_id", "number", "status", "slot", "plan_id", "variant_id", "variant_version",
        "quantity", "state", "created_at", "ended_at", "metadata",
    ]

    package static let unreplicatedColumns: Set = ["metadata"]

    package init(_ fields: inout RowFields, keeping old: SubscriptionRow?) throws {
        environmentID = try fields.environmentID(or: old?.environmentID)
        accountID = try fields.accountID(or: old?.accountID)
        let before = old?.subscription
        let number = try fields.int32(or: before?.number)
        let status = try fields.parsed("status", or: before?.status) { SubscriptionStatus(rawValue: $0) }
        let slot = try fields.parsed("slot", or: before?.slot) { PlanSlot($0) }
        let planID = PublicID(.plan, try fields.bits(or: before?.planID.bits))
        let variantID = PublicID(.planVariant, try fields.bits(or: before?.variant.id.bits))
        let version = try fields.int32(or: before?.variant.version)
        let quantity = try fields.int32(or: before?.quantity)
        let state = try fields.parsed("state", or: before?.storedState) { $0 }
        let createdAt = try fields.instant(or: before?.createdAt)
        let endedAt = try fields.instantOrNil(or: before.map(\.endedAt))
        subscription = try Subscription(
            number: number, planID: planID, slot: slot,
            variant: VariantReference(id: variantID, version: version), quantity: quantity, status: status,
            storedState: state, createdAt: createdAt, endedAt: endedAt,
            metadata: try fields.metadata(or: before.map(\.metadata)))
    }

    package init(environmentID: EnvironmentID, accountID: AccountID, subscription: Subscription) {
        self.environmentID = environmentID
        self.accountID = accountID
        self.subscription = subscription
    }
}

extension BulkStatement<SubscriptionRow> {
    /// The key of a subscription, and the columns that change during its life.
    private static let state: [BulkColumn<SubscriptionRow>] = [
        .int32("environment_id") { $0.environmentID.rawValue as Int32 },
        .int64("account_id") { $0.accountID.rawValue as Int64 },
        .int32("number") { $0.subscription.number as Int32 },
        .text("status") { $0.subscription.status.rawValue as String },
        .bits("variant_id") { $0.subscription.variant.id.bits as Bits128 },
        .int32("variant_version") { $0.subscription.variant.version as Int32 },
        .int32("quantity") { $0.subscription.quantity as Int32 },
        .text("state") { $0.subscription.storedState as String },
        .instant("ended_at") { $0.subscription.endedAt },
        .text("metadata") { $0.subscription.metadata?.canonicalJSON },
    ]

    static let updateSubscriptions = BulkStatement.update(
        "subscriptions", key: ["environment_id", "account_id", "number"], state)

    static let insertSubscriptions = BulkStatement.insert(
        into: "subscriptions",
        state + [
            .text("slot") { $0.subscription.slot.rawValue as String },
            .bits("plan_id") { $0.subscription.planID.bits as Bits128 },
            .instant("created_at") { $0.subscription.createdAt as Instant },
        ])
}
