import Catalogue
import Credits
import Metering
import Testing

@testable import Ledger

/// One end user with subscriptions, for tests that go through time. Every step must leave books that the audit accepts.
struct Subscriber {
    var catalogue = Catalogue()
    private(set) var draft = AccountDraft(
        account: Account(id: AccountID(1), environmentID: EnvironmentID(1), endUserID: Subscriber.endUserID),
        profile: nil)
    private var variantCount: UInt64 = 0

    private static let endUserID = EndUserID("alice").unsafelyUnwrapped

    static let calls = FeatureKey("calls").unsafelyUnwrapped

    init() {
        catalogue.config.recordedEventTypes = .ofSubscriptions
        catalogue.insert(Feature(key: Self.calls))
        catalogue.insert(
            MeteringRule(
                id: PublicID(.rule, Bits128(high: 1, low: 1)), featureKey: Self.calls, version: 1,
                price: Price(.perUnit(unitCost: Millicredits.zero.changed(by: 1), perUnits: 1)), effectiveFrom: .epoch))
    }

    /// Adds a plan with one variant, and returns the variant's id.
    mutating func variant(_ terms: VariantTerms, slot: String = "base") throws -> PublicID {
        variantCount += 1
        let plan = Plan(
            id: PublicID(.plan, Bits128(high: 2, low: variantCount)), name: "plan \(variantCount)",
            slot: try #require(PlanSlot(slot)))
        let variant = PlanVariant(
            id: PublicID(.planVariant, Bits128(high: 3, low: variantCount)), planID: plan.id, name: "variant",
            terms: terms)
        catalogue.insert(plan)
        catalogue.insert(variant)
        return variant.id
    }

    /// Applies an action at an instant.
    @discardableResult
    mutating func at(_ instant: String, _ action: AccountAction) throws -> Outcome {
        let now = try #require(Instant(rfc3339: instant))
        return draft.apply(action, idempotencyKey: nil, catalogue: catalogue, now: now)
    }

    /// Lets time pass to an instant.
    mutating func pass(to instant: String) throws { try at(instant, .advance) }

    @discardableResult
    mutating func subscribe(_ variant: PublicID, at instant: String, quantity: Int32 = 1) throws -> Subscription {
        let outcome = try at(instant, .subscribe(NewSubscription(variant: .id(variant), quantity: quantity)))
        guard case .subscribed(let subscription) = outcome else {
            Issue.record("\(outcome)")
            throw ScriptError("not subscribed")
        }
        return subscription
    }

    /// Another end user.
    static var other: AccountDraft {
        AccountDraft(
            account: Account(
                id: AccountID(2), environmentID: EnvironmentID(1), endUserID: EndUserID("bob").unsafelyUnwrapped),
            profile: nil)
    }

    /// Moves credits to another end user.
    mutating func transfer(_ transfer: Transfer, to receiver: inout AccountDraft, now: Instant) throws {
        let outcome = AccountDraft.transfer(
            transfer, from: &draft, to: &receiver, idempotencyKey: nil, catalogue: catalogue, now: now)
        guard case .transferred = outcome else { throw ScriptError("\(outcome)") }
    }

    mutating func use(_ units: Int64, at instant: String) throws {
        let outcome = try at(instant, .use(UsageEvent(featureKey: Self.calls, units: units)))
        guard case .used = outcome else {
            Issue.record("\(outcome)")
            return
        }
    }

    func subscription(_ number: Int32 = 1) throws -> Subscription {
        try #require(draft.recorder.changedSubscriptions[number])
    }

    /// The entries as words: type, amount, and the day and time at which they were due.
    var entries: [String] {
        draft.entries.map { "\($0.type.rawValue) \($0.amount) \(Self.short($0.effectiveAt))" }
    }

    /// The amounts of the uses.
    var costs: [Int64] { draft.entries.filter { $0.type == .use }.map(\.amount) }

    /// The events as words.
    var events: [String] { draft.events.map { "\($0.content.type.rawValue) \(Self.short($0.at))" } }

    var balance: Int64 { draft.account.balances.balance }
    var spendable: Int64 { draft.account.spendable(for: Self.calls) }

    /// The instant without its seconds where they are 0.
    static func short(_ instant: Instant?) -> String {
        guard let instant else { return "never" }
        let text = instant.description
        return text.hasSuffix(":00.000Z") ? String(text.dropLast(8)) : text
    }

    /// The violation that the audit of the books finds; nil for books that are right.
    var violation: String? {
        let blocks = draft.grantedBlocks.map { draft.current($0) }
        var audit = AccountAudit(account: draft.account, salt: .zero, blocks: blocks)
        for entry in draft.entries { audit.take(entry) }
        audit.finish(account: draft.account, book: draft.book, blocks: blocks)
        return audit.violation.map { "\($0.invariant) \($0.detail)" }
    }
}

// The values that most tests of subscriptions need.

func mc(_ amount: Int64) throws -> Millicredits { try Millicredits(amount) }

func monthly(_ lines: [GrantLine], _ mode: BillingMode = .prepaid) -> VariantTerms {
    VariantTerms(billingInterval: BillingInterval(.month), billingMode: mode, grants: lines)
}

func period(_ credits: Int64, rollover: Int32? = nil) throws -> GrantLine {
    GrantLine(
        credits: try mc(credits), cadence: .period, expiry: .periodEnd,
        rollover: rollover.map { GrantLine.Rollover(percentage: $0) })
}

func every(
    _ credits: Int64, _ duration: String, _ anchor: GrantLine.Anchor, _ expiry: GrantLine.Expiry = .nextGrant,
    rollover: GrantLine.Rollover? = nil
) throws -> GrantLine {
    let duration = try #require(CalendarDuration(iso8601: duration))
    return GrantLine(
        credits: try mc(credits), cadence: .every(duration, anchor: anchor), expiry: expiry, rollover: rollover)
}

func hold(_ units: Int64, ttlSeconds: Int64) -> AccountAction {
    .reserve(
        ReservationRequest(
            featureKey: Subscriber.calls, estimate: .measured(.units(units), .none), ttlSeconds: ttlSeconds))
}
