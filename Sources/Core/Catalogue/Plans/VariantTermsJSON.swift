import Credits
package import JSON
import Metering

extension VariantTerms {
    /// The members in the order in which they are shown, defaults included.
    package var json: JSONObject {
        JSONObject(members: [
            (key: "billing_interval", value: billingInterval.json),
            (key: "billing_mode", value: .string(billingMode.rawValue)),
            (key: "credit_grants", value: .array(grants.map(\.json))),
            (
                key: "features",
                value: .array(
                    features.sorted { $0.key < $1.key }.map { feature, grant in
                        .object(
                            JSONObject(members: [(key: "feature_key", value: .string(feature.rawValue)), grant.member]))
                    })
            ),
            (key: "limits", value: .array(limits.sorted { $0.key < $1.key }.map { $1.json(key: $0) })),
            (key: "overage_policy", value: .optional(overagePolicy?.rawValue)),
            (key: "overage_limit", value: .optional(overageLimit?.rawValue)),
            (key: "renewal_due_days", value: .integer(Int64(renewalDueDays))),
            (key: "grace_period_days", value: .integer(Int64(gracePeriodDays))),
            (key: "allow_usage_while_overdue", value: .bool(allowsUsageWhileOverdue)),
            (key: "trial_days", value: .integer(Int64(trialDays))),
            (key: "trial_credits", value: .integer(trialCredits.rawValue)),
            (key: "fallback_variant_id", value: .optional(fallbackVariantID?.description)),
            (key: "price", value: .optional(price)),
            (key: "currency", value: .optional(currency)),
        ])
    }

    /// The form in which terms are stored and sent. Equal terms have equal texts.
    package var canonicalJSON: String { String(decoding: JSONValue.object(json).canonicalBytes, as: UTF8.self) }

    /// Reads terms from `canonicalJSON`.
    ///
    /// - Throws: `JSONError` if the text is not JSON, `JSONProblems` that name each wrong member otherwise.
    package init(json text: String) throws {
        self = try JSONReader.read(try JSONParser.parse(Array(text.utf8))) { reader in
            let fallback = reader.optionalString("fallback_variant_id", expected: "the id of a variant") {
                PublicID(.planVariant, parsing: $0)
            }
            var terms = reader.variantTerms()
            terms?.fallbackVariantID = fallback
            return terms
        }
    }
}

extension JSONValue {
}

extension BillingInterval {
    fileprivate var json: JSONValue { .object(["unit": .string(unit.rawValue), "count": .integer(Int64(count))]) }
}

extension VariantLimit {
    fileprivate func json(key: LimitKey) -> JSONValue {
        var members: [(key: String, value: JSONValue)] = [(key: "key", value: .string(key.rawValue))]
        if case .object(let definition) = limit.json { members += definition.members }
        members.append((key: "per_quantity", value: .bool(isPerQuantity)))
        return .object(JSONObject(members: members))
    }
}

extension GrantLine {
    fileprivate var json: JSONValue {
        var members: [(key: String, value: JSONValue)] = [
            (key: "credits", value: .integer(credits.rawValue)),
            (key: "cadence", value: .string(cadence.name.rawValue)),
        ]
        if case .every(let duration, let anchor) = cadence {
            members.append((key: "every", value: .string(duration.iso8601)))
            members.append((key: "anchor", value: .string(anchor.rawValue)))
        }
        members += [
            (key: "expires", value: .string(expiry.text)),
            (key: "priority", value: .optional(priority.map { Int64($0) })),
            (key: "rollover", value: rollover?.json ?? .null),
            (key: "accumulation_cap", value: .optional(accumulationCap?.rawValue)),
            (key: "feature_keys", value: .array(featureKeys.map { .string($0.rawValue) })),
        ]
        return .object(JSONObject(members: members))
    }
}

extension GrantLine.Rollover {
    fileprivate var json: JSONValue {
        .object([
            "percentage": .integer(Int64(percentage)), "cap": .optional(cap?.rawValue), "expires": .string(expiry.text),
        ])
    }
}

extension GrantLine.Expiry {
    /// The expiries that are not a duration.
    private static let named: [(text: String, expiry: Self)] = [
        ("period_end", .periodEnd), ("next_grant", .nextGrant), ("never", .never),
    ]

    /// The valid texts, in the form that completes "must be …".
    static let expectation = "\"period_end\", \"next_grant\", \"never\" or an ISO 8601 duration, such as P30D"

    init?(text: String) {
        if let named = Self.named.first(where: { $0.text == text }) {
            self = named.expiry
        } else if let duration = CalendarDuration(iso8601: text) {
            self = .after(duration)
        } else {
            return nil
        }
    }

    var text: String {
        switch self {
        case .periodEnd: "period_end"
        case .nextGrant: "next_grant"
        case .never: "never"
        case .after(let duration): duration.iso8601
        }
    }
}

extension GrantLine.Cadence {
    /// The names of cadences in JSON. A line of cadence `every` states its duration in the member `every`.
    enum Name: String, CaseIterable {
        case activation, period, every
    }

    var name: Name {
        switch self {
        case .activation: .activation
        case .period: .period
        case .every: .every
        }
    }
}
