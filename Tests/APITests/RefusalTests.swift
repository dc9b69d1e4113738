import Answers
import Catalogue
import Credits
import JSON
import Ledger
import Metering
import Testing

/// The answers to clients for the ledger's refusals.
@Suite("Refusals") struct RefusalTests {
    private static let account = AccountID(7)

    @Test(
        "Every refusal has a code, a status, a sentence, and members that the client can act on",
        arguments: [
            (.occurredTooLongAgo(at, now: at), 400, "invalid_request", "/occurred_at", [:]),
            (.occursInTheFuture(at, now: at), 400, "invalid_request", "/occurred_at", [:]),
            (.expiresInThePast(at, now: at), 400, "invalid_request", "/expires_at", [:]),
            (.expiresTooLate(now: at), 400, "invalid_request", "/expires_after", [:]),
            (.unknownEndUser, 404, "unknown_end_user", nil, [:]),
            (.unknownReservation(1), 404, "not_found", nil, [:]), (.unknownSpendCap(1), 404, "not_found", nil, [:]),
            (.unknownBlock(1), 404, "not_found", nil, [:]), (.unknownCharge(1), 404, "not_found", nil, [:]),
            (.unknownTestClock(clock), 404, "not_found", "/test_clock_id", [:]),
            (.testClockConflict, 409, "conflict", "/test_clock_id", [:]), (.differentClocks, 409, "conflict", nil, [:]),
            (.tooMany(.limits), 409, "conflict", nil, [:]), (.tooMany(.reservations), 409, "conflict", nil, [:]),
            (.tooMany(.overrides), 409, "conflict", "/feature_overrides", [:]),
            (.reservationNotActive(3), 409, "reservation_not_active", nil, [:]),
            (.paymentAlreadyApplied, 409, "payment_already_applied", "/external_payment_id", [:]),
            (.alreadyRefunded(refundable: 5), 409, "already_refunded", nil, ["refundable": 5]),
            (.wrongMeasure(.unitsExpected), 400, "invalid_request", "/quantities", [:]),
            (.wrongMeasure(.quantitiesExpected), 400, "invalid_request", "/quantities", [:]),
            (.wrongMeasure(.unknownDimension("a/b")), 400, "invalid_request", "/quantities/a~1b", [:]),
            (.amountOutOfRange(field: "credits"), 400, "amount_out_of_range", "/credits", [:]),
            (
                .insufficientCredits(effectiveBalance: 3, spendable: 2, required: 5), 402, "insufficient_credits", nil,
                ["effective_balance": 3, "spendable_balance": 2, "required": 5]
            ),
        ] as [(Refusal, Int64, String, String?, [String: Int64])])
    func problems(
        _ refusal: Refusal, status: Int64, code: String, pointer: String?, members: [String: Int64]
    ) throws {
        let answer = try problem(refusal)
        #expect(answer["status"] == .integer(status) && answer["code"] == .string(code))
        #expect(answer["request_id"] == .string("req_1"))
        guard case .string(let sentence)? = answer["detail"] else { throw Missing() }
        #expect(sentence.hasSuffix(".") && sentence.utf8.count > 20)
        for (name, value) in members { #expect(answer[name] == .integer(value), "\(name)") }
        guard case .array(let errors)? = answer["errors"] else { throw Missing() }
        let pointers = errors.map { error -> String? in
            if case .object(let error) = error, case .string(let pointer)? = error["pointer"] { pointer } else { nil }
        }
        #expect(pointers == (pointer.map { [$0] } ?? []))
    }

    @Test("A refusal for a feature names the feature; one for a window names the rest and the reset")
    func features() throws {
        let key = try #require(FeatureKey("api_calls"))
        for (refusal, code) in [
            (.unknownFeature(key), "unknown_feature"), (.featureNotInPlan(key), "feature_not_in_plan"),
            (.featureNotPriced(key), "feature_not_priced"), (.wrongOverride(key), "invalid_request"),
        ] as [(Refusal, String)] {
            let answer = try problem(refusal)
            #expect(answer["code"] == .string(code))
            guard case .string(let sentence)? = answer["detail"] else { throw Missing() }
            #expect(sentence.contains("api_calls"))
        }
        let day = WindowLength.day.calendarWindow(containing: Self.at, in: .utc)
        let cap = SpendCap(
            number: 2, featureKey: nil, credits: try Millicredits(Int64(50)), window: .day, createdAt: Self.at)
        let jobs = Limit(unit: .concurrent, amount: 3, window: nil, per: "member")
        let account = Account(
            id: Self.account, environmentID: EnvironmentID(1), endUserID: try #require(EndUserID("alice")), version: 0,
            revision: 0, sums: .zero,
            settings: AccountSettings(
                caps: [cap],
                limits: [try #require(LimitKey("jobs")): OwnLimit(limit: jobs, generation: 1)]))
        var catalogue = Catalogue()
        catalogue.features[key] = Feature(key: key, quota: Quota(limit: 9, window: .day))
        let states = account.limits(catalogue).map { limit in
            account.state(of: limit, value: limit.limit.per == nil ? nil : "ann", catalogue, now: Self.at)
        }
        try #require(states.count == 3)
        let exceeded = try problem(.limitReached(key, states[0], required: 0))
        #expect(exceeded["limit_key"] == .string("quota:api_calls"))
        #expect(exceeded["status"] == .integer(402) && exceeded["limit"] == .integer(9))
        #expect(exceeded["used"] == .integer(0) && exceeded["remaining"] == .integer(9))
        #expect(exceeded["resets_at"] == .string(day.end.description))
        let reached = try problem(.limitReached(key, states[1], required: 51))
        #expect(reached["status"] == .integer(402) && reached["code"] == .string("spend_cap_reached"))
        #expect(reached["required"] == .integer(51) && reached["remaining"] == .integer(50))
        #expect(reached["resets_at"] == .string(day.end.description))
        #expect(
            reached["spend_cap_id"]
                == .string(PublicID(.spendCap, account: Self.account, number: 2).description))
        #expect(reached["limit_key"] == reached["spend_cap_id"])
        let running = try problem(.limitReached(key, states[2], required: 0))
        #expect(running["code"] == .string("quota_exceeded") && running["limit_key"] == .string("jobs"))
        #expect(running["per_value"] == .string("ann") && running["resets_at"] == nil)
    }

    private func problem(_ refusal: Refusal) throws -> JSONObject {
        let bytes = Problem(refusal, account: Self.account).json(requestID: "req_1")
        guard case .object(let object) = try JSONParser.parse(bytes) else { throw Missing() }
        return object
    }

    private struct Missing: Error {}

    private static let at = Instant(microseconds: 1_767_225_600_000_000)
    private static let clock = PublicID(.testClock, Bits128(high: 1, low: 2))
}
