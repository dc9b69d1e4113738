import Catalogue
import Commands
import Credits
package import JSON
import Ledger
import Metering
import Webhooks

extension JSONSchema {
    // MARK: - Catalogue

    private static let quota = read { $0.quota() }

    package static let feature = answer(
        "Feature", "key", "name", .of("type", choice(FeatureType.self, "The type.")), "unit_name?",
        .of("quota?", quota.orNull), "report_by", "archived", "created_at", "updated_at")
    package static let meteringRule = shown(
        "MeteringRule", [.of("id", id(.rule)), "feature_key", "plan_variant_id?", "version"],
        read { $0.price() }.members, ["effective_from", "created_at"])
    package static let topupPackage = answer(
        "TopupPackage", "key", "name", "credits", "price", "currency", "expires_after?", "priority?", "archived",
        "created_at", "updated_at")
    package static let plan = answer(
        "Plan", .of("id", id(.plan)), "key?", "name", "slot", "metadata", "archived", "created_at", "updated_at")
    package static let planVariant = shown(
        "PlanVariant", [.of("id", id(.planVariant)), "key?", "plan_id", "version", "name"],
        read { $0.variantTerms() }.members.map { Member($0.name, $0.schema) },
        ["fallback_variant_id?", "archived", "created_at", "updated_at"])
    package static let preview = answer("PricePreview", "cost", .of("breakdown", breakdown))

    private static let breakdown = list(
        of: answer(
            "PriceLine", "kind", .maybe("dimension"), .maybe("tier"), .maybe("units"), .maybe("unit_cost"),
            .maybe("per_units"), .maybe("package_size"), .maybe("package_cost"), "amount"), "The addends of the cost.")

    private static func shown(
        _ name: String, _ first: [AnswerMember], _ read: [Member], _ last: [AnswerMember]
    ) -> JSONSchema {
        JSONSchema(.component(name: name, JSONSchema(.object(first.map(\.member) + read + last.map(\.member)))))
    }

    private static let target = members("plan_variant_id", .of("version", number("The version.")))
    package static let variantMigration = answer(
        "VariantMigration", .of("id", id(.variantMigration)), "plan_variant_id", .of("to", target), "effective",
        "proration", .of("status", JSONSchema(.choice(["running", "done"]), "The state.")), "total", "moved", "skipped",
        "failed", "created_at", "finished_at?")
    package static let dryRun = answer(
        "VariantMigrationDryRun", "dry_run", "plan_variant_id", .of("to", target), "effective", "proration", "total",
        .of("statuses", JSONSchema(.map(number("A number of subscriptions.")), "The subscriptions by their status.")),
        .of("versions", list(of: members("version", "total"), "The subscriptions by their version.")),
        .of(
            "changes",
            list(
                of: members("version", "term", .of("from", any), .of("to", any)), "The terms that would change.")))

    // MARK: - Keys and tenants

    private static let keyMembers: [AnswerMember] = [
        .of("id", id(.key)), "name", "environment", "scopes?", "hint", "created_at", "expires_at?", "replaces?",
        "revoked_at?",
    ]
    package static let apiKey = JSONSchema(
        .component(name: "APIKey", JSONSchema(.object(keyMembers.map(\.member)))))
    private static let secretKey = text("The key. It is shown once.", "qs_test_…")
    package static let newAPIKey = JSONSchema(
        .component(
            name: "NewAPIKey",
            JSONSchema(.object((keyMembers + [.of("key?", secretKey), .maybe("key_notice")]).map(\.member)))))
    package static let tenant = answer("Tenant", .of("id", id(.tenant)), "name", "created_at")
    package static let newTenant = answer(
        "NewTenant", .of("id", id(.tenant)), "name", "created_at",
        .of("api_keys", members(.of("live?", secretKey), .of("test?", secretKey))), .maybe("key_notice"))
    package static let tenantLimits = answer("TenantLimits", "rate_limit_per_second?")
    package static let config = answer(
        "Config", "overage_policy", "overage_limit?", "timezone", "rate_limit_per_second?", "fail_closed_over_ms?",
        "default_plan_variant_id?", "fallback_variant_id?", .of("balance_low_thresholds", thresholds),
        "expiring_soon_hours",
        "record_event_types?",
        .of("create_end_users", choice(EndUserCreation.self, "Whether a mutation creates the end user that it names.")))
    package static let auditRecord = answer(
        "AuditRecord", .of("id", id(.operation)),
        .of(
            "actor",
            members(
                .of("type", JSONSchema(.choice(["root", "api_key"]), "The kind of the key.")), .of("id?", id(.key)))),
        "ip?", "action", "end_user_id?", "at", "request_id", .of("status", number("The HTTP status.", 201)), "outcome")
    package static let testClock = answer("TestClock", .of("id", id(.testClock)), "now", "created_at", "updated_at")

    // MARK: - Subscriptions

    private static let contract = answer(
        "Contract", "periods", .of("on_end", choice(Contract.End.self, "What happens when it ends.")), "notice_days",
        "first_period")
    package static let subscription = answer(
        "Subscription", .of("id", id(.subscription)), "end_user_id", "plan_id", "plan_variant_id", "variant_version",
        "slot", "quantity", .of("status", choice(SubscriptionStatus.self, "The state.")), "period_index",
        "current_period_start", "current_period_end", "anchor_at", "trial_ends_at?", "grace_ends_at?", "renewed_ahead",
        "cancel_at_period_end",
        .of(
            "pending_change?",
            answer("PendingChange", "plan_variant_id", "variant_version", "quantity", "effective_at").orNull),
        "paused_at?", "resume_at?", .of("contract?", contract.orNull), "start_at", "created_at", "ended_at?", "metadata"
    )
    package static let forecast = answer(
        "Forecast", .of("subscription?", subscription.orNull),
        .of(
            "entries",
            list(
                of: answer(
                    "ForecastEntry", .of("type", choice(EntryType.self, "The type.")), "amount", "effective_at",
                    "subscription_line?", "period_index?"), "The entries that would be written.")),
        .of(
            "events",
            list(
                of: answer(
                    "ForecastEvent", .of("type", choice(EventType.self, "The type.")), "timestamp",
                    .of("data", JSONSchema(.map(any), "The data of the event."))), "The events that would happen.")),
        "balance", "reserved_balance", "frozen_balance", "effective_balance", "as_of")

    // MARK: - Events and webhooks

    package static let event = answer(
        "Event", .of("id", id(.event)), .of("type", text("The type.", "credits.used")), "timestamp", "created_at",
        "environment", "end_user_id?", "sequence", "previous_sequence",
        .of("data", JSONSchema(.map(any), "The data, which the page of the type describes.")))
    private static let endpointMembers: [AnswerMember] = [
        .of("id", id(.webhookEndpoint)), "url",
        .of(
            "event_types?",
            JSONSchema(.array(text("A type.", "credits.used")), "The types that are delivered; null for all.")),
        "description?", "enabled", "disabled_at?", "disabled_reason?", "previous_secret_until?",
        .of("replay?", answer("Replay", "from", "to", "created_at").orNull), "created_at", "updated_at",
    ]
    package static let webhookEndpoint = JSONSchema(
        .component(name: "WebhookEndpoint", JSONSchema(.object(endpointMembers.map(\.member)))))
    package static let newWebhookEndpoint = JSONSchema(
        .component(
            name: "WebhookEndpointWithSecret",
            JSONSchema(.object((endpointMembers + ["secret?", .maybe("secret_notice")]).map(\.member)))))
    package static let webhookDelivery = answer(
        "WebhookDelivery", .of("id", id(.webhookDelivery)), "event_id", "event_type", "endpoint_id",
        .of("status", choice(DeliveryStatus.self, "The state.")), "next_attempt_at?",
        .of(
            "attempts",
            list(
                of: answer(
                    "DeliveryAttempt", "at", .of("status?", number("The HTTP status; null without an answer.", 200)),
                    "latency_ms", "error?", "response?"), "The attempts, the earliest first.")), "created_at")

    // MARK: - Usage and the ledger

    /// A total. The members that the totals are grouped by are there; an attribute has its own name.
    package static let usageTotals = answer(
        "UsageTotals",
        .of(
            "data",
            list(
                of: JSONSchema(
                    .component(
                        name: "UsageTotal",
                        JSONSchema(
                            .map(.attributeValue.orNull),
                            "`day`, `feature_key`, `charges`, `units`, `cost` and the member that the totals are grouped by."
                        ))),
                "The totals.")))
    package static let entryPage = page(of: entry)

    package static let explanation = answer(
        "Explanation", "end_user_id", "as_of", "version", "balance", "reserved_balance", "frozen_balance",
        "effective_balance", "overage",
        .of(
            "blocks",
            list(
                of: answer(
                    "ExplainedBlock", .of("id", id(.block)), "source", "priority", "expires_at?", "price_paid?",
                    "feature_keys", "subscription_id?", "subscription_line?", "period_index?", "original", "remaining",
                    "held",
                    .of(
                        "entries",
                        list(
                            of: answer(
                                "ExplainedEntries", .of("type", choice(EntryType.self, "The type.")), "amount", "held",
                                "count", "first_entry_id", "last_entry_id"), "The entries by their type."))),
                "The blocks, in burn order.")),
        .of(
            "holds",
            list(
                of: answer(
                    "ExplainedHold", "reservation_id", "feature_key?", "held",
                    .of("allocation", list(of: members("block_id", "amount"), "The held part of each block.")),
                    "first_entry_id", "last_entry_id"), "The reservations that hold credits.")),
        .of(
            "arithmetic",
            list(
                of: answer(
                    "Sum", "result",
                    .of(
                        "steps",
                        list(
                            of: answer(
                                "Addend", "what", .maybe("block_id"), .maybe("reservation_id"), "amount"),
                            "The addends.")), .of("value", signed("The sum"))), "Each sum with its addends.")),
        .maybe("entitlement", explainedEntitlement))

    private static let explainedEntitlement = answer(
        "ExplainedEntitlement", "feature_key", "units", "allowed?",
        .of("reason?", choice(Denial.self, "Why it is refused; null when it is allowed.")),
        .of("rule?", members(.of("id", id(.rule)), "version", "effective_from").orNull), "cost?",
        .of("breakdown", breakdown), "spendable_balance?", "overage_policy?", "overage_limit?",
        .of("limit?", number("The number of a feature of type limit.", 5)), .of("quota?", quotaState.orNull),
        .of("spend_caps", list(of: capState, "The spend caps that apply.")),
        .of(
            "comparisons",
            list(
                of: answer(
                    "Comparison", .of("reason", choice(Denial.self, "The refusal that it decides.")), "holds",
                    "required?", "available?", .maybe("spend_cap_id"), .maybe("limit_key")),
                "The comparisons that decide, in their order.")), "note?")

    // MARK: - Operations

    private static let operationStatus = JSONSchema(.choice(["pending", "succeeded", "failed"]), "The state.")
    package static let operation = answer(
        "Operation",
        .of(
            "operation",
            members(
                .of("id", id(.operation)), .of("status", operationStatus),
                .maybe(
                    "result",
                    members(
                        .of("status", number("The HTTP status that the mutation would have been answered with.", 201)),
                        .of("body?", JSONSchema(.map(any), "The answer to the mutation; null for 204.")))))))
    package static let empty = answer("Empty")
    package static let liveness = answer("Liveness", .of("status", JSONSchema(.choice(["ok"]), "Always `ok`.")))
    package static let readiness = JSONSchema(
        .component(
            name: "Readiness",
            JSONSchema(
                .map(JSONSchema(.anyOf([JSONSchema(.boolean), text("`ok`, or what is wrong.", "ok")]))),
                "`ready`, and a member for each dependency.")))
}
