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

extension AccountDraft {
    mutating func apply(_ new: NewSpendCap, _ context: ActionContext) throws(Refusal) -> Outcome {
        guard account.settings.caps.count < SpendCap.maximumCount else { throw .tooMany(.spendCaps) }
        if let feature = new.featureKey, context.catalogue.activeFeature(feature) == nil {
            throw .unknownFeature(feature)
        }
        let cap = SpendCap(
            number: account.settings.capCount + 1, featureKey: new.featureKey, credits: new.credits,
            window: new.window, createdAt: context.now)
        account.settings.capCount = cap.number
        account.settings.caps.append(cap)
        return .spendCapCreated(cap)
    }

    mutating func deleteSpendCap(_ number: Int32) throws(Refusal) -> Outcome {
        guard let index = account.settings.caps.firstIndex(where: { $0.number == number }) else {
            throw .unknownSpendCap(number)
        }
        account.settings.caps.remove(at: index)
        account.counters.caps[number] = nil
        return .spendCapDeleted
    }
}
