package import Catalogue
package import Credits
package import Ledger

/// A request to move the live subscriptions of a variant.
package struct NewVariantMigration: Hashable, Sendable {
    /// The variant to whose latest version the subscriptions move; nil means the variant that they have.
    package var target: VariantName?
    package var timing: SubscriptionChange.Timing
    package var proration: SubscriptionChange.Proration

    package init(
        target: VariantName? = nil, timing: SubscriptionChange.Timing = .periodEnd,
        proration: SubscriptionChange.Proration = .credits
    ) {
        self.target = target
        self.timing = timing
        self.proration = proration
    }
}

/// A job that moves the live subscriptions of a variant, in all its versions, to one version of a variant.
///
/// A job from a variant to itself moves the subscriptions that have an earlier version than the target.
package struct VariantMigration: Hashable, Sendable {
    package let id: PublicID
    package let variantID: PublicID
    /// The version that was the latest when the job was made.
    package let target: VariantReference
    package let timing: SubscriptionChange.Timing
    package let proration: SubscriptionChange.Proration
    /// The subscriptions that there were to move when they were counted, and at the end those that were moved, skipped or
    /// failed. Nil until they are counted.
    package var total: Int64?
    package var progress = Progress()
    package let createdAt: Instant
    /// Nil while the job is running.
    package var finishedAt: Instant?

    /// The numbers of subscriptions whose commands are decided, by their outcome.
    package struct Progress: Hashable, Sendable {
        package var moved: Int64
        /// The subscriptions whose state allowed no change: past due, paused, scheduled, or ended meanwhile.
        package var skipped: Int64
        package var failed: Int64

        package init(moved: Int64 = 0, skipped: Int64 = 0, failed: Int64 = 0) {
            self.moved = moved
            self.skipped = skipped
            self.failed = failed
        }
    }

    package init(
        id: PublicID, variantID: PublicID, target: VariantReference, timing: SubscriptionChange.Timing,
        proration: SubscriptionChange.Proration, total: Int64? = nil, progress: Progress = Progress(),
        createdAt: Instant, finishedAt: Instant? = nil
    ) {
        self.id = id
        self.variantID = variantID
        self.target = target
        self.timing = timing
        self.proration = proration
        self.total = total
        self.progress = progress
        self.createdAt = createdAt
        self.finishedAt = finishedAt
    }

    /// The command that moves a subscription. Every repetition has the same id, so it changes nothing twice.
    ///
    /// The command is refused when the subscription has left the variant since the job found it.
    package func command(for subscription: MigratingSubscription) -> AccountCommand {
        let change = SubscriptionChange(
            variant: .id(target.id), version: target.version, source: variantID, timing: timing, proration: proration)
        return AccountCommand(
            identity: CommandIdentity(id: commandID(for: subscription.place), idempotencyKey: nil),
            endUserID: subscription.endUserID, action: .subscription(subscription.place.number, .change(change)))
    }

    /// The id of the command that moves a subscription.
    package func commandID(for place: SubscriptionPlace) -> Bits128 {
        let subscription = PublicID(.subscription, account: place.accountID, number: Int64(place.number))
        return Bits128(digestOf: Array("\(id)\n\(subscription)".utf8))
    }
}

/// The account of a subscription and its number in it. Places are ordered as their rows are.
package struct SubscriptionPlace: Hashable, Comparable, Sendable {
    package let accountID: AccountID
    package let number: Int32

    package init(accountID: AccountID, number: Int32) {
        self.accountID = accountID
        self.number = number
    }

    package static func < (left: SubscriptionPlace, right: SubscriptionPlace) -> Bool {
        (left.accountID, left.number) < (right.accountID, right.number)
    }
}

/// A subscription that a job moves, with the present id of its end user.
package struct MigratingSubscription: Hashable, Sendable {
    package let place: SubscriptionPlace
    package let endUserID: EndUserID

    package init(place: SubscriptionPlace, endUserID: EndUserID) {
        self.place = place
        self.endUserID = endUserID
    }
}

/// The live subscriptions that have one version of a variant and one status.
package struct SubscriptionsInUse: Hashable, Sendable {
    package let version: Int32
    package let status: SubscriptionStatus
    package let count: Int64

    package init(version: Int32, status: SubscriptionStatus, count: Int64) {
        self.version = version
        self.status = status
        self.count = count
    }
}
