import Catalogue
import Credits
import Ledger
import LedgerModel
import Metering

// Translates plans and subscriptions. Version `v` of the variant `n` is the variant `n + 100 (v − 1)` of the model.

extension VariantReference {
    init(model number: Int) {
        self.init(
            id: PublicID(.planVariant, Bits128(high: 6, low: UInt64(number % 100))), version: Int32(number / 100 + 1))
    }

    /// The number of the version in the model.
    var number: Int { Int(id.bits.low) + 100 * (Int(version) - 1) }
}

extension Translation {
    /// Adds the plans of a catalogue: one for each variant. Of archived variants one half has an archived plan.
    static func insertPlans(of model: ModelCatalogue, into catalogue: inout Catalogue) throws {
        for (number, variant) in model.variants.sorted(by: { $0.key < $1.key }) {
            let reference = VariantReference(model: number)
            guard let slot = PlanSlot(variant.slot) else { throw ScriptError("\(variant.slot) is no slot") }
            let latest = model.variants[number].flatMap { $0.newer.flatMap { model.variants[$0] } ?? $0 }
            let isArchived = latest?.isArchived ?? false
            let plan = Plan(
                id: PublicID(.plan, reference.id.bits), name: "plan \(number)", slot: slot,
                archivedAt: isArchived && number % 2 == 0 ? .epoch : nil)
            catalogue.insert(plan)
            catalogue.insert(
                PlanVariant(
                    id: reference.id, planID: plan.id, version: reference.version, name: "variant",
                    terms: try terms(of: variant), updatedAt: variant.madeAt,
                    archivedAt: isArchived && number % 2 == 1 ? .epoch : nil))
            for (name, prices) in variant.prices {
                for (index, version) in prices.enumerated() {
                    catalogue.insert(
                        MeteringRule(
                            id: ruleID(version: number * 1_000 + index + 1, of: name), featureKey: try feature(name),
                            variantID: reference.id, version: Int32(index + 1), price: try price(version.price),
                            effectiveFrom: version.from))
                }
            }
        }
        catalogue.config.defaultVariantID = model.defaultVariant.map { VariantReference(model: $0).id }
        catalogue.config.fallbackVariantID = model.fallbackVariant.map { VariantReference(model: $0).id }
    }

    private static func terms(of variant: ModelVariant) throws -> VariantTerms {
        guard let unit = BillingInterval.Unit(rawValue: variant.unit.rawValue) else {
            throw ScriptError("\(variant.unit) is no unit")
        }
        var features: [FeatureKey: FeatureGrant] = [:]
        for (name, override) in variant.features { features[try feature(name)] = try grant(override) }
        var limits: [LimitKey: VariantLimit] = [:]
        for (key, stated) in variant.limits {
            limits[try limitKey(key)] = VariantLimit(try limit(stated.limit), isPerQuantity: stated.isPerQuantity)
        }
        return VariantTerms(
            billingInterval: BillingInterval(unit, count: Int32(variant.count)),
            billingMode: variant.isPostpaid ? .postpaid : .prepaid, grants: try variant.lines.map(line),
            features: features, limits: limits,
            overagePolicy: variant.policy.flatMap { OveragePolicy(rawValue: $0.rawValue) },
            overageLimit: try variant.overageLimit.map(millicredits), renewalDueDays: Int32(variant.renewalDueDays),
            gracePeriodDays: Int32(variant.graceDays), allowsUsageWhileOverdue: variant.allowsUsageWhileOverdue,
            trialDays: Int32(variant.trialDays), trialCredits: try millicredits(variant.trialCredits),
            fallbackVariantID: variant.fallback.map { VariantReference(model: $0).id })
    }

    static func grant(_ override: ModelLedger.Override) throws -> FeatureGrant {
        switch override {
        case .enabled(let isEnabled): .enabled(isEnabled)
        case .limit(let limit): .limit(limit)
        case .quota(let quota): .quota(try self.quota(quota))
        }
    }

    private static func line(_ line: ModelLine) throws -> GrantLine {
        let cadence: GrantLine.Cadence =
            switch line.cadence {
            case .activation: .activation
            case .period: .period
            case .every(let duration, let anchor):
                .every(
                    try self.duration(duration), anchor: GrantLine.Anchor(rawValue: anchor.rawValue) ?? .subscription)
            }
        return GrantLine(
            credits: try millicredits(line.credits), cadence: cadence, expiry: try expiry(line.expiry),
            priority: line.priority.map { Int16($0) },
            rollover: try line.rollover.map { rollover in
                GrantLine.Rollover(
                    percentage: Int32(rollover.percentage), cap: try rollover.cap.map(millicredits),
                    expiry: try expiry(rollover.expiry))
            }, accumulationCap: try line.accumulationCap.map(millicredits),
            featureKeys: try line.features.map(feature))
    }

    private static func expiry(_ expiry: ModelLine.Expiry) throws -> GrantLine.Expiry {
        switch expiry {
        case .periodEnd: .periodEnd
        case .nextGrant: .nextGrant
        case .never: .never
        case .after(let duration): .after(try self.duration(duration))
        }
    }

    private static func duration(_ duration: ModelDuration) throws -> CalendarDuration {
        let text =
            "P" + (duration.months > 0 ? "\(duration.months)M" : "") + (duration.days > 0 ? "\(duration.days)D" : "")
            + (duration.seconds > 0 ? "T\(duration.seconds)S" : "")
        guard let duration = CalendarDuration(iso8601: text) else { throw ScriptError("\(text) is no duration") }
        return duration
    }
}

extension ModelSubscriptionAct {
    func action() throws -> AccountAction {
        switch self {
        case .subscribe(let wanted):
            .subscribe(
                NewSubscription(
                    variant: .id(VariantReference(model: wanted.variant).id), quantity: Int32(wanted.quantity),
                    startsAt: wanted.startsAt, trialDays: wanted.trialDays.map { Int32($0) },
                    contract: wanted.contract.map { contract in
                        Contract(
                            periods: Int32(contract.periods), onEnd: contract.renews ? .renew : .expire,
                            noticeDays: Int32(contract.noticeDays))
                    }))
        case .renew(let number): .subscription(Int32(number), .renew)
        case .change(let number, let change): .subscription(Int32(number), .change(change.translated))
        case .pause(let number, let resumeAt): .subscription(Int32(number), .pause(until: resumeAt))
        case .resume(let number): .subscription(Int32(number), .resume)
        case .cancel(let number, let isNow, let revokes):
            .subscription(Int32(number), .cancel(isNow ? .now : .periodEnd, revokesCredits: revokes))
        case .uncancel(let number): .subscription(Int32(number), .uncancel)
        case .withdrawChange(let number): .subscription(Int32(number), .withdrawChange)
        }
    }
}

extension ModelSubscriptionAct.Change {
    /// The request decides the default of the timing.
    fileprivate var translated: SubscriptionChange {
        var timing: SubscriptionChange.Timing?
        switch (effective, verb) {
        case (.now?, _), (nil, .upgrade): timing = .now
        case (.periodEnd?, _), (nil, .downgrade): timing = .periodEnd
        case (nil, .quantity): timing = nil
        }
        return SubscriptionChange(
            variant: variant.map { .id(VariantReference(model: $0).id) }, quantity: quantity.map { Int32($0) },
            timing: timing, proration: restarts ? .restart : .credits)
    }
}

/// The state of a subscription that answers and events show, or that decides its next landings.
struct PlainSubscription: Equatable {
    var number: Int
    var slot: String
    var variant: Int
    var quantity: Int64
    var status: String
    var index: Int
    var period: [Instant]
    var trialEnd: Instant?
    var graceEnd: Instant?
    var flags: [Bool]
    var pending: ModelSubscription.Pending?
    var paused: [Instant?]
    var contract: [Int64]
    var created: [Instant]
    var ended: Instant?
    var landings: [Instant?]
    var waiting: [Bool]
}

extension Subscription {
    var plain: PlainSubscription {
        PlainSubscription(
            number: Int(number), slot: slot.rawValue, variant: variant.number, quantity: Int64(quantity),
            status: status.rawValue, index: Int(periodIndex), period: [period.start, period.end],
            trialEnd: (pause?.statusBefore ?? status) == .trialing ? trialEndsAt : nil, graceEnd: graceEndsAt,
            flags: [isRenewedAhead, cancelsAtPeriodEnd, revokesCredits],
            pending: pendingChange.map { pending in
                ModelSubscription.Pending(variant: pending.variant.number, quantity: Int64(pending.quantity))
            }, paused: [pause?.at, pause?.until],
            contract: contract.map { contract in
                [
                    Int64(contract.periods), contract.onEnd == .renew ? 1 : 0, Int64(contract.noticeDays),
                    Int64(periodIndex - contract.firstPeriod + 1),
                ]
            } ?? [], created: [createdAt, startsAt], ended: endedAt,
            landings: isLive ? landings.withoutTail(nil) : [],
            waiting: isLive ? lines.map { !$0.waitingBlocks.isEmpty }.withoutTail(false) : [])
    }

    /// The next landings. In grace without usage a window that opens with a use waits, so it has none.
    private var landings: [Instant?] {
        lines.map { $0.opensWithUse && deniesOverdueUsage ? nil : $0.window?.end }
    }
}

extension ModelSubscription {
    func plain(_ ledger: ModelLedger) -> PlainSubscription {
        PlainSubscription(
            number: number, slot: slot, variant: variant, quantity: quantity, status: status.rawValue, index: index,
            period: [start, end], trialEnd: isTrial ? end : nil, graceEnd: graceEnd,
            flags: [renewedAhead && !isFinal, cancels, revokesAtEnd], pending: pending, paused: [pausedAt, resumeAt],
            contract: contract.map { [$0.periods, $0.renews ? 1 : 0, $0.noticeDays, $0.begun] } ?? [],
            created: [createdAt, begunAt], ended: endedAt,
            landings: landings(ledger.variant(of: self)).withoutTail(nil),
            waiting: lines.map(\.isWaiting).withoutTail(false))
    }

    private func landings(_ variant: ModelVariant) -> [Instant?] {
        zip(lines, variant.lines).map { state, line in
            guard case .every(_, .firstUse) = line.cadence, innerStatus == .pastDue, !variant.allowsUsageWhileOverdue
            else { return state.next }
            return nil
        }
    }
}

extension [Instant?] {
    fileprivate func withoutTail(_: Instant?) -> [Instant?] { Array(prefix((lastIndex { $0 != nil } ?? -1) + 1)) }
}

extension [Bool] {
    fileprivate func withoutTail(_: Bool) -> [Bool] { Array(prefix((lastIndex(of: true) ?? -1) + 1)) }
}

extension SubscriptionEvent {
    var facts: ModelLedger.Facts {
        var facts = ModelLedger.Facts(
            status: subscription.status.rawValue, start: subscription.period.start, end: subscription.period.end,
            graceEnd: subscription.graceEndsAt, cancels: subscription.cancelsAtPeriodEnd)
        facts.summary = details.summary.map { summary in
            [summary.period.start.microseconds, summary.period.end.microseconds, summary.settledOverage]
        }
        facts.ended = details.endedSubscription.map { Int($0) }
        return facts
    }
}

extension ModelLedger.Event {
    /// The event without what the core's event does not state.
    var plain: ModelLedger.Event {
        guard let subscription else { return self }
        var plain = ModelLedger.Event(
            type: type, figures: Array(figures.prefix(3)), text: nil, request: 0, at: at, recordedAt: recordedAt)
        (plain.subscription, plain.usage, plain.facts) = (subscription, usage, facts)
        return plain
    }
}
