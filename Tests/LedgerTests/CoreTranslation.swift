import Catalogue
import Credits
import Ledger
import LedgerModel
import Metering

// MARK: - The core's values as the model's

extension Outcome {
    var reply: ModelReply {
        switch self {
        case .granted(let granted, _, _): .done([Int64(granted.block.number)])
        case .used(let entry, _): .done([-entry.amount])
        case .refunded(let result, _):
            .done(
                [result.refunded, result.overageReduced, result.forfeited]
                    + result.compensation.map { Int64($0.block.number) })
        case .revoked(_, let revoked, _, _): .done([revoked])
        case .adjusted(_, let entry, _): .done([entry.amount])
        case .transferred(let result, _): .done([-result.sent.amount])
        case .reserved(let reservation, _): .done([Int64(reservation.number)])
        case .reservationChanged(_, let change, _):
            .done([change.charged, change.returned, change.overage, change.refunded])
        case .spendCapCreated(let cap): .done([Int64(cap.number)])
        case .limitSet(_, _, let isCreated): .done([isCreated ? 1 : 0])
        case .spendCapDeleted, .limitDeleted, .autoTopUpDeleted: .done([])
        case .autoTopUpSet(_, let isCreated): .done([isCreated ? 1 : 0])
        case .topUpRequestFailed(_, _, let autoTopUp):
            .done([Int64(autoTopUp.failures), autoTopUp.isSuspended ? 1 : 0])
        case .endUser(_, _, let isCreated): .done([isCreated ? 1 : 0])
        case .endUserErased, .advanced: .done([])
        case .subscribed(let subscription), .subscriptionChanged(let subscription):
            .done([Int64(subscription.number)])
        case .refused(let refusal): .refused(refusal.plain)
        }
    }
}

extension Refusal {
    /// The refusal as scripts and the model name it, with its figures.
    var plain: ModelLedger.Refusal {
        switch self {
        case .occurredTooLongAgo(let instant, let now):
            ModelLedger.Refusal("occurred_too_long_ago", instant.microseconds, now.microseconds)
        case .occursInTheFuture(let instant, let now):
            ModelLedger.Refusal("occurs_in_the_future", instant.microseconds, now.microseconds)
        case .expiresInThePast(let instant, let now):
            ModelLedger.Refusal("expires_in_the_past", instant.microseconds, now.microseconds)
        case .endsInThePast(let instant, let now):
            ModelLedger.Refusal("ends_in_the_past", instant.microseconds, now.microseconds)
        case .expiresBeforeStart(let instant, let start):
            ModelLedger.Refusal("expires_before_start", instant.microseconds, start.microseconds)
        case .startsTooLate: ModelLedger.Refusal("starts_too_late")
        case .expiresTooLate: ModelLedger.Refusal("expires_too_late")
        case .catchingUp: ModelLedger.Refusal("catching_up")
        case .unknownEndUser: ModelLedger.Refusal("unknown_end_user")
        case .unknownPackage: ModelLedger.Refusal("unknown_package")
        case .unknownReservation(let number): ModelLedger.Refusal("unknown_reservation", Int64(number))
        case .unknownSpendCap(let number): ModelLedger.Refusal("unknown_spend_cap", Int64(number))
        case .unknownBlock(let number): ModelLedger.Refusal("unknown_block", Int64(number))
        case .unknownCharge(let sequence): ModelLedger.Refusal("unknown_charge", sequence)
        case .unknownTestClock: ModelLedger.Refusal("unknown_test_clock")
        case .testClockConflict: ModelLedger.Refusal("test_clock_conflict")
        case .differentClocks: ModelLedger.Refusal("different_clocks")
        case .tooMany: ModelLedger.Refusal("too_many")
        case .wrongOverride: ModelLedger.Refusal("wrong_override")
        case .reservationNotActive(let number): ModelLedger.Refusal("reservation_not_active", Int64(number))
        case .unknownAutoTopUp: ModelLedger.Refusal("unknown_rule")
        case .unknownTopUpRequest: ModelLedger.Refusal("unknown_request")
        case .topUpRequestAnswered: ModelLedger.Refusal("request_answered")
        case .paymentAlreadyApplied: ModelLedger.Refusal("payment_already_applied")
        case .alreadyRefunded(let refundable): ModelLedger.Refusal("already_refunded", refundable)
        case .unknownFeature(let key): ModelLedger.Refusal("unknown_feature", of: key.rawValue)
        case .featureNotInPlan(let key): ModelLedger.Refusal("feature_not_in_plan", of: key.rawValue)
        case .featureNotPriced(let key): ModelLedger.Refusal("feature_not_priced", of: key.rawValue)
        case .subscriptionPaused(let key): ModelLedger.Refusal("subscription_paused", of: key.rawValue)
        case .subscriptionPastDue(let key): ModelLedger.Refusal("subscription_past_due", of: key.rawValue)
        case .unknownVariant: ModelLedger.Refusal("not_found")
        case .unknownSubscription(let number): ModelLedger.Refusal("unknown_subscription", Int64(number))
        case .alreadySubscribed: ModelLedger.Refusal("already_subscribed")
        case .invalidTransition: ModelLedger.Refusal("invalid_transition")
        case .notInTheFuture(_, let instant, let now):
            ModelLedger.Refusal("resumes_in_the_past", instant.microseconds, now.microseconds)
        case .wrongMeasure(.unitsExpected): ModelLedger.Refusal("units_expected")
        case .wrongMeasure(.quantitiesExpected): ModelLedger.Refusal("quantities_expected")
        case .wrongMeasure(.unknownDimension(let name)): ModelLedger.Refusal("unknown_dimension \(name)")
        case .wrongJobFeature: ModelLedger.Refusal("wrong_feature")
        case .wrongMeasure(.creditsExpected): ModelLedger.Refusal("credits_expected")
        case .amountOutOfRange: ModelLedger.Refusal("amount_out_of_range")
        case .unknownLimit: ModelLedger.Refusal("unknown_limit")
        case .wrongQuota: ModelLedger.Refusal("wrong_quota")
        case .limitReached(_, let state, _):
            switch (state.applied.face, state.limit.unit) {
            case (.cap(let cap), _): ModelLedger.Refusal("spend_cap_reached", Int64(cap.number))
            case (.quota, _): ModelLedger.Refusal("quota_exceeded")
            case (.limit, .credits): ModelLedger.Refusal("spend_cap_reached \(state.applied.key.rawValue)")
            case (.limit, _): ModelLedger.Refusal("quota_exceeded \(state.applied.key.rawValue)")
            }
        case .insufficientCredits(let effective, let spendable, let required):
            .insufficient(effective: effective, spendable: spendable, required: required)
        }
    }
}

extension [Allocation] {
    var shares: [ModelLedger.Share] { map { ModelLedger.Share(block: Int($0.block), amount: $0.amount) } }
}

extension Demand {
    var plain: ModelDemand {
        switch self {
        case .measured(.units(let units), _): .units(units)
        case .measured(.quantities(let quantities), _): .quantities(quantities)
        case .credits(let credits, _): .credits(credits.rawValue)
        }
    }

    var plainAttributes: [String: String] {
        switch self {
        case .measured(_, let attributes), .credits(_, let attributes): attributes.plain
        }
    }
}

extension Attributes {
    var plain: [String: String] {
        values.compactMapValues { value in
            if case .string(let text) = value { text } else { nil }
        }
    }
}

extension Entry {
    var plain: ModelLedger.Entry {
        var plain = ModelLedger.Entry(
            sequence: sequence, type: type.rawValue, amount: amount, balanceAfter: balanceAfter,
            allocation: allocations.shares)
        plain.reservedDelta = reservedDelta
        plain.overageDelta = overageDelta
        plain.reservedAfter = reservedAfter
        plain.overageAfter = overageAfter
        plain.holds = holds.shares
        plain.feature = cause.featureKey?.rawValue
        plain.features = cause.details.featureKeys.map(\.rawValue)
        plain.units = cause.units
        plain.added = cause.details.addedUnits
        plain.quantities = cause.details.quantities
        plain.attributes = cause.details.attributes.plain
        plain.version = cause.ruleID.map { Int($0.bits.low) }
        plain.reservation = cause.reservation.map { Int($0) }
        plain.refunds = cause.refunds
        plain.counterparty = cause.details.counterparty?.rawValue
        plain.payment = cause.details.externalPaymentID
        plain.forfeited = cause.details.forfeited
        plain.isDeadline = cause.details.isDeadline
        plain.isSettlement = cause.details.isSettlement
        if let subscription = cause.details.subscription {
            plain.subscription = Int(subscription.subscription)
            plain.line = subscription.line.map { Int($0) }
            plain.period = Int(subscription.periodIndex)
        }
        plain.key = cause.idempotencyKey
        plain.effectiveAt = effectiveAt
        plain.recordedAt = recordedAt
        return plain
    }
}

extension GrantedBlock {
    var plain: ModelLedger.Block {
        var plain = ModelLedger.Block(
            number: Int(block.number), original: block.original.rawValue, remaining: block.remaining.rawValue,
            priority: Int64(block.priority), expiresAt: block.expiresAt, features: block.featureKeys.map(\.rawValue))
        plain.isPaid = block.isPaid
        plain.source = source.rawValue
        plain.revokedAt = block.revokedAt
        plain.arrivesAt = block.since
        plain.isPlanned = block.startsLater
        plain.isAwaited = block.isScheduled
        plain.subscription = block.origin.map { Int($0.subscription) }
        plain.line = block.origin?.line.map { Int($0) }
        plain.endsWithPeriod = block.endsWithPeriod
        return plain
    }
}

extension Reservation {
    var plain: ModelLedger.Reservation {
        var plain = ModelLedger.Reservation(
            number: Int(number), parts: parts.map(\.plain), estimate: estimate.plain,
            attributes: estimate.plainAttributes, estimatedCost: estimatedCost.rawValue, holds: holds.shares,
            uncovered: uncovered.rawValue, expiresAt: expiresAt, createdAt: createdAt)
        plain.status = status.rawValue
        plain.finishedAt = finishedAt
        return plain
    }
}

extension JobPart {
    var plain: ModelLedger.Part {
        var plain = ModelLedger.Part(feature: featureKey.rawValue, version: ruleID.map { Int($0.bits.low) })
        plain.watermark = watermark?.plain
        plain.charged = charged.rawValue
        return plain
    }
}

extension TopUp.Credits {
    var plain: (credits: Int64?, package: String?) {
        switch self {
        case .amount(let credits): (credits.rawValue, nil)
        case .package(let key): (nil, key.rawValue)
        }
    }
}

extension Event {
    var plain: ModelLedger.Event {
        func event(_ request: Int32, _ figures: [Int64], _ text: String?) -> ModelLedger.Event {
            ModelLedger.Event(
                type: content.type.rawValue, figures: figures, text: text, request: Int(request), at: at,
                recordedAt: recordedAt)
        }
        switch content {
        case .entry(let told): return told.plain(event)
        case .expiringSoon(let notice):
            return event(0, [Int64(notice.block), notice.credits, notice.expiresAt.microseconds], nil)
        case .balance(let told):
            let balances = told.balances
            return event(
                0,
                (told.level.map { [$0, Int64(told.percent ?? 0)] } ?? []) + [
                    balances.balance, balances.reserved, balances.frozen, balances.effective, told.overage,
                ], nil)
        case .reservation(let told):
            return event(
                0,
                [
                    Int64(told.number), told.held, told.uncovered, told.charged, told.returned,
                    told.expiresAt.microseconds, told.balance, told.reserved,
                ], told.featureKeys.map(\.rawValue).joined(separator: ","))
        case .limit(let told):
            let by = told.isPerValue ? " by " + (told.perValue ?? "null") : ""
            return event(
                0,
                [told.used, told.limit, told.resetsAt?.microseconds ?? -1]
                    + (told.percentage.map { [Int64($0)] } ?? []), told.key.plain + by)
        case .endUserErased: return event(0, [], nil)
        case .topUpRequested(let request, let threshold, let effective, let amount):
            let (credits, package) = amount.plain
            return event(request, [threshold.rawValue, effective] + (credits.map { [$0] } ?? []), package)
        case .topUpFailed(let request, let reason, let failures): return event(request, [Int64(failures)], reason)
        case .topUpSuspended(let request, let failures): return event(request, [Int64(failures)], nil)
        case .subscription(_, let told):
            let subscription = told.subscription
            var plain = event(
                0, [Int64(subscription.variant.number), Int64(subscription.quantity), Int64(subscription.periodIndex)],
                nil)
            plain.subscription = Int(subscription.number)
            plain.facts = told.facts
            plain.usage =
                told.details.summary?.usage.compactMap { total in
                    guard case .feature(let feature?) = total.group else { return nil }
                    return ModelLedger.Usage(feature: feature.rawValue, units: total.units, cost: total.cost)
                } ?? []
            return plain
        }
    }
}

extension LimitKey {
    /// The key as the model names it. A spend cap has its number.
    fileprivate var plain: String {
        PublicID(.spendCap, parsing: rawValue).map { "cap:\($0.number)" } ?? rawValue
    }
}

extension EntryEvent {
    fileprivate func plain(_ event: (Int32, [Int64], String?) -> ModelLedger.Event) -> ModelLedger.Event {
        let figures = [entry, credits, Int64(block ?? 0), balance, reserved, overage]
        switch details {
        case .granted(let source, let expiresAt, let subscription, _):
            return event(
                0, figures + [expiresAt?.microseconds ?? -1, Int64(subscription ?? 0)], source?.rawValue)
        case .used(let feature, let units, let reservation):
            return event(0, figures + [units ?? -1, Int64(reservation ?? 0)], feature?.rawValue)
        case .refunded(let charge, let feature, let reservation, let forfeited, _):
            return event(
                0, figures + [charge ?? 0, Int64(reservation ?? 0), forfeited], feature?.rawValue)
        case .expired, .revoked, .settled: return event(0, figures, nil)
        }
    }
}

extension TopUpRequest {
    var plain: ModelLedger.TopUpRequest {
        let (credits, package) = amount.plain
        var plain = ModelLedger.TopUpRequest(number: Int(number), credits: credits, package: package, at: requestedAt)
        plain.status = status.rawValue
        plain.answeredAt = answeredAt
        return plain
    }
}
