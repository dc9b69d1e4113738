import Catalogue
import Commands
package import Credits
package import JSON
import Ledger
import Metering
import Webhooks

extension Fields {
    static let texts: [String: JSONSchema] = [
        "after": .text(
            "The id of an event, or a `next_cursor`. The feed continues behind it.", "evt_0000000000k5vdn00000000001"),
        "actor": .text("The id of a key, or `root`.", "root"),
        "action": .text("The kind of the mutation.", "credits.grant"),
        "code": .text("The code, which does not change.", "invalid_request"),
        "counterparty": .text("The other end user of a transfer.", "user_456"),
        "currency": .text("The currency, three letters as in ISO 4217.", "EUR", pattern: "^[A-Z]{3}$"),
        "cursor": .text("The `next_cursor` of the page before.", "5b317d"),
        "day": .text("The local day.", "2026-01-31", pattern: "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
        "description": .text("A text of the tenant's own.", "Billing events", 1...500),
        "detail": .text("A sentence that says what was wrong and what to do.", "/units must be at least 0."),
        "dimension": .key("The dimension of the price.", "input_tokens"),
        "end_user_id": .text("The tenant's own id of the end user.", "user_123", 1...EndUserID.maximumBytes),
        "error": .text("The failure; null for none.", "timeout"),
        "event_type": .text("The type of the event.", "credits.used"),
        "every": .text("The duration of the windows in which the line's credits land, ISO 8601.", "PT5H"),
        "expires": .text("The expiry of the line's credits.", "period_end"),
        "expires_after": .text("The time from its start to its expiry, an ISO 8601 duration; null for never.", "P30D"),
        "external_payment_id": .text(
            "The payment provider's id. A second top-up with it is no second payment.", "pi_3Nx", 1...255),
        "feature_key": .key("The feature.", "api_calls"),
        "for": .text("The purpose; everything when it is left out.", "checks"),
        "from_end_user_id": .text("The sender.", "user_123", 1...EndUserID.maximumBytes),
        "group_by": .text("The sums to make: by hour, day, month, feature, or `attribute:` and a name.", "day"),
        "hash": .text(
            "The SHA-256 of the entry and the hash before it, hexadecimal.", String(repeating: "0", count: 64),
            pattern: "^[0-9a-f]{64}$"),
        "hint": .text("The beginning and the end of the key.", "qs_test_…abcd"),
        "idempotency_key": .text(
            "The key by which a repetition of the item is recognised.", "invoice-2026-01", 1...255),
        "ip": .text("The address of the client.", "203.0.113.7"),
        "key": .key("The tenant's own key, or the key of the limit.", "api_calls"),
        "key_notice": .text(
            "Says why the key is not shown.", "A key is shown in the answer to the request that made it."),
        "limit_key": .text("The limit that refused.", "quota:api_calls"),
        "month": .text("The local month.", "2026-01", pattern: "^[0-9]{4}-[0-9]{2}$"),
        "name": .text("A name for people.", "API calls", 1...200),
        "next_cursor": .text("The `cursor` of the next page; null on the last one.", "5b317d"),
        "note": .text(
            "A sentence about what the numbers leave out; null for nothing.",
            "Computed from the entries up to that instant."),
        "package_key": .key("The top-up package.", "credits-1000"),
        "per": .key("The attribute each of whose values has a counter of its own.", "model"),
        "per_value": .text("The value of the limit's attribute whose counter is shown.", "large"),
        "pointer": .text("The place in the body (RFC 6901), or `/query/` and a name.", "/units"),
        "position": .text("The position of the state, for QuotaStack-Min-Position.", "0"),
        "reason": .text("A text for people, or the code of the refusal.", "Goodwill", 1...500),
        "response": .text("The beginning of the receiver's answer; null for none.", "ok"),
        "result": .text("The name of the sum.", "balance"),
        "secret": .text("The secret that signs the deliveries. It is shown once.", "whsec_…"),
        "secret_notice": .text(
            "Says why the secret is not shown.", "A secret is shown in the answer to the request that made it."),
        "slot": .text("The slot of the plan: an end user has one live subscription in each.", "base"),
        "term": .text("The name of the term.", "price"),
        "timezone": .text(
            "The IANA name of the zone whose calendar quotas and totals follow.", "Europe/Berlin", 1...64),
        "title": .text("The title of the code, for people.", "The request is not valid"),
        "to_end_user_id": .text("The receiver.", "user_456", 1...EndUserID.maximumBytes),
        "type": .text("The type.", "metered"),
        "unit_name": .text("The name of a unit, for people.", "call", 1...64),
        "url": .text("The address that gets the events, HTTPS.", "https://example.com/hooks/quotastack"),
        "what": .text("The name of the addend.", "remaining"),
        "window": .text("The window: `day`, `week`, `month` or an ISO 8601 duration from PT1M to P10Y.", "month"),
    ]

    static let choices: [String: JSONSchema] = [
        "anchor": .choice(WindowAnchor.self, "The rule by which windows open."),
        "billing_mode": JSONSchema(.any, "Whether a period is paid before or after it.", example: .string("prepaid")),
        "cadence": JSONSchema(.any, "When the line's credits land.", example: .string("period")),
        "create_end_users": JSONSchema(
            .any, "Whether a mutation creates the end user that it names.", example: .string("implicit")),
        "disabled_reason": JSONSchema(
            .choice(["requested", "gone", "failing"]), "Why it is disabled; null while it is enabled."),
        "effective": .choice(SubscriptionChange.Timing.self, "When the change takes effect."),
        "entry_type": .choice(EntryType.self, "The type of the entry."),
        "environment": .choice(EnvironmentKind.self, "The environment."),
        "kind": .choice(PriceLineKind.self, "The kind of the line."),
        "model": JSONSchema(.any, "The pricing model.", example: .string("per_unit")),
        "on_end": JSONSchema(.any, "What happens when the contract ends.", example: .string("renew")),
        "order": JSONSchema(.any, "The order by time.", example: .string("asc")),
        "outcome": JSONSchema(.choice(["succeeded", "failed"]), "Whether the mutation took effect."),
        "overage_policy": .choice(OveragePolicy.self, "What happens to a use beyond the balance."),
        "proration": .choice(SubscriptionChange.Proration.self, "How a change within a period treats the credits."),
        "rounding": JSONSchema(.any, "Whether each event is rounded up, or the sum of all.", example: .string("event")),
        "scope": JSONSchema(.any, "Whether tiers fill over one event or over the period.", example: .string("event")),
        "shortfall": .choice(Shortfall.self, "What happens when the costs exceed the held credits and the balance."),
        "source": .choice(BlockSource.self, "Where the credits come from."),
        "status": JSONSchema(.any, "The state.", example: .string("active")),
        "subscription_status": .choice(SubscriptionStatus.self, "The status of the subscription; null without one."),
        "trigger": JSONSchema(.choice(["deadline", "settlement"]), "The cause, if it was no request."),
        "unit": .choice(Limit.Unit.self, "The thing that is counted."),
    ]

    static let flags: [String: JSONSchema] = [
        "allow_usage_while_overdue": .flag("Whether a subscription that is past due permits use."),
        "allowed": .flag("Whether the end user may use it now.", true),
        "archived": .flag("Whether it is archived."),
        "cancel_at_period_end": .flag("Whether it ends with the current period."),
        "dry_run": .flag("Whether only to show what would happen.", true),
        "enabled": .flag("Whether it is on.", true),
        "has_more": .flag("Whether another page follows."),
        "holds": .flag("Whether the comparison holds.", true),
        "per_quantity": .flag("Whether the amount counts for each one of the subscription's quantity."),
        "ready": .flag("Whether the node can serve.", true),
        "renewed_ahead": .flag("Whether the next period is paid for already."),
        "reservation": .flag("Whether limits of running jobs are asked too."),
        "revoke_credits": .flag("Whether the credits of the subscription are revoked."),
        "suspended": .flag("Whether too many failures have stopped the rule."),
    ]

    static let structures: [String: JSONSchema] = [
        "api_keys": JSONSchema(.any, "A key for each environment."),
        "block": JSONSchema(.any, "The block; null when credits were taken away."),
        "entry": JSONSchema(.any, "The entry of the ledger; null when nothing was written."),
        "operation": JSONSchema(.any, "The operation."),
        "pending_change": JSONSchema(.any, "The change that takes effect at the period's end; null for none."),
        "progress": JSONSchema(.any, "The part of the job that was reported; null for none."),
        "replay": JSONSchema(.any, "The replay that is under way; null for none."),
        "subscription": JSONSchema(.any, "The subscription afterwards; null when it has ended."),
        "at_most": JSONSchema(.any, "The most requests in a window; null for no limit."),
        "attributes": JSONSchema(
            .map(.attributeValue), "The attributes that choose the price and the limits.",
            example: .object(["model": .string("large")])),
        "balance_low_thresholds": JSONSchema(
            .array(.any),
            "The levels of the effective balance below which the tenant is told: millicredits, or a percentage.",
            example: .array([.integer(5_000), .object(["percent": .integer(20)])])),
        "billing_interval": JSONSchema(.any, "The length of a period."),
        "breakdown": .list(of: .any, "The addends of the cost."),
        "checks": .list(of: .any, "The checks, at most 1,000."),
        "contract": JSONSchema(.any, "The contract; null without one."),
        "credit_grants": .list(of: .any, "The credits that subscribers get, line by line."),
        "data": JSONSchema(.any, "The data."),
        "dimensions": JSONSchema(.any, "A model for each dimension of the event's quantities."),
        "errors": .list(of: .any, "The problems of the body, at most 20."),
        "event_types": JSONSchema(.array(.any), "The types of events that are delivered; null for all."),
        "events": .list(of: .any, "The events."),
        "feature_keys": JSONSchema(
            .array(.key("A feature.", "api_calls")), "The features; empty for all.",
            example: .array([.string("api_calls")])),
        "feature_overrides": .list(of: .any, "The features that the end user has in another way than the plan says."),
        "features": .list(of: .any, "What the variant includes."),
        "grants": .list(of: .any, "The grants, at most 10,000."),
        "limits": .list(of: .any, "The limits."),
        "match": JSONSchema(
            .any, "The attributes that an event must have.", example: .object(["model": .string("large")])),
        "metadata": JSONSchema(
            .map(.any), "A JSON object of the tenant's own, at most 4,096 bytes and 8 levels.",
            example: .object(["order": .string("4711")])),
        "price_rows": .list(of: .any, "Prices by attributes: the first row that matches counts."),
        "quantities": JSONSchema(
            .map(.number("The units of the dimension.", 1_200)), "The units by dimension.",
            example: .object(["input_tokens": .integer(1_200)])),
        "quota": JSONSchema(.any, "The limit of units in each window; null for none."),
        "record_event_types": JSONSchema(
            .array(.choice(EventType.self)), "The types of events that are recorded; null for all."),
        "report_by": JSONSchema(
            .array(.key("An attribute.", "model")), "The attributes by which usage can be summed.",
            example: .array([.string("model")])),
        "rollover": JSONSchema(.any, "The part of the unused credits that is granted again; null for none."),
        "rule": JSONSchema(.any, "A metering rule."),
        "scopes": JSONSchema(
            .array(JSONSchema(.choice(KeyScopes.named.map(\.name)))), "The scopes of the key; null for all.",
            example: .array([.string("usage:write")])),
        "tiers": .list(of: .any, "The tiers, each ending above the one before."),
        "used_before": JSONSchema(
            .any, "The usage of the period before the event: units, or units by dimension.", example: .integer(0)),
        "warn_at": JSONSchema(
            .array(.number("A percentage.", 80, in: 1...100)),
            "The percentages of the limit of which the tenant is told.",
            example: .array([.integer(80)])),
    ]

    /// The words that complete "must be …" for a public id.
    package static func idExpectation(_ kind: PublicIDKind) -> String { "an id that begins with \(kind.rawValue)_" }

    private static func idForm(_ kind: PublicIDKind) -> JSONSchema { .id(kind, "Must be \(idExpectation(kind)).") }

    /// The forms of texts that requests have, by the words of the refusal.
    package static let textForms: [String: JSONSchema] = [
        idExpectation(.block): idForm(.block), idExpectation(.entry): idForm(.entry),
        idExpectation(.testClock): idForm(.testClock), idExpectation(.topUpRequest): idForm(.topUpRequest),
        idExpectation(.usage): idForm(.usage),
        String.planNameExpectation: .text(
            "Must be \(String.planNameExpectation).", "pro", pattern: "^[a-z0-9][a-z0-9_.-]{0,63}$"),
        ReportAttributes.expectation: .text(
            "Must be \(ReportAttributes.expectation).", "model",
            pattern: "^(?!(\(ReportAttributes.reservedNames.joined(separator: "|")))$)[A-Za-z0-9_.:-]{1,64}$"),
        FeatureKey.expectation: .key("", "api_calls"),
        "three capital letters, as in ISO 4217": .text("", "EUR", pattern: "^[A-Z]{3}$"),
        "an RFC 3339 instant in the years 0001 to 9999 of UTC, such as 2026-01-31T00:00:00Z": .instant(""),
        "an RFC 3339 instant": .instant(""),
        WindowLength.expectation: .text("", "month"),
        EndUserID.expectation: .text("", "user_123", 1...EndUserID.maximumBytes),
    ]
}

extension JSONSchema {
    static let any = JSONSchema(.any)

    static let attributeValue = JSONSchema(
        .anyOf([
            JSONSchema(.string(Text(bytes: 0...PriceLimit.attributeBytes))), JSONSchema(.integer(.min ... .max)),
            JSONSchema(.boolean),
        ]))
}
