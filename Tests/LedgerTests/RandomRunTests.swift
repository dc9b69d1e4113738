import Catalogue
import Glibc
import Ledger
import Testing

@Suite("The core and the model agree on random commands")
struct RandomRunTests {
    private static let stepsPerRun = 250

    /// `QUOTASTACK_TEST_COMMANDS` sets the number of steps in all runs, `QUOTASTACK_TEST_SEED` selects a single run.
    private static let seeds: [UInt64] = {
        if let seed = number("QUOTASTACK_TEST_SEED") { return [seed] }
        let first = number("QUOTASTACK_TEST_FIRST_SEED") ?? 1
        let runs = (number("QUOTASTACK_TEST_COMMANDS") ?? 40_000) / UInt64(stepsPerRun)
        return Array(first..<first + max(1, runs))
    }()

    private static func number(_ name: String) -> UInt64? {
        getenv(name).flatMap { UInt64(String(cString: $0)) }
    }

    /// The seeds in groups, so that a million commands are not thousands of test cases.
    private static let parts: [[UInt64]] = {
        let size = max(1, seeds.count / 24)
        return stride(from: 0, to: seeds.count, by: size).map { Array(seeds[$0..<min($0 + size, seeds.count)]) }
    }()

    @Test("Random commands have the same outcomes, entries, blocks, reservations and answers in both", arguments: parts)
    func randomRuns(seeds: [UInt64]) throws {
        for seed in seeds {
            var run = try RandomRun(seed: seed)
            for number in 1...Self.stepsPerRun {
                var problems = try run.step()
                if number == Self.stepsPerRun { problems += try run.finish() }
                guard !problems.isEmpty else { continue }
                Issue.record(
                    """
                    \(problems.joined(separator: "\n"))
                    at step \(number) of QUOTASTACK_TEST_SEED=\(seed). Like this script, which is shorter:
                    \(run.shrunk())
                    """)
                return
            }
        }
    }

    @Test("The runs reach every outcome, so that their agreement is meaningful")
    func coverage() throws {
        let expected: [String: [String]] = [
            "grant": [
                "ok", "amount_out_of_range", "expires_in_the_past", "ends_in_the_past", "expires_before_start",
                "unknown_feature", "unknown_end_user",
            ],
            "topup": [
                "ok", "amount_out_of_range", "expires_in_the_past", "unknown_feature", "unknown_package",
                "unknown_request", "request_answered",
            ],
            "rule": ["ok", "unknown_package", "unknown_end_user"], "unrule": ["ok", "unknown_rule"],
            "fail": ["ok", "unknown_request", "request_answered"],
            "use": [
                "ok", "occurred_too_long_ago", "occurs_in_the_future", "unknown_feature", "feature_not_in_plan",
                "feature_not_priced", "units_expected", "quantities_expected", "unknown_dimension",
                "amount_out_of_range", "quota_exceeded", "spend_cap_reached", "insufficient_credits",
            ],
            "check": [
                "allowed", "unknown_feature", "feature_not_in_plan", "feature_not_priced", "quota_exceeded",
                "spend_cap_reached", "insufficient_credits", "unanswered",
            ],
            "refund": [
                "ok", "already_refunded", "unknown_charge", "expires_in_the_past", "of overage",
                "to a revoked block",
            ],
            "revoke": ["ok", "unknown_block"],
            "adjust": ["ok", "insufficient_credits", "amount_out_of_range"],
            "transfer": ["ok", "insufficient_credits", "amount_out_of_range", "different_clocks", "unknown_end_user"],
            "reserve": ["ok", "quota_exceeded", "spend_cap_reached", "insufficient_credits", "feature_not_priced"],
            "commit": [
                "ok", "insufficient_credits", "reservation_not_active", "unknown_reservation", "quota_exceeded",
                "spend_cap_reached", "wrong_feature",
            ],
            "progress": [
                "ok", "insufficient_credits", "reservation_not_active", "quota_exceeded", "spend_cap_reached",
                "wrong_feature",
            ],
            "release": ["ok", "reservation_not_active"], "extend": ["ok", "reservation_not_active"],
            "limit": ["ok", "wrong_quota"], "unlimit": ["ok", "unknown_limit"],
            "erase": ["ok", "unknown_end_user"], "cap": ["ok"], "uncap": ["ok", "unknown_spend_cap"], "create": ["ok"],
            "set": [
                "ok", "unknown_end_user", "unknown_test_clock", "test_clock_conflict", "unknown_feature",
                "wrong_override",
            ],
            "overage": ["by use", "by commit"],
            "subscribe": ["ok", "already_subscribed", "not_found", "unknown_end_user"],
            "renew": ["ok", "invalid_transition", "unknown_subscription"],
            "upgrade": ["ok", "invalid_transition", "not_found"],
            "downgrade": ["ok", "invalid_transition", "not_found"], "quantity": ["ok", "invalid_transition"],
            "pause": ["ok", "invalid_transition", "resumes_in_the_past"], "resume": ["ok", "invalid_transition"],
            "cancel": ["ok", "invalid_transition"], "uncancel": ["ok", "invalid_transition"],
            "withdraw": ["ok", "invalid_transition"],
            "state": ["scheduled", "trialing", "active", "past_due", "paused", "canceled", "expired"],
        ]
        let rest = [
            "use subscription_paused", "use subscription_past_due", "check subscription_paused",
            "check subscription_past_due", "grant of a subscription", "rollover of a subscription",
            "revoke of a subscription", "settle of a subscription", "waits for use", "frozen", "usage in a summary",
            "overage in a summary", "expiry in the past",
            "lapse", "compensation", "expiry of a hold", "revocation of a hold", "on a test clock",
            "entry of several blocks", "landing", "landing that settles", "revocation before the landing",
            "settlement", "commit as another", "reserve of several", "commit of several", "release of several",
            "refund of several", "lapse of several", "growth of several",
            "commits of several features", "commit of several as another",
            "event topup.requested ", "event topup.requested small", "event topup.failed declined",
            "event topup.failed timeout", "event topup.suspended ", "request by time",
        ]
        var missing = Set(rest)
        for (verb, outcomes) in expected { missing.formUnion(outcomes.map { "\(verb) \($0)" }) }
        missing.formUnion(EntryType.allCases.map { "entry \($0)" })
        missing.formUnion(EventType.allCases.map { "event \($0.rawValue)" })
        for seed in UInt64(1)...200 where !missing.isEmpty {
            var run = try RandomRun(seed: seed)
            for _ in 0..<Self.stepsPerRun { _ = try run.step() }
            missing.subtract(run.met)
        }
        #expect(missing.isEmpty)
    }
}
