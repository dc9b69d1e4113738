import Credits
import JSON
import LedgerModel

/// The HTTP request of an operation.
extension Operation {
    var method: String {
        switch action {
        case .account(.update, _), .nameFeature: "PATCH"
        case .account(.deleteCap, _), .account(.deleteLimit, _), .account(.deleteRule, _),
            .account(.subscription(.withdrawChange), _):
            "DELETE"
        case .account(.setLimit, _), .account(.setRule, _): "PUT"
        case .account, .makeClock, .advanceClock: "POST"
        }
    }

    var path: String {
        switch action {
        case .nameFeature(let feature, _): "/v1/features/\(feature)"
        case .makeClock: "/v1/test-clocks"
        case .advanceClock(let clock, _): "/v1/test-clocks/\(clock)/advance"
        case .account(let command, let subject): path(command, subject?.description ?? "")
        }
    }

    private func path(_ command: ModelCommand, _ subject: String) -> String {
        switch command {
        case .grant: "/v1/credits/grant"
        case .topUp: "/v1/topups"
        case .use, .advance: "/v1/usage"
        case .refund: "/v1/credits/refund"
        case .revoke: "/v1/credits/revoke"
        case .adjust: "/v1/credits/adjust"
        case .transfer: "/v1/credits/transfer"
        case .reserve: "/v1/reservations"
        case .commit: "/v1/reservations/\(subject)/commit"
        case .release: "/v1/reservations/\(subject)/release"
        case .extend: "/v1/reservations/\(subject)/extend"
        case .progress: "/v1/reservations/\(subject)/progress"
        case .createCap: "/v1/spend-caps"
        case .deleteCap: "/v1/spend-caps/\(subject)"
        case .setLimit(let key, _), .deleteLimit(let key): "/v1/end-users/\(endUser.id)/limits/\(key)"
        case .setRule, .deleteRule: "/v1/end-users/\(endUser.id)/auto-topup"
        case .failRequest: "/v1/auto-topups/\(subject)/failed"
        case .subscription(let act): path(act, subject)
        case .create: "/v1/end-users"
        case .update: "/v1/end-users/\(endUser.id)"
        case .erase: "/v1/end-users/\(endUser.id)/erase"
        }
    }

    /// The name under which the report counts the operation.
    var kind: String {
        guard let command else {
            if case .nameFeature = action { return "feature renamed" }
            return "test clock"
        }
        return switch command {
        case .grant: "grant"
        case .topUp(let topUp): topUp.payment == nil ? "top-up" : "top-up with payment id"
        case .use(let use):
            switch use.demand {
            case .quantities: "use by quantities"
            default: "use"
            }
        case .refund: "refund"
        case .revoke: "revoke"
        case .adjust: "adjust"
        case .transfer: "transfer"
        case .reserve: "reserve"
        case .commit(_, _, _, _, let shortfall): "commit" + (shortfall.map { ", shortfall \($0)" } ?? "")
        case .release: "release"
        case .extend: "extend"
        case .progress: "progress"
        case .createCap: "spend cap set"
        case .deleteCap: "spend cap deleted"
        case .setLimit: "limit set"
        case .deleteLimit: "limit deleted"
        case .setRule: "automatic top-up set"
        case .deleteRule: "automatic top-up deleted"
        case .failRequest: "top-up failed"
        case .subscription(let act): act.kind
        case .create, .update: "end user set"
        case .erase: "end user erased"
        case .advance: "advance"
        }
    }

    /// The JSON body. An event of a batch carries its idempotency key in the body.
    func body(withKey: Bool = false) -> JSONValue {
        var members: [(String, JSONValue?)]
        switch action {
        case .nameFeature(_, let name): return .members([("name", .string(name))])
        case .makeClock(let instant): return .members([("now", .string(instant.description))])
        case .advanceClock(_, let instant): return .members([("to", .string(instant.description))])
        case .account(let command, let subject): members = body(command, subject)
        }
        members.append(("metadata", canary.map { .members([("note", .string($0))]) }))
        if withKey { members.append(("idempotency_key", .string(key))) }
        return .members(members)
    }

    private func body(_ command: ModelCommand, _ subject: PublicID?) -> [(String, JSONValue?)] {
        let owner: (String, JSONValue?) = ("end_user_id", .string(endUser.id))
        switch command {
        case .grant(let grant):
            return [
                owner, ("credits", .integer(grant.credits)), ("source", .string(grant.source)),
                ("starts_at", grant.startsAt.map { .string($0.description) }),
            ] + terms(grant.priority, grant.expiry, grant.features, price: grant.price)
        case .topUp(let topUp):
            return [
                owner, ("credits", topUp.credits.map { .integer($0) }),
                ("package_key", topUp.package.map { .string($0) }),
                ("external_payment_id", topUp.payment.map { .string($0) }),
                ("auto_topup_request_id", topUp.request.flatMap { _ in subject.map { JSONValue.string("\($0)") } }),
            ] + terms(topUp.priority, topUp.expiry, topUp.features, price: topUp.price)
        case .use(let use):
            return [owner] + Self.use(use) + [("occurred_at", use.occurredAt.map { .string($0.description) })]
        case .refund(_, let extent, let expiry):
            var members: [(String, JSONValue?)] = [owner, ("reason", .string("storm"))]
            members.append((subject?.kind == .usage ? "usage_id" : "entry_id", subject.map { .string("\($0)") }))
            switch extent {
            case .rest: break
            case .units(let units): members.append(("units", .integer(units)))
            case .credits(let credits): members.append(("credits", .integer(credits)))
            }
            return members + Self.expiry(expiry)
        case .revoke: return [("block_id", subject.map { .string("\($0)") }), ("reason", .string("storm"))]
        case .adjust(let amount): return [owner, ("amount", .integer(amount)), ("reason", .string("storm"))]
        case .transfer(let other, let credits):
            return [
                ("from_end_user_id", .string(endUser.id)), ("to_end_user_id", .string(other)),
                ("credits", .integer(credits)),
            ]
        case .reserve(let use, let ttl): return [owner] + Self.use(use) + [("ttl_seconds", .integer(ttl))]
        case .commit(_, let demand, _, let attributes, let shortfall):
            return Self.demand(demand) + Self.attributes(attributes) + [("shortfall", shortfall.map { .string($0) })]
        case .progress(_, let demand, _): return Self.demand(demand)
        case .extend(_, let ttl): return [("ttl_seconds", .integer(ttl))]
        case .createCap(let feature, let credits, let window):
            return [
                owner, ("feature_key", feature.map { .string($0) }), ("credits", .integer(credits)),
                ("window", .string(window.text)),
            ]
        case .setLimit(_, let limit): return limit?.members ?? [("limit", .null)]
        case .setRule(let rule): return Self.rule(rule)
        case .failRequest(_, let reason): return [("reason", reason.map { .string($0) })]
        case .create(let settings):
            return [owner, ("test_clock_id", subject.map { .string("\($0)") })] + Self.settings(settings)
        case .update(let settings): return Self.settings(settings)
        case .subscription(let act):
            if case .subscribe = act { return [owner] + act.members }
            return act.members
        case .release, .deleteCap, .deleteLimit, .deleteRule, .erase, .advance: return []
        }
    }

    private func terms(
        _ priority: Int64?, _ expiry: ModelLedger.Expiry?, _ features: [String], price: Int64?
    ) -> [(String, JSONValue?)] {
        Self.expiry(expiry) + [
            ("priority", priority.map { .integer($0) }), ("price_paid", price.map { .integer($0) }),
            ("feature_keys", features.isEmpty ? nil : .array(features.map { .string($0) })),
        ]
    }

    private static func expiry(_ expiry: ModelLedger.Expiry?) -> [(String, JSONValue?)] {
        switch expiry {
        case .never, nil: []
        case .at(let instant): [("expires_at", .string(instant.description))]
        case .after(let months, let seconds):
            [("expires_after", .string("P" + (months > 0 ? "\(months)M" : "") + (seconds > 0 ? "T\(seconds)S" : "")))]
        }
    }

    private static func use(_ use: ModelCommand.Use) -> [(String, JSONValue?)] {
        [("feature_key", .string(use.feature))] + demand(use.demand) + attributes(use.attributes)
    }

    private static func attributes(_ attributes: [String: String]) -> [(String, JSONValue?)] {
        let members = attributes.sorted { $0.key < $1.key }.map { ($0.key, JSONValue?.some(.string($0.value))) }
        return [("attributes", members.isEmpty ? nil : .members(members))]
    }

    private static func demand(_ demand: ModelDemand) -> [(String, JSONValue?)] {
        switch demand {
        case .units(let units): [("units", .integer(units))]
        case .credits(let credits): [("credits", .integer(credits))]
        case .quantities(let quantities):
            [("quantities", .members(quantities.sorted { $0.key < $1.key }.map { ($0.key, .integer($0.value)) }))]
        }
    }

    private static func rule(_ rule: ModelLedger.TopUpRule) -> [(String, JSONValue?)] {
        let ceiling = rule.most.map { most -> JSONValue in
            .members([("count", .integer(most)), ("window", .string(rule.window.text))])
        }
        return [
            ("threshold", .integer(rule.threshold)), ("credits", rule.credits.map { .integer($0) }),
            ("package_key", rule.package.map { .string($0) }), ("at_most", ceiling),
            ("cooldown_seconds", .integer(rule.cooldown)), ("stop_after_failures", .integer(rule.stopAfter)),
        ]
    }

    private static func settings(_ settings: ModelCommand.Settings) -> [(String, JSONValue?)] {
        let overrides = settings.overrides?.sorted { $0.key < $1.key }.map { feature, override -> JSONValue in
            override.json(of: feature)
        }
        return [
            ("name", settings.name.map { .string($0) }),
            ("overage_policy", settings.policy.map { $0.map { .string($0.rawValue) } ?? .null }),
            ("overage_limit", settings.limit.map { $0.map { .integer($0) } ?? .null }),
            ("feature_overrides", overrides.map { .array($0) }),
        ]
    }
}

extension ModelWindow {
    /// The window as the API writes it.
    var text: String {
        switch self {
        case .day: "day"
        case .week: "week"
        case .month: "month"
        case .duration(let months, let seconds):
            "P" + (months > 0 ? "\(months)M" : "") + (seconds > 0 ? "T\(seconds)S" : "")
        }
    }
}

extension ModelLedger.Override {
    func json(of feature: String) -> JSONValue {
        let terms: (String, JSONValue?) =
            switch self {
            case .enabled(let isEnabled): ("enabled", .bool(isEnabled))
            case .limit(let limit): ("limit", .integer(limit))
            case .quota(let quota): ("quota", quota.json)
            }
        return .members([("feature_key", .string(feature)), terms])
    }
}

extension ModelLedger.Limit {
    /// The members of a limit without its key, as the API expects them.
    var members: [(String, JSONValue?)] {
        let match = match.sorted { $0.key < $1.key }.map { name, values in
            (name, JSONValue?.some(.array(values.map { .string($0) })))
        }
        return [
            ("unit", .string(unit)), ("limit", .integer(amount)), ("window", window.map { .string($0.text) }),
            ("anchor", opensWithUse ? .string("first_use") : nil),
            ("feature_keys", features.isEmpty ? nil : .array(features.map { .string($0) })),
            ("match", match.isEmpty ? nil : .members(match)), ("per", per.map { .string($0) }),
            ("dimension", dimension.map { .string($0) }),
        ]
    }
}

extension ModelLedger.Quota {
    var json: JSONValue {
        .members([
            ("limit", .integer(limit)), ("window", .string(window.text)),
            ("anchor", .string(opensWithUse ? "first_use" : "calendar")),
        ])
    }
}
