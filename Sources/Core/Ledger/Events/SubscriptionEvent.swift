import Catalogue
package import Credits
import JSON

/// The data of an event of a subscription: the subscription as it was then, and what only some events tell.
package struct SubscriptionEvent: Hashable, Sendable {
    package let subscription: Subscription
    package let details: Details

    package struct Details: Hashable, Sendable {
        /// The usage in the period of a postpaid subscription that has ended.
        package var summary: UsageSummary?
        /// The number of the subscription that a fallback takes the place of.
        package var endedSubscription: Int32?

        package init(summary: UsageSummary? = nil, endedSubscription: Int32? = nil) {
            self.summary = summary
            self.endedSubscription = endedSubscription
        }

        package static let none = Details()
    }

    package init(_ subscription: Subscription, _ details: Details = .none) {
        self.subscription = subscription
        self.details = details
    }
}

/// The usage that a tenant bills at the end of a postpaid period.
package struct UsageSummary: Hashable, Sendable {
    package let period: TimeWindow
    /// The usage that was applied in the period, one total for each feature.
    package let usage: [UsageTotal]
    /// The overage that the end of the period has set back, in millicredits.
    package let settledOverage: Int64

    package init(period: TimeWindow, usage: [UsageTotal], settledOverage: Int64) {
        self.period = period
        self.usage = usage
        self.settledOverage = settledOverage
    }
}

extension SubscriptionEvent {
    func data(of account: AccountID) -> JSONValue {
        func id(_ number: Int32) -> JSONValue {
            .string(PublicID(.subscription, account: account, number: Int64(number)).description)
        }
        func text(_ instant: Instant?) -> JSONValue { instant.map { .string($0.description) } ?? .null }
        var members: [(key: String, value: JSONValue)] = [
            ("subscription_id", id(subscription.number)), ("plan_id", .string(subscription.planID.description)),
            ("plan_variant_id", .string(subscription.variant.id.description)),
            ("slot", .string(subscription.slot.rawValue)), ("quantity", .integer(Int64(subscription.quantity))),
            ("status", .string(subscription.status.rawValue)),
            ("period_index", .integer(Int64(subscription.periodIndex))),
            ("current_period_start", text(subscription.period.start)),
            ("current_period_end", text(subscription.period.end)), ("trial_ends_at", text(subscription.trialEndsAt)),
            ("grace_ends_at", text(subscription.graceEndsAt)),
            ("cancel_at_period_end", .bool(subscription.cancelsAtPeriodEnd)),
        ]
        if let ended = details.endedSubscription { members.append(("ended_subscription_id", id(ended))) }
        if let summary = details.summary { members.append(("usage_summary", summary.json)) }
        return .object(JSONObject(members: members))
    }
}

extension UsageSummary {
    fileprivate var json: JSONValue {
        let features = usage.map { total -> JSONValue in
            var key: JSONValue = .null
            if case .feature(let feature?) = total.group { key = .string(feature.rawValue) }
            return .object(["feature_key": key, "units": .integer(total.units), "cost": .integer(total.cost)])
        }
        return .object([
            "from": .string(period.start.description), "to": .string(period.end.description),
            "features": .array(features),
            "cost": .integer(usage.reduce(0) { $0.addingSaturated($1.cost) }),
            "settled_overage": .integer(settledOverage),
        ])
    }
}
