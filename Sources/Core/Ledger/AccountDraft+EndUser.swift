import Credits
import Metering

extension AccountDraft {
    /// What an end user may have overridden.
    private static let maximumOverrides = 1_000

    /// Puts an end user on the test clock that the action names, before anything happens: a new one begins at the clock's
    /// present.
    mutating func attachClock(_ action: AccountAction, catalogue: Catalogue) throws(Refusal) {
        let change: EndUserChange
        switch action {
        case .createEndUser(let created): change = created
        case .updateEndUser(let updated): change = updated
        default: return
        }
        guard let clock = change.testClock, clock != account.settings.testClock else { return }
        if case .updateEndUser = action, profile == nil { throw .unknownEndUser }
        guard let shown = catalogue.testClocks[clock] else { throw .unknownTestClock(clock) }
        guard account.settings.testClock == nil, shown >= account.advancedTo else { throw .testClockConflict }
        // Checked in full before anything is changed.
        try check(change, catalogue: catalogue)
        account.settings.testClock = clock
    }

    mutating func apply(
        _ change: EndUserChange, isCreated: Bool, _ context: ActionContext
    ) throws(Refusal) -> Outcome {
        try check(change, catalogue: context.catalogue)
        let now = context.now
        var changed = profile ?? EndUserProfile(name: nil, metadata: nil, createdAt: now, updatedAt: now)
        changed.apply(change, now: now)
        profile = changed
        account.settings.overagePolicy = change.overagePolicy.applied(to: account.settings.overagePolicy)
        account.settings.overageLimit = change.overageLimit.applied(to: account.settings.overageLimit)
        account.settings.overrides = change.overrides.applied(to: account.settings.overrides) ?? [:]
        self.change()
        return .endUser(changed, account.settings, created: isCreated)
    }

    private func check(_ change: EndUserChange, catalogue: Catalogue) throws(Refusal) {
        guard case .set(let overrides?) = change.overrides else { return }
        guard overrides.count <= Self.maximumOverrides else { throw .tooMany(.overrides) }
        for (key, grant) in overrides.sorted(by: { $0.key < $1.key }) {
            guard let feature = catalogue.activeFeature(key) else { throw .unknownFeature(key) }
            switch (grant, feature.type) {
            case (.enabled, _), (.limit, .limit), (.quota, .metered): break
            default: throw .wrongOverride(key)
            }
        }
    }

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
        exist(now: context.now)
        change()
        return .spendCapCreated(cap)
    }

    mutating func deleteSpendCap(_ number: Int32) throws(Refusal) -> Outcome {
        guard let index = account.settings.caps.firstIndex(where: { $0.number == number }) else {
            throw .unknownSpendCap(number)
        }
        account.settings.caps.remove(at: index)
        account.counters.caps[number] = nil
        change()
        return .spendCapDeleted
    }
}
