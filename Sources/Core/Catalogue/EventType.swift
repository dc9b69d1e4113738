/// The type of an event of an account, by its public name. `EVENTS.md` describes each type and its data.
package enum EventType: String, Sendable, CaseIterable {
    case creditsGranted = "credits.granted"
    case creditsUsed = "credits.used"
    case creditsExpiringSoon = "credits.expiring_soon"
    case creditsExpired = "credits.expired"
    case creditsRefunded = "credits.refunded"
    case creditsRevoked = "credits.revoked"
    case balanceLow = "balance.low"
    case balanceDepleted = "balance.depleted"
    case balanceRecovered = "balance.recovered"
    case overageStarted = "overage.started"
    case overageSettled = "overage.settled"
    case reservationCreated = "reservation.created"
    case reservationCommitted = "reservation.committed"
    case reservationReleased = "reservation.released"
    case reservationExpired = "reservation.expired"
    case quotaExhausted = "quota.exhausted"
    case quotaReset = "quota.reset"
    case spendCapReached = "spend_cap.reached"
    case limitWarning = "limit.warning"
    case topUpRequested = "topup.requested"
    case topUpFailed = "topup.failed"
    case topUpSuspended = "topup.suspended"
    case subscriptionCreated = "subscription.created"
    case subscriptionTrialEnding = "subscription.trial_ending"
    case subscriptionActivated = "subscription.activated"
    case subscriptionRenewalDue = "subscription.renewal_due"
    case subscriptionRenewed = "subscription.renewed"
    case subscriptionPastDue = "subscription.past_due"
    case subscriptionPaused = "subscription.paused"
    case subscriptionResumed = "subscription.resumed"
    case subscriptionChanged = "subscription.changed"
    case subscriptionCanceled = "subscription.canceled"
    case subscriptionExpired = "subscription.expired"
    case subscriptionFallbackStarted = "subscription.fallback_started"
    case contractEndingSoon = "contract.ending_soon"
    case contractEnded = "contract.ended"
    case endUserErased = "end_user.erased"
}

/// A set of event types. Membership is one test of a bit, because it is asked for every entry.
package struct EventTypes: Hashable, Sendable {
    private var bits: UInt64

    package init(_ types: some Sequence<EventType>) {
        bits = types.reduce(0) { $0 | $1.bit }
    }

    package static let none = EventTypes([])
    /// The types that an environment records unless its configuration names others: all but `credits.used`, which would
    /// add an event to every usage.
    package static let usual = EventTypes(EventType.allCases.filter { $0 != .creditsUsed })

    /// The types of subscriptions and their contracts.
    package static let ofSubscriptions = EventTypes(
        EventType.allCases.filter { $0.rawValue.hasPrefix("subscription.") || $0.rawValue.hasPrefix("contract.") })

    package func contains(_ type: EventType) -> Bool { bits & type.bit != 0 }

    /// Whether the sets have a type in common.
    package func intersects(_ others: EventTypes) -> Bool { bits & others.bits != 0 }

    /// The public names with commas between them, as they are stored. A name that this release does not know is left out.
    package init(names: String) {
        self.init(names.split(separator: ",").compactMap { EventType(rawValue: String($0)) })
    }

    package var names: String { types.map(\.rawValue).joined(separator: ",") }

    /// The types in the order of `EventType.allCases`.
    package var types: [EventType] { EventType.allCases.filter(contains) }
}

extension EventType {
    /// There are fewer than 64 types; the test of the catalogue of events would trap otherwise.
    fileprivate var bit: UInt64 { 1 << UInt64(Self.places[self] ?? 63) }

    private static let places = Dictionary(uniqueKeysWithValues: allCases.enumerated().map { ($0.element, $0.offset) })
}
