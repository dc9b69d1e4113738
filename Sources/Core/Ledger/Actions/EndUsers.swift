package import Catalogue
package import Credits

/// A change of an end user. Fields that are not given stay as they are.
package struct EndUserChange: Hashable, Sendable {
    package var name: FieldChange<String>
    package var metadata: FieldChange<Metadata>
    package var overagePolicy: FieldChange<OveragePolicy>
    package var overageLimit: FieldChange<Millicredits>
    /// The complete set of overrides; nil removes all.
    package var overrides: FieldChange<[FeatureKey: FeatureGrant]>
    package var balanceLowThresholds: FieldChange<[BalanceThreshold]>
    /// The test clock to attach; nil if the change names none. An attached clock cannot be changed or detached.
    package var testClock: PublicID?

    package init(
        name: FieldChange<String> = .keep, metadata: FieldChange<Metadata> = .keep,
        overagePolicy: FieldChange<OveragePolicy> = .keep, overageLimit: FieldChange<Millicredits> = .keep,
        overrides: FieldChange<[FeatureKey: FeatureGrant]> = .keep,
        balanceLowThresholds: FieldChange<[BalanceThreshold]> = .keep, testClock: PublicID? = nil
    ) {
        self.name = name
        self.metadata = metadata
        self.overagePolicy = overagePolicy
        self.overageLimit = overageLimit
        self.overrides = overrides
        self.balanceLowThresholds = balanceLowThresholds
        self.testClock = testClock
    }
}

extension AccountDraft {
    /// Attaches the end user to the test clock that the action names. This happens first, so that a new end user starts
    /// at the clock's instant.
    mutating func attachClock(_ action: AccountAction, catalogue: Catalogue) throws(Refusal) {
        let change: EndUserChange
        if account.endUserID.isErased { return }
        switch action {
        case .createEndUser(let created): change = created
        case .updateEndUser(let updated): change = updated
        default: return
        }
        guard let clock = change.testClock, clock != account.settings.testClock else { return }
        if case .updateEndUser = action, profile == nil { throw .unknownEndUser }
        guard let shown = catalogue.testClocks[clock] else { throw .unknownTestClock(clock) }
        guard account.settings.testClock == nil, shown >= account.advancedTo else { throw .testClockConflict }
        // All checks come before the first change.
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
        account.settings.balanceLowThresholds = change.balanceLowThresholds.applied(
            to: account.settings.balanceLowThresholds)
        return .endUser(changed, account.settings, created: isCreated)
    }

    private func check(_ change: EndUserChange, catalogue: Catalogue) throws(Refusal) {
        guard case .set(let overrides?) = change.overrides else { return }
        guard overrides.count <= AccountSettings.maximumOverrides else { throw .tooMany(.overrides) }
        for (key, grant) in overrides.sorted(by: { $0.key < $1.key }) {
            guard let feature = catalogue.activeFeature(key) else { throw .unknownFeature(key) }
            switch (grant, feature.type) {
            case (.enabled, _), (.limit, .limit), (.quota, .metered): break
            default: throw .wrongOverride(key)
            }
        }
    }
}
