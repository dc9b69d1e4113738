import Catalogue
import Credits
import Testing

@testable import Ledger

@Suite("Every pair of state and trigger")
struct TransitionTests {
    /// The circumstances that the conditions of the table's rows name.
    struct Setting: CustomTestStringConvertible {
        let status: SubscriptionStatus
        var isPostpaid = false
        var isCanceled = false
        var isRenewedAhead = false
        var isChanging = false
        /// Whether the contract ends with the period.
        var hasContract = false
        /// The state in which it was paused.
        var pausedFrom = SubscriptionStatus.active

        var testDescription: String {
            let words = [
                (isPostpaid, "postpaid"), (isCanceled, "cancellation asked for"), (isRenewedAhead, "renewed ahead"),
                (isChanging, "changing"), (hasContract, "under contract"),
            ]
            return ([status.rawValue] + words.filter(\.0).map(\.1)).joined(separator: ", ")
                + (status == .paused ? " from \(pausedFrom.rawValue)" : "")
        }
    }

    /// A subscription that was brought to a setting: monthly from 1 January, with a trial of 14 days or none, and a grace of
    /// 3 days. The pause ends by itself on 1 June.
    private func scene(_ setting: Setting) throws -> Subscriber {
        var alice = Subscriber()
        let inner = setting.status == .paused ? setting.pausedFrom : setting.status
        var terms = VariantTerms(
            billingInterval: BillingInterval(.month), billingMode: setting.isPostpaid ? .postpaid : .prepaid,
            grants: [GrantLine(credits: Millicredits.zero.changed(by: 100), cadence: .period, expiry: .periodEnd)])
        terms.trialDays = inner == .trialing ? 14 : 0
        var new = NewSubscription(variant: .id(try alice.variant(terms)), quantity: 2)
        if inner == .scheduled { new.startsAt = Instant(rfc3339: "2026-02-01T00:00:00Z") }
        if setting.hasContract { new.contract = Contract(periods: 1, onEnd: .expire) }
        try alice.at("2026-01-01T00:00:00Z", .subscribe(new))
        func apply(_ action: SubscriptionAction) throws {
            let time = alice.draft.account.advancedTo.adding(seconds: 1).description
            guard case .subscriptionChanged = try alice.at(time, .subscription(1, action)) else {
                throw ScriptError("\(action) is refused in \(setting.testDescription)")
            }
        }
        if setting.isChanging { try apply(.change(SubscriptionChange(quantity: 1))) }
        if setting.isRenewedAhead { try apply(.renew) }
        switch inner {
        case .pastDue: try alice.pass(to: "2026-02-02T00:00:00Z")
        case .expired: try alice.pass(to: "2026-03-01T00:00:00Z")
        case .canceled: try apply(.cancel(.now, revokesCredits: false))
        default: break
        }
        if setting.isCanceled { try apply(.cancel(.periodEnd, revokesCredits: false)) }
        if setting.status == .paused { try apply(.pause(until: Instant(rfc3339: "2026-06-01T00:00:00Z"))) }
        #expect(try alice.subscription().status == setting.status)
        return alice
    }

    /// The setting that the condition of a row asks for.
    private static func settings(of row: SubscriptionTransition) throws -> [Setting] {
        var setting = Setting(status: row.from)
        switch row.condition {
        case "", "prepaid", "no cancellation asked for", "not asked for before", "prepaid, not renewed ahead",
            "prepaid, not renewed ahead, no cancellation asked for, not the last of a contract":
            break
        case "postpaid": setting.isPostpaid = true
        case "cancellation asked for": setting.isCanceled = true
        case "a change is pending": setting.isChanging = true
        case "contract ends and expires": setting.hasContract = true
        case "postpaid, or renewed ahead":
            return [
                Setting(status: row.from, isPostpaid: true), Setting(status: row.from, isRenewedAhead: true),
            ]
        default: throw ScriptError("the condition \(row.condition) is unknown")
        }
        guard row.from == .paused else { return [setting] }
        return [.trialing, .active, .pastDue].map { Setting(status: .paused, pausedFrom: $0) }
    }

    /// The request of a trigger; nil for a trigger of time.
    private static func action(_ trigger: SubscriptionTrigger) -> SubscriptionAction? {
        switch trigger {
        case .startComes, .trialEnds, .periodEnds, .graceEnds, .pauseEnds: nil
        case .renew: .renew
        case .change: .change(SubscriptionChange(quantity: 7))
        case .withdrawChange: .withdrawChange
        case .pause: .pause(until: nil)
        case .resume: .resume
        case .cancelNow: .cancel(.now, revokesCredits: false)
        case .cancelAtPeriodEnd: .cancel(.periodEnd, revokesCredits: false)
        case .uncancel: .uncancel
        }
    }

    @Test("Each row of the table is reached and leads to its states", arguments: SubscriptionTransition.table.indices)
    func reached(index: Int) throws {
        let row = SubscriptionTransition.table[index]
        var met: Set<SubscriptionStatus> = []
        var settings = try Self.settings(of: row)
        // A start leads to a trial or to period 1.
        if row.trigger == .startComes { settings.append(Setting(status: .scheduled)) }
        for (number, setting) in settings.enumerated() {
            var alice = try scene(setting)
            if row.trigger == .startComes, number == 1 { alice = try scheduledWithTrial() }
            if let action = Self.action(row.trigger) {
                let now = alice.draft.account.advancedTo.adding(seconds: 1).description
                let outcome = try alice.at(now, .subscription(1, action))
                guard case .subscriptionChanged = outcome else {
                    Issue.record("\(setting.testDescription): \(outcome)")
                    continue
                }
            } else {
                try alice.pass(to: try #require(try alice.subscription().nextTurn).description)
            }
            met.insert(try alice.subscription().status)
            #expect(alice.violation == nil)
        }
        #expect(met == Set(row.to))
    }

    private func scheduledWithTrial() throws -> Subscriber {
        var alice = Subscriber()
        let variant = try alice.variant(VariantTerms(billingInterval: BillingInterval(.month), trialDays: 14))
        try alice.at(
            "2026-01-01T00:00:00Z",
            .subscribe(NewSubscription(variant: .id(variant), startsAt: Instant(rfc3339: "2026-02-01T00:00:00Z"))))
        return alice
    }

    /// Every state, with what makes the conditions of rows fail.
    static let stages: [Setting] = {
        var stages = SubscriptionStatus.allCases.filter { $0 != .paused }.map { Setting(status: $0) }
        for status in [SubscriptionStatus.trialing, .active, .pastDue] {
            stages += [
                Setting(status: status, isCanceled: true), Setting(status: status, isChanging: true),
                Setting(status: .paused, pausedFrom: status),
                Setting(status: .paused, isCanceled: true, isChanging: true, pausedFrom: status),
            ]
        }
        stages += [
            Setting(status: .trialing, isPostpaid: true), Setting(status: .active, isPostpaid: true),
            Setting(status: .active, isRenewedAhead: true), Setting(status: .active, hasContract: true),
        ]
        return stages
    }()

    /// Whether a row of the table allows a request in a setting. Written from the conditions, apart from the code.
    private func isAllowed(_ trigger: SubscriptionTrigger, _ setting: Setting) -> Bool {
        guard SubscriptionTransition.table.contains(where: { $0.from == setting.status && $0.trigger == trigger })
        else { return false }
        switch trigger {
        case .renew:
            let isOpen = setting.status != .active || !setting.isPostpaid && !setting.isRenewedAhead
            return isOpen && !setting.isCanceled && !setting.hasContract
        case .withdrawChange: return setting.isChanging
        case .cancelAtPeriodEnd: return !setting.isCanceled
        case .uncancel: return setting.isCanceled
        default: return true
        }
    }

    @Test("A request that the table does not have is refused and changes nothing", arguments: stages)
    func refused(setting: Setting) throws {
        let before = try scene(setting)
        var count = 0
        for trigger in SubscriptionTrigger.allCases {
            guard let action = Self.action(trigger) else { continue }
            var alice = before
            let now = before.draft.account.advancedTo.description
            let outcome = try alice.at(now, .subscription(1, action))
            if isAllowed(trigger, setting) {
                guard case .subscriptionChanged = outcome else {
                    Issue.record("\(trigger): \(outcome)")
                    continue
                }
            } else {
                count += 1
                guard case .refused(.invalidTransition(let transition)) = outcome else {
                    Issue.record("\(trigger): \(outcome)")
                    continue
                }
                #expect(transition.status == setting.status && transition.trigger == trigger)
                #expect(alice.draft == before.draft, "\(trigger)")
            }
        }
        #expect(count > 0)
    }
}

extension Subscription {
    /// The next instant at which time may change the state: the end of what runs.
    fileprivate var nextTurn: Instant? {
        switch status {
        case .scheduled: startsAt
        case .trialing, .active: period.end
        case .pastDue: graceEndsAt
        case .paused: pause?.until
        case .canceled, .expired: nil
        }
    }
}
