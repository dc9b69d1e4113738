import Catalogue
package import Credits
package import Metering

/// A spend cap to create.
package struct NewSpendCap: Hashable, Sendable {
    package var featureKey: FeatureKey?
    /// Zero or more.
    package var credits: Millicredits
    package var window: WindowLength

    package init(featureKey: FeatureKey? = nil, credits: Millicredits, window: WindowLength) {
        self.featureKey = featureKey
        self.credits = credits
        self.window = window
    }
}

extension SpendCap {
    /// The cap as the limit that counts and decides it.
    var limit: Limit { Limit(spending: credits, of: featureKey, in: window) }
}

extension NewSpendCap {
    var limit: Limit { Limit(spending: credits, of: featureKey, in: window) }
}

extension Limit {
    fileprivate init(spending credits: Millicredits, of feature: FeatureKey?, in window: WindowLength) {
        self.init(
            unit: .credits, amount: credits.rawValue, window: window, features: feature.map { [$0] } ?? [])
    }
}

extension AccountDraft {
    mutating func apply(_ new: NewSpendCap, _ context: ActionContext) throws(Refusal) -> Outcome {
        guard account.limits(context.catalogue).count < Limit.maximumCount else { throw .tooMany(.limits) }
        if let feature = new.featureKey, context.catalogue.activeFeature(feature) == nil {
            throw .unknownFeature(feature)
        }
        let cap = SpendCap(
            number: account.settings.capCount + 1, featureKey: new.featureKey, credits: new.credits,
            window: new.window, createdAt: context.now)
        account.settings.capCount = cap.number
        account.settings.caps.append(cap)
        if let applied = account.applied(cap: cap.number) { count(usageBefore: applied, context) }
        return .spendCapCreated(cap)
    }

    mutating func deleteSpendCap(_ number: Int32) throws(Refusal) -> Outcome {
        guard let index = account.settings.caps.firstIndex(where: { $0.number == number }) else {
            throw .unknownSpendCap(number)
        }
        if let applied = account.applied(cap: number) {
            let id = applied.counterID(value: nil)
            stopCounting { $0.counter == id }
            account.counters.remove(id)
        }
        account.settings.caps.remove(at: index)
        return .spendCapDeleted
    }
}
