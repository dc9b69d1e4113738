package import Catalogue
import Credits

// A postpaid period ends with a summary of its usage. The usage is counted while it happens, in counters of the account, so
// that the end of a period costs the features of the catalogue, however much was used. What is applied in a period is of
// that period, whenever it occurred: a summary that was told never changes.

extension Account {
    /// The subscription whose summary has the usage of now: the first postpaid one by slot that has started; nil without one.
    private func billedSubscription(_ catalogue: Catalogue) -> Subscription? {
        guard !subscriptions.isEmpty else { return nil }
        return inSlotOrder.first {
            $0.status != .scheduled && catalogue.variant($0.variant)?.terms.billingMode == .postpaid
        }
    }

    /// Counts usage for the summary of the open period. Credits that a job gives back reduce the cost.
    mutating func bill(_ feature: FeatureKey, units: Int64, cost: Int64, _ catalogue: Catalogue) {
        guard let subscription = billedSubscription(catalogue) else { return }
        for (measure, amount) in [(BilledMeasure.units, units), (.cost, cost)] where amount != 0 {
            let id = UsageCounters.billed(measure, of: feature, subscription.number)
            let used = billed(id, of: subscription)
            counters.set(
                id,
                WindowCounter(
                    window: TimeWindow(start: subscription.period.start, end: .latest),
                    used: max(0, used.addingSaturated(amount))))
        }
    }

    /// The usage that a counter has counted in the open period. A period that was prepaid at its end leaves its counters behind.
    private func billed(_ id: CounterID, of subscription: Subscription) -> Int64 {
        guard let counter = counters[id], counter.window.start == subscription.period.start else { return 0 }
        return counter.used
    }

    /// The usage that was counted for a subscription's summary, one total for each feature, by key. The counters begin anew.
    mutating func takeBilledUsage(of subscription: Subscription, _ catalogue: Catalogue) -> [UsageTotal] {
        catalogue.features.keys.sorted().compactMap { feature in
            let ids = BilledMeasure.allCases.map { UsageCounters.billed($0, of: feature, subscription.number) }
            let (units, cost) = (billed(ids[0], of: subscription), billed(ids[1], of: subscription))
            for id in ids { counters.remove(id) }
            guard units > 0 || cost > 0 else { return nil }
            return UsageTotal(.feature(feature), charges: 0, units: units, cost: cost)
        }
    }

    /// The counters that an event of some features changes for a summary.
    func billedCounterIDs(_ features: [FeatureKey], _ catalogue: Catalogue) -> [CounterID] {
        guard let subscription = billedSubscription(catalogue) else { return [] }
        return features.flatMap { feature in
            BilledMeasure.allCases.map { UsageCounters.billed($0, of: feature, subscription.number) }
        }
    }

    /// The counters of the summaries of all live postpaid subscriptions. Costs the features of the catalogue.
    package func billedCounterIDs(_ catalogue: Catalogue) -> [CounterID] {
        subscriptions.filter(\.isPostpaid).flatMap { subscription in
            catalogue.features.keys.flatMap { feature in
                BilledMeasure.allCases.map { UsageCounters.billed($0, of: feature, subscription.number) }
            }
        }
    }

    /// The counters of the summaries of postpaid periods that end by an instant, or by an action.
    func billedCounterIDs(endingBy now: Instant, by action: AccountAction, _ catalogue: Catalogue) -> [CounterID] {
        subscriptions.flatMap { subscription -> [CounterID] in
            let end = subscription.pause.map(\.until) ?? subscription.period.end
            var ends = end.map { $0 <= now } ?? false
            if case .subscription(subscription.number, let action) = action { ends = ends || action.mayEndPeriod }
            if action == .eraseEndUser { ends = true }
            guard ends, catalogue.variant(subscription.variant)?.terms.billingMode == .postpaid else { return [] }
            return catalogue.features.keys.flatMap { feature in
                BilledMeasure.allCases.map { UsageCounters.billed($0, of: feature, subscription.number) }
            }
        }
    }
}

extension SubscriptionAction {
    /// Whether the action can end the open period at once.
    fileprivate var mayEndPeriod: Bool {
        switch self {
        case .renew, .change, .cancel, .resume: true
        case .withdrawChange, .pause, .uncancel: false
        }
    }
}

private enum BilledMeasure: String, CaseIterable {
    case units, cost
}

extension UsageCounters {
    /// The counter of the usage of a feature in the open period of a postpaid subscription.
    fileprivate static func billed(
        _ measure: BilledMeasure, of feature: FeatureKey, _ subscription: Int32
    ) -> CounterID {
        CounterID(["billed", measure.rawValue, feature.rawValue, "\(subscription)"])
    }
}
