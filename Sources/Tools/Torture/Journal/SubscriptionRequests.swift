import Credits
import JSON
import LedgerModel

// The HTTP requests of subscriptions and of the plans that they are for.

extension Operation {
    func path(_ act: ModelSubscriptionAct, _ subject: String) -> String {
        let verb =
            switch act {
            case .subscribe: ""
            case .renew: "/renew"
            case .change(_, let change): "/\(change.verb.rawValue)"
            case .pause: "/pause"
            case .resume: "/resume"
            case .cancel: "/cancel"
            case .uncancel: "/uncancel"
            case .withdrawChange: "/pending-change"
            }
        return verb.isEmpty ? "/v1/subscriptions" : "/v1/subscriptions/\(subject)\(verb)"
    }
}

extension ModelSubscriptionAct {
    /// The name under which the report counts the operation.
    var kind: String {
        switch self {
        case .subscribe: "subscribe"
        case .renew: "renew"
        case .change(_, let change): change.verb.rawValue + (change.effective.map { ", \($0.rawValue)" } ?? "")
        case .pause: "pause"
        case .resume: "resume"
        case .cancel(_, let isNow, _): isNow ? "cancel, now" : "cancel"
        case .uncancel: "uncancel"
        case .withdrawChange: "change withdrawn"
        }
    }

    /// The members of the request, without the end user.
    var members: [(String, JSONValue?)] {
        switch self {
        case .subscribe(let wanted):
            return [
                ("plan_variant_id", .string(Market.key(wanted.variant))), ("quantity", .integer(wanted.quantity)),
                ("start_at", wanted.startsAt.map { .string($0.description) }),
                ("trial_days", wanted.trialDays.map { .integer($0) }),
                (
                    "contract",
                    wanted.contract.map { contract in
                        .members([
                            ("periods", .integer(contract.periods)),
                            ("on_end", .string(contract.renews ? "renew" : "expire")),
                            ("notice_days", .integer(contract.noticeDays)),
                        ])
                    }
                ),
            ]
        case .change(_, let change):
            return [
                ("plan_variant_id", change.variant.map { .string(Market.key($0)) }),
                ("quantity", change.quantity.map { .integer($0) }),
                ("effective", change.effective.map { .string($0.rawValue) }),
                ("proration", change.restarts ? .string("restart") : nil),
            ]
        case .pause(_, let resumeAt): return [("resume_at", resumeAt.map { .string($0.description) })]
        case .cancel(_, let isNow, let revokes):
            return [("at", .string(isNow ? "now" : "period_end")), ("revoke_credits", .bool(revokes))]
        case .renew, .resume, .uncancel, .withdrawChange: return []
        }
    }
}

extension ModelVariant {
    /// The members of the variant, as the API expects them.
    var members: [(String, JSONValue?)] {
        let limits = limits.sorted { $0.key < $1.key }.map { key, stated -> JSONValue in
            .members(
                [("key", .string(key)), ("per_quantity", .bool(stated.isPerQuantity))] + stated.limit.members)
        }
        return [
            ("billing_interval", .members([("unit", .string(unit.rawValue)), ("count", .integer(count))])),
            ("billing_mode", .string(isPostpaid ? "postpaid" : "prepaid")),
            ("credit_grants", .array(lines.map { .members($0.members) })),
            ("features", .array(features.sorted { $0.key < $1.key }.map { $0.value.json(of: $0.key) })),
            ("limits", .array(limits)), ("overage_policy", policy.map { .string($0.rawValue) }),
            ("overage_limit", overageLimit.map { .integer($0) }), ("renewal_due_days", .integer(renewalDueDays)),
            ("grace_period_days", .integer(graceDays)),
            ("allow_usage_while_overdue", .bool(allowsUsageWhileOverdue)), ("trial_days", .integer(trialDays)),
            ("trial_credits", .integer(trialCredits)),
            ("fallback_variant_id", fallback.map { .string(Market.key($0)) }),
        ]
    }
}

extension ModelLine {
    fileprivate var members: [(String, JSONValue?)] {
        var members: [(String, JSONValue?)] = [
            ("credits", .integer(credits)), ("expires", .string(expiry.text)),
            ("priority", priority.map { .integer($0) }), ("accumulation_cap", accumulationCap.map { .integer($0) }),
            ("feature_keys", features.isEmpty ? nil : .array(features.map { .string($0) })),
        ]
        switch cadence {
        case .activation: members.append(("cadence", .string("activation")))
        case .period: members.append(("cadence", .string("period")))
        case .every(let duration, let anchor):
            members += [
                ("cadence", .string("every")), ("every", .string(duration.text)),
                ("anchor", .string(anchor.rawValue)),
            ]
        }
        if let rollover {
            members.append(
                (
                    "rollover",
                    .members([
                        ("percentage", .integer(rollover.percentage)), ("cap", rollover.cap.map { .integer($0) }),
                        ("expires", .string(rollover.expiry.text)),
                    ])
                ))
        }
        return members
    }
}

extension ModelLine.Expiry {
    fileprivate var text: String {
        switch self {
        case .periodEnd: "period_end"
        case .nextGrant: "next_grant"
        case .never: "never"
        case .after(let duration): duration.text
        }
    }
}

extension ModelDuration {
    /// The duration in ISO 8601.
    fileprivate var text: String {
        let date = (months > 0 ? "\(months)M" : "") + (days > 0 ? "\(days)D" : "")
        return "P" + date + (seconds > 0 ? "T\(seconds)S" : "")
    }
}
