import Catalogue
import Credits
package import JSON
import Ledger
import Metering

// The schemas of answers, each beside the others of its area. The acceptance tests hold every answer to them.

extension JSONSchema {
    private static let allocations = list(of: members("amount", "block_id"), "The change of each block.")

    package static let entry = answer(
        "Entry", .maybe("added_units"), .of("allocation", allocations), "amount", .maybe("attributes"),
        "balance_after", .maybe("counterparty"), .maybe("counterparty_entry_id"), "effective_at", "end_user_id",
        .maybe("external_payment_id"), .maybe("feature_key"), .maybe("feature_keys"), .maybe("forfeited"),
        .maybe("hold_allocation", allocations), .of("id", id(.entry)), .maybe("idempotency_key"), .maybe("metadata"),
        .maybe("overage_after"), "overage_delta", .maybe("period_index"), .maybe("quantities"), .maybe("reason"),
        "recorded_at", .maybe("refunds"), .maybe("reservation_id"), "reserved_after", "reserved_delta",
        .maybe("rule_id"), "sequence", .maybe("subscription_id"), .maybe("subscription_line"), .maybe("trigger"),
        .of("type", choice(EntryType.self, "The type.")), .maybe("units"), "hash")

    package static let block = answer(
        "Block", .of("id", id(.block)), "end_user_id", .of("status", choice(BlockStatus.self, "The state.")), "source",
        "original", "remaining", "held", "priority", "starts_at?", "expires_at?", "feature_keys", "price_paid?",
        "currency?", "external_payment_id?", "subscription_id?", "subscription_line?", "period_index?", "reason?",
        "metadata", "created_at", "revoked_at?")

    private static let balances: [AnswerMember] = [
        "balance", "reserved_balance", "frozen_balance", "effective_balance",
    ]

    /// An object with the balances of an end user behind its own members.
    private static func withBalances(_ name: String, _ members: AnswerMember...) -> JSONSchema {
        JSONSchema(.component(name: name, JSONSchema(.object((members + balances).map(\.member)))))
    }

    package static let usage = withBalances(
        "Usage", .of("id", id(.usage)), "cost", "overage", .of("entry", entry), "end_user_id", "feature_key", "units?",
        "quantities?", "attributes", "occurred_at", "idempotency_key?", "metadata")
    package static let grant = withBalances("Grant", .of("block", block), .of("entry?", entry.orNull))
    package static let refund = withBalances(
        "Refund", "refunded", "overage_reduced", "forfeited",
        .of("entries", list(of: entry, "The entries of the refund.")),
        .of("compensation", list(of: block, "New blocks for credits whose own blocks have expired.")))
    package static let revocation = withBalances(
        "Revocation", "revoked", .of("block", block), .of("entry?", entry.orNull))
    package static let adjustment = withBalances(
        "Adjustment", "amount", .of("block?", block.orNull), .of("entry", entry))
    package static let transfer = withBalances(
        "Transfer", "from_end_user_id", "to_end_user_id?", "credits", .of("entry", entry),
        .maybe("received_entry", entry), .maybe("blocks", list(of: block, "The receiver's blocks.")))
    package static let balance = withBalances(
        "Balance", "end_user_id", "overage", "lifetime_granted", "version", "as_of", "position")

    // MARK: - End users

    package static let endUser = answer(
        "EndUser", "end_user_id", "name?", "overage_policy?", "overage_limit?",
        .of(
            "feature_overrides", read { $0.featureGrants("feature_overrides", atMost: 100) }.member("feature_overrides")
        ),
        .of("balance_low_thresholds?", thresholds), "test_clock_id?", "metadata", "created_at", "updated_at",
        .maybe("erased_at"))
    package static let erasure = answer("Erasure", "end_user_id", "erased_at")

    static let thresholds = read { $0.balanceThresholds("balance_low_thresholds") }
        .member("balance_low_thresholds")

    private static let capMembers: [AnswerMember] = [
        .of("id", id(.spendCap)), "feature_key?", "credits", "window", .maybe("spent"), .maybe("remaining"),
        .maybe("resets_at?"),
    ]
    package static let spendCap = answer(
        "SpendCap", .of("id", id(.spendCap)), "feature_key?", "credits", "window", "end_user_id", .maybe("spent"),
        .maybe("remaining"), .maybe("resets_at?"), "created_at")

    private static let limitSource = JSONSchema(
        .choice(["feature", "variant", "end_user"]), "Where the limit comes from.")
    private static let limitState = answer(
        "LimitState", .of("key", limitKey), "unit", "limit", "used", "remaining", "window?", "resets_at?",
        .of("source", limitSource), .maybe("since"), .maybe("per"), .maybe("value", attributeValue.orNull))
    private static let limitKey = text("The key of the limit.", "quota:api_calls")

    /// A limit with its definition. A limit that was lifted has only its key and its source.
    package static let limit: JSONSchema = {
        let state: [AnswerMember] = [
            .of("key", limitKey), .maybe("unit"), "limit?", .maybe("used"), .maybe("remaining"), .maybe("window?"),
            .maybe("resets_at?"), .of("source", limitSource), .maybe("since"), .maybe("per"),
            .maybe("value", attributeValue.orNull),
        ]
        let names = Set(state.map(\.member.name))
        let definition = read { $0.limit() }.members.filter { !names.contains($0.name) }.map { member in
            Member(member.name, member.schema, isRequired: false)
        }
        return JSONSchema(.component(name: "Limit", JSONSchema(.object(state.map(\.member) + definition))))
    }()
    package static let limits = answer("Limits", .of("data", list(of: limit, "The limits that apply.")))

    package static let autoTopUp: JSONSchema = {
        let rule = read { $0.autoTopUpRule() }.members
        let state = members("open_request_id?", "last_requested_at?", "failures", "suspended").members
        return JSONSchema(
            .component(
                name: "AutoTopUp", JSONSchema(.object(members("end_user_id").members + rule.map(\.shown) + state))))
    }()
    package static let failedTopUpRequest = answer(
        "FailedTopUpRequest", .of("request_id", id(.topUpRequest)), "end_user_id",
        .of("status", choice(TopUpRequest.Status.self, "The state of the request.")), "reason?", "failures", "suspended"
    )

    // MARK: - Checks

    static let quotaState = answer(
        "QuotaState", "limit", "used", "remaining", "resets_at?", "window?", "anchor")
    static let capState = JSONSchema(
        .component(name: "SpendCapState", JSONSchema(.object(capMembers.map(\.member)))))

    private static let checkMembers: [AnswerMember] =
        [
            "allowed", .of("reason?", choice(Denial.self, "Why it is refused; null when it is allowed.")),
            "limit_key?",
        ] + balances + [
            "spendable_balance", "estimated_cost?", "balance_after", "affordable_units?", "feature_key", "end_user_id",
            .maybe("units?"), .maybe("quantities?"), .maybe("attributes"), "rule_id?", "subscription_status?",
            "overage_policy", "overage_limit?", .of("limit?", number("The number of a feature of type limit.", 5)),
            .of("quota?", quotaState.orNull), .of("spend_caps", list(of: capState, "The spend caps that apply.")),
            .of("limits", list(of: limitState, "The limits that apply.")), "position", "replica_age_ms",
        ]
    package static let check = JSONSchema(
        .component(name: "Check", JSONSchema(.object(checkMembers.map(\.member)))))

    /// The problem of an item, without the id of the request.
    static let itemProblem = problem("ItemProblem", hasRequestID: false)

    package static let checks = answer(
        "Checks",
        .of(
            "results",
            list(
                of: JSONSchema(.anyOf([check, answer("FailedCheck", .of("error", itemProblem))])),
                "The answers in the order of the checks.")))
    package static let entitlementPage = page(
        of: JSONSchema(
            .component(
                name: "Entitlement",
                JSONSchema(
                    .object(
                        members(.of("type", choice(FeatureType.self, "The type of the feature."))).members
                            + checkMembers.map(\.member).map { member in
                                Member(member.name, member.schema, isRequired: member.name == "feature_key")
                            } + members(.maybe("error", itemProblem)).members)))))

    // MARK: - Batches

    package static let batch = answer(
        "Batch", "accepted", "replayed", "rejected",
        .of(
            "results",
            list(
                of: answer(
                    "BatchItem", "index", .maybe("id"), .maybe("entry_id?"), .maybe("position"),
                    .maybe("error", problem("Problem", hasRequestID: nil))), "One result for each item.")))

    // MARK: - Reservations

    private static let demand: [AnswerMember] = ["units?", "quantities?", "attributes", "credits?"]
    private static let progress = JSONSchema(
        .component(name: "Progress", JSONSchema(.object(demand.map(\.member)))), isNullable: true)
    private static let reservationMembers: [AnswerMember] =
        [
            .of("id", id(.reservation)), "end_user_id", "feature_key?",
            .of("status", choice(ReservationStatus.self, "The state.")),
        ] + demand + [
            "estimated_cost", "held", "uncovered", "cost", .of("progress?", progress), "rule_id?",
            .maybe("feature_keys"),
            .maybe(
                "features",
                list(
                    of: answer("ReservedFeature", "feature_key", "cost", .of("progress?", progress), "rule_id?"),
                    "The parts of a reservation over several features.")), "expires_at", "created_at", "finished_at?",
            "metadata",
        ]
    package static let reservation = JSONSchema(
        .component(name: "Reservation", JSONSchema(.object(reservationMembers.map(\.member)))))
    package static let newReservation = JSONSchema(
        .component(name: "NewReservation", JSONSchema(.object((reservationMembers + balances).map(\.member)))))
    package static let reservationChange = JSONSchema(
        .component(
            name: "ReservationChange",
            JSONSchema(
                .object(
                    (reservationMembers
                        + ["charged", "refunded", "returned", "overage", .of("entry?", entry.orNull)] + balances)
                        .map(\.member)))))

    // MARK: - Problems

    /// An error answer.
    ///
    /// - Parameter hasRequestID: Nil when only some answers have the id of the request.
    private static func problem(_ name: String, hasRequestID: Bool?) -> JSONSchema {
        var members: [AnswerMember] = [
            .of("type", text("The address of the page about the code.", "/docs/errors/invalid_request")), "title",
            .of("status", number("The HTTP status.", 400)),
            .of("code", choice(ProblemCode.self, "The code, which does not change.")), "detail",
            .of("errors", list(of: answer("FieldError", "pointer", "detail"), "The problems of the body, at most 20.")),
            .maybe("effective_balance"), .maybe("required"), .maybe("spendable_balance"), .maybe("refundable"),
            .maybe("limit"), .maybe("remaining"), .maybe("used"), .maybe("limit_key"), .maybe("resets_at"),
            .maybe("per_value?"), .maybe("spend_cap_id"), .maybe("subscription_status"), .maybe("subscription_id"),
            .maybe("outcome", text("`unknown` when the item may have taken effect.", "unknown")),
        ]
        switch hasRequestID {
        case true?: members.append("request_id")
        case nil: members.append(.maybe("request_id"))
        case false?: break
        }
        return JSONSchema(.component(name: name, JSONSchema(.object(members.map(\.member)))))
    }

    package static let problem = problem("Problem", hasRequestID: nil)
}

extension JSONSchema {
    /// The members that a reader reads, for answers that show what was read.
    static func read<Output>(_ body: (inout JSONReader) -> Output?) -> JSONSchema {
        JSONExploration.explore(Fields.notes, body).schema
    }

    /// The schema of a member.
    fileprivate func member(_ name: String) -> JSONSchema {
        members.first { $0.name == name }?.schema ?? JSONSchema(.any)
    }
}

extension JSONSchema.Member {
    /// The member in an answer that shows every member of a form, as null where it was not stated.
    var shown: JSONSchema.Member {
        JSONSchema.Member(name, schema, isRequired: isRequired || schema.standard != nil)
    }
}
