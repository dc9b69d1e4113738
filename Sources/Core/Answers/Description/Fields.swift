import Catalogue
import Credits
package import JSON
import Ledger
import Metering
import Webhooks

/// The names of members in requests, answers and queries, each with its sentence, its unit, its usual schema in an
/// answer, and an example.
package enum Fields {
    package static let all = ids.merging(amounts) { $1 }.merging(numbers) { $1 }.merging(instants) { $1 }
        .merging(texts) { $1 }.merging(choices) { $1 }.merging(flags) { $1 }.merging(structures) { $1 }

    /// Examples beside those of `all`, for names that have several meanings in requests.
    private static let otherExamples: [String: [JSONValue]] = [
        "key": [.string("pro-monthly"), .string("daily")],
        "limit": [.integer(100)],
        "price": [.integer(999)],
        "url": [.string("https://example.com/hooks/quotastack")],
        "to": [.string("pro-monthly"), .string("2026-02-28T00:00:00Z")],
        "expires": [.string("P30D")],
        "event_types": [.array([.string("credits.used")])],
        "feature_keys": [.array([.string("api_calls")])],
        "window": [.string("month")],
        "match": [.object(["model": .string("large")])],
        "attributes": [.object(["model": .string("large")])],
    ]

    /// The sentences and examples for the readers of requests.
    package static let notes = JSONNotes(
        fields: all.merging(otherExamples.filter { all[$0.key] == nil }.mapValues { _ in JSONSchema(.any) }) { $1 }
            .map { name, schema in
                (
                    name,
                    JSONNotes.Field(
                        schema.description,
                        examples: [schema.example].compactMap { $0 } + otherExamples[name, default: []])
                )
            }.reduce(into: [:]) { $0[$1.0] = $1.1 },
        texts: textForms)
}

extension Fields {
    private static let ids: [String: JSONSchema] = [
        "block_id": .id(.block, "The block."),
        "counterparty_entry_id": .id(.entry, "The entry on the other side of a transfer."),
        "default_plan_variant_id": .id(.planVariant, "The variant that a new end user is put on; null for none."),
        "endpoint_id": .id(.webhookEndpoint, "The webhook endpoint."),
        "entry_id": .id(.entry, "The entry of the ledger."),
        "event_id": .id(.event, "The event."),
        "fallback_variant_id": .id(
            .planVariant, "The variant that follows when a subscription ends without a renewal; null for none."),
        "first_entry_id": .id(.entry, "The first of the entries."),
        "id": .text("The id.", "use_0000000000k5vdn00000000001"),
        "last_entry_id": .id(.entry, "The last of the entries."),
        "open_request_id": .id(.topUpRequest, "The request for a top-up that waits for its answer; null for none."),
        "plan_id": .id(.plan, "The plan."),
        "plan_variant_id": .id(.planVariant, "The variant of a plan. A request names it by its id or its key."),
        "refunds": .id(.entry, "The charge that the entry gives back."),
        "replaces": .id(.key, "The key that this one was rolled from; null for none."),
        "request_id": .text("The id of the request, which the log has too.", "req-4711"),
        "reservation_id": .id(.reservation, "The reservation."),
        "rule_id": .id(.rule, "The version of the metering rule that priced it."),
        "spend_cap_id": .id(.spendCap, "The spend cap."),
        "subscription_id": .id(.subscription, "The subscription."),
        "test_clock_id": .id(.testClock, "The test clock that sets the end user's time; null for real time."),
        "usage_id": .id(.usage, "The usage event."),
        "auto_topup_request_id": .id(.topUpRequest, "The request that this top-up answers."),
        "webhook_endpoint_id": .id(.webhookEndpoint, "The webhook endpoint."),
    ]

    private static let amounts: [String: JSONSchema] = [
        "accumulation_cap": .amount("The most that may remain of the line's credits", 100_000, from: 1),
        "amount": .signed("The price, or the change of a balance, which is negative when it takes credits away"),
        "available": .signed("The part that a use could take"),
        "balance": .signed("The credits that the end user has, held ones included and overage subtracted", 49_000),
        "balance_after": .signed("The balance after it", 48_000),
        "cap": .amount("The most that comes back in a turn", 10_000, from: 1),
        "cost": .signed("The price of the use", 1_000),
        "credits": .amount("The number of credits"),
        "effective_balance": .signed("The balance without the reserved credits", 49_000),
        "estimated_cost": .amount("The price of the request if it were charged now", 1_000),
        "flat_fee": .amount("The fee for entering the tier", 0),
        "forfeited": .amount("The part of a refund that was lost, because its block was revoked", 0),
        "frozen_balance": .amount("The credits of paused subscriptions, which cannot be spent", 0),
        "held": .signed("The credits that reservations hold", 0),
        "lifetime_granted": JSONSchema(
            .integer(0 ... .max), "All credits that were ever granted, in millicredits.", example: .integer(50_000)),
        "original": .amount("The credits of the block when it was granted", 50_000),
        "overage": .amount("The credits that were used beyond the balance", 0),
        "overage_after": .amount("The overage after it", 0),
        "overage_delta": .signed("The change of the overage", 0),
        "overage_limit": .amount("The most overage that is allowed; null for no limit", 10_000),
        "overage_reduced": .amount("The part of the refund that has paid overage back", 0),
        "package_cost": .amount("The price of a package", 1_000),
        "charged": .amount("The credits that this action has charged", 1_000),
        "refundable": .amount("The most that can be refunded", 1_000),
        "refunded": .amount("The credits that were given back", 1_000),
        "remaining": JSONSchema(
            .integer(.min ... .max), "What is left: millicredits of a block or a cap, units of a quota.",
            example: .integer(49_000)),
        "required": .signed("What the request needs", 1_000),
        "reserved_after": .amount("The reserved credits after it", 0),
        "reserved_balance": .amount("The credits that reservations hold", 0),
        "reserved_delta": .signed("The change of the reserved credits", 0),
        "returned": .amount("The held credits that came back", 0),
        "revoked": .amount("The credits that were taken back", 5_000),
        "spendable_balance": .signed("The credits that can be spent on the feature", 49_000),
        "spent": .amount("The credits spent in the current window", 1_000),
        "threshold": .amount("The effective balance below which credits are asked for", 5_000),
        "trial_credits": .amount("The credits of a trial", 0),
        "uncovered": .amount("The part of a reservation that the balance did not cover", 0),
        "unit_cost": .amount("The price of `per_units` units", 1_000),
        "used": JSONSchema(
            .integer(0 ... .max), "What was used in the current window: units, millicredits or running jobs.",
            example: .integer(1)),
        "value": JSONSchema(.any, "The result, or the value of the attribute.", example: .integer(49_000)),
    ]

    private static let numbers: [String: JSONSchema] = [
        "accepted": .number("The number of items that took effect."),
        "added_units": .number("The units that this commit adds to earlier ones of the feature."),
        "affordable_units": .number("The units that the balance and the limits allow now; null without a bound.", 49),
        "charges": .number("The number of charges."),
        "cooldown_seconds": .number("The seconds between two requests for a top-up.", 60),
        "count": .number("The number of times or entries."),
        "expiring_soon_hours": .number("The hours before an expiry at which the tenant is told.", 72),
        "fail_closed_over_ms": .number(
            "The age of a node's memory in milliseconds from which it refuses checks; null for never.", 60_000),
        "failed": .number("The number that could not be moved.", 0),
        "failures": .number("The failures in a row.", 0),
        "first_period": .number("The period with which the contract begins."),
        "grace_period_days": .number("The days after a period during which a late payment renews the subscription.", 7),
        "index": .number("The place of the item in the request, from 0.", 0),
        "latency_ms": .number("The duration of the attempt in milliseconds.", 120),
        "limit": .number("The most that is allowed, or the largest number of items of a page.", 100),
        "moved": .number("The number that was moved.", 0),
        "notice_days": .number("The days before its end at which the tenant is told of it.", 30),
        "overlap_seconds": .number("The seconds for which the old one stays valid.", 3_600),
        "package_size": .number("The units of a package.", 10, in: 1...Millicredits.limit),
        "per_units": .number("The number of units that `unit_cost` pays for.", 1_000, in: 1...Millicredits.limit),
        "percent": .number("The percentage of the credits that were granted.", 20, in: 1...100),
        "percentage": .number("The percentage of the unused credits that comes back.", 50, in: 1...100),
        "period_index": .number("The number of the period, from 1.", 1, in: 0 ... .max),
        "periods": .number("The number of periods.", 12, in: 1 ... .max),
        "previous_sequence": .number("The number of the event before this one in its account; null for none.", 6),
        "price": .number("The price in the minor unit of `currency`, for the record.", 999),
        "price_paid": .number("The price that was paid, in the minor unit of `currency`.", 999),
        "priority": .number("The place of the block in the burn order: lower ones are spent first.", 10, in: 0...100),
        "quantity": .number("The number of seats or copies.", 1, in: 1...1_000_000),
        "rate_limit_per_second": .number("The requests that a second may have; null for no limit.", 5_000),
        "rejected": .number("The number of items that were refused.", 0),
        "renewal_due_days": .number("The days before a period's end at which the tenant is told to renew.", 3),
        "replayed": .number("The number of items that had been decided before.", 0),
        "replica_age_ms": .number("The age of the memory that answered, in milliseconds.", 3),
        "sequence": .number("The number in its account, from 1, without gaps.", 7),
        "skipped": .number("The number that needed no move.", 0),
        "status_code": .number("The HTTP status.", 201),
        "stop_after_failures": .number("The failures in a row that suspend the rule.", 3),
        "subscription_line": .number("The line of the variant's credit grants, from 0.", 0),
        "tier": .number("The tier, from 1."),
        "total": .number("The number in all.", 12),
        "trial_days": .number("The days of a trial.", 14),
        "ttl_seconds": .number("The seconds until the reservation ends by itself.", 600),
        "units": .number("The units of the event.", 1),
        "up_to": .number("The last unit of the tier; null for the last tier.", 10_000),
        "variant_version": .number("The version of the variant.", 1),
        "version": .number("The number of the version.", 1),
    ]

    private static let instants: [String: JSONSchema] = [
        "anchor_at": .instant("The instant from which the periods are counted."),
        "as_of": .instant("The instant of the state that is shown."),
        "at": .instant("The instant."),
        "created_at": .instant("The instant of the creation."),
        "current_period_end": .instant("The end of the current period.", "2026-02-28T00:00:00.000Z"),
        "current_period_start": .instant("The start of the current period."),
        "disabled_at": .instant("The instant at which it was disabled; null while it is enabled."),
        "effective_at": .instant("The instant for which it counts."),
        "effective_from": .instant("The instant from which the rule is in force."),
        "ended_at": .instant("The instant at which it ended; null before that."),
        "erased_at": .instant("The instant of the erasure."),
        "expires_at": .instant("The instant from which it is no longer valid; null for never.", "2099-01-01T00:00:00Z"),
        "finished_at": .instant("The instant at which it ended; null before that."),
        "from": .instant("The first instant.", "2026-01-01T00:00:00Z"),
        "grace_ends_at": .instant("The end of the grace period; null outside one."),
        "hour": .instant("The start of the hour."),
        "last_requested_at": .instant("The instant of the last request for a top-up; null before the first."),
        "next_attempt_at": .instant("The instant of the next attempt; null when there is none."),
        "now": .instant("The instant that the clock shows.", "2026-01-01T00:00:00Z"),
        "occurred_at": .instant("The instant of the use: at most 35 days back and 5 minutes ahead."),
        "paused_at": .instant("The instant of the pause; null outside one."),
        "previous_secret_until": .instant("The instant until which the previous secret signs too; null without one."),
        "recorded_at": .instant("The instant at which the ledger wrote it."),
        "resets_at": .instant("The instant at which the window ends; null without a window."),
        "resume_at": .instant("The instant at which a pause ends by itself; null for none.", "2099-01-01T00:00:00Z"),
        "revoked_at": .instant("The instant of the revocation; null before that."),
        "since": .instant("The instant from which the limit counts."),
        "start_at": .instant("The instant at which the subscription starts.", "2099-01-01T00:00:00Z"),
        "starts_at": .instant("The instant at which the credits land; null for at once.", "2099-01-01T00:00:00Z"),
        "timestamp": .instant("The instant at which the event was due."),
        "to": .instant("The instant before which it ends, or the target.", "2026-02-28T00:00:00Z"),
        "trial_ends_at": .instant("The end of the trial; null without one."),
        "updated_at": .instant("The instant of the last change."),
    ]
}
