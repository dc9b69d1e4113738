package import Catalogue
package import Credits
import Metering

/// The derivation of an account's sums at an instant.
package struct LedgerExplanation: Sendable {
    package let account: AccountName
    package let asOf: Instant
    /// The sums, with the frozen credits.
    package let standing: PastStanding
    /// The blocks with remaining credits, in burn order.
    package let blocks: [BlockHistory]
    package let holds: [HoldHistory]
    /// The subscriptions that were live at `asOf`.
    private let subscriptions: [Subscription]
    /// The blocks of subscriptions that permitted no use, by number.
    private let frozenBlocks: Set<Int32>

    /// - Parameters:
    ///   - standing: The sums of the entries, without frozen credits.
    ///   - blocks: In any order; blocks without remaining credits may be included.
    ///   - subscriptions: As they are stored; those that were not live at `asOf` may be included.
    package init(
        account: AccountName, asOf: Instant, standing: PastStanding, blocks: [BlockHistory], holds: [HoldHistory],
        subscriptions: [Subscription]
    ) {
        self.account = account
        self.asOf = asOf
        let open = blocks.filter { $0.remaining > 0 }.sorted { $0.granted.block.place < $1.granted.block.place }
        self.blocks = open
        self.holds = holds
        self.subscriptions = subscriptions.compactMap { $0.standing(at: asOf) }
        let denying = self.subscriptions.filter(\.deniesUsage).map(\.number)
        let frozen = denying.isEmpty ? [] : open.filter { $0.granted.block.isFrom(denying) }
        frozenBlocks = Set(frozen.map(\.granted.block.number))
        self.standing = standing.freezing(frozen.reduce(0) { $0 + $1.available })
    }

    /// Whether the credits of a block could not be spent because of the state of its subscription.
    package func isFrozen(_ history: BlockHistory) -> Bool { frozenBlocks.contains(history.granted.block.number) }

    /// The account at `asOf`, as input of `Entitlement.decide`. Its counters are empty, because past counts are not
    /// kept.
    package func account(environmentID: EnvironmentID, settings: AccountSettings) throws(AmountOutOfRange) -> Account {
        var open: [Block] = []
        for history in blocks {
            let block = history.granted.block
            open.append(
                Block(
                    number: block.number, original: block.original, remaining: try Millicredits(history.remaining),
                    held: try Millicredits(history.held), priority: block.priority, expiresAt: block.expiresAt,
                    isPaid: block.isPaid, featureSet: block.featureSet, since: block.since,
                    startsLater: block.startsLater, origin: block.origin, endsWithPeriod: block.endsWithPeriod))
        }
        return Account(
            id: account.id, environmentID: environmentID, endUserID: account.endUserID, version: standing.version,
            revision: 0,
            sums: AccountSums(
                balance: try Millicredits(standing.balances.balance),
                reserved: try Millicredits(standing.balances.reserved), overage: try Millicredits(standing.overage),
                lifetimeGranted: try Millicredits(standing.lifetimeGranted)), advancedTo: asOf, blocks: BlockList(open),
            subscriptions: OrderedList(subscriptions), settings: settings)
    }
}

/// The derivation of an entitlement.
package struct ExplainedEntitlement: Sendable {
    /// One of the comparisons that decide a use, in their order.
    package struct Comparison: Sendable {
        /// The denial that follows if the comparison does not hold.
        package let reason: Denial
        package let holds: Bool
        package fileprivate(set) var required: Int64?
        package fileprivate(set) var available: Int64?
        package fileprivate(set) var limit: LimitState?
    }

    package let feature: FeatureKey
    package let units: Int64
    package let account: Account
    package let rule: MeteringRule?
    /// Nil if the rule cannot price units, or if an amount would be out of range.
    package let entitlement: Entitlement?
    package let isPast: Bool

    /// - Parameters:
    ///   - account: The account at `instant`.
    ///   - isPast: True if the account's counters are unknown.
    package init(
        of feature: FeatureKey, units: Int64, account: Account, catalogue: Catalogue, at instant: Instant, isPast: Bool
    ) {
        self.feature = feature
        self.units = units
        self.account = account
        self.isPast = isPast
        rule = account.rule(for: feature, at: instant, catalogue)
        var decided = try? Entitlement.decide(
            account: account, catalogue: catalogue,
            request: EntitlementRequest(feature: feature, demand: .measured(.units(units), .none)), now: instant)
        if isPast {
            decided?.limits = []
        }
        entitlement = decided
    }

    /// The comparisons that were made; the deciding one is last.
    package var comparisons: [Comparison] {
        guard let entitlement else { return [] }
        let cost = entitlement.cost?.rawValue
        var made: [Comparison] = []
        for reason in Denial.allCases {
            let holds = entitlement.denial != reason
            var comparison = Comparison(reason: reason, holds: holds)
            switch reason {
            case .unknownFeature, .featureNotInPlan, .featureNotPriced, .subscriptionPaused, .subscriptionPastDue:
                made.append(comparison)
            case .quotaExceeded:
                if let number = entitlement.limit {
                    (comparison.required, comparison.available) = (units, number)
                    made.append(comparison)
                }
                for state in entitlement.limits where state.limit.unit == .units {
                    let required = Demand.measured(.units(units), .none).units(in: state.limit.dimension)
                    made.append(
                        Comparison(
                            reason: reason, holds: required <= state.remaining, required: required,
                            available: state.remaining, limit: state))
                }
            case .spendCapReached:
                for state in entitlement.limits where state.limit.unit == .credits {
                    made.append(
                        Comparison(
                            reason: reason, holds: cost ?? 0 <= state.remaining, required: cost,
                            available: state.remaining, limit: state))
                }
            case .insufficientCredits:
                guard let cost else { continue }
                var available = entitlement.spendable
                if entitlement.overage.isAllowed {
                    let room = entitlement.overage.room(beyond: account.overage.rawValue) ?? Millicredits.limit
                    available = min(available + room, Millicredits.limit)
                }
                (comparison.required, comparison.available) = (cost, available)
                made.append(comparison)
            }
            if !holds { break }
        }
        return made
    }
}
