import Credits
import JSON
import LedgerModel

/// Compares the answer to a command for a subscription with the subscription in the model.
struct SubscriptionComparison {
    let act: ModelSubscriptionAct
    /// The model's ledger after the command.
    let ledger: ModelLedger

    func compare(_ response: JSONValue) throws {
        guard let id = response["id"]?.text.flatMap({ PublicID(.subscription, parsing: $0) }),
            let expected = ledger.subscriptions.first(where: { $0.number == Int(id.number) })
        else { throw Difference("the model has no subscription of \(response)") }
        let shown: [JSONValue?] = [
            response["slot"], response["quantity"], response["status"], response["period_index"],
            response["current_period_start"], response["current_period_end"], response["grace_ends_at"],
            response["renewed_ahead"], response["cancel_at_period_end"], response["paused_at"],
            response["resume_at"], response["created_at"], response["ended_at"],
        ]
        func text(_ instant: Instant?) -> JSONValue { instant.map { .string($0.description) } ?? .null }
        let states: [JSONValue?] = [
            .string(expected.slot), .integer(expected.quantity), .string(expected.status.rawValue),
            .integer(Int64(expected.index)), text(expected.start), text(expected.end), text(expected.graceEnd),
            .bool(expected.renewedAhead && !expected.isFinal), .bool(expected.cancels), text(expected.pausedAt),
            text(expected.resumeAt), text(expected.createdAt), text(expected.endedAt),
        ]
        guard shown == states else { throw Difference("the model has \(expected), the answer is \(response)") }
    }
}

/// Compares an event of a subscription or its contract with the model's.
struct EventComparison {
    let variants: [Bits128: Int]

    func compare(_ event: Books.Event, _ expected: ModelLedger.Event) throws {
        guard let facts = expected.facts, plain(event) == plain(expected, facts) else {
            throw Difference("the model tells \(expected); the books \(event)")
        }
    }

    private func plain(_ event: Books.Event) -> [String] {
        let data = event.data
        let variant = data["plan_variant_id"]?.text.flatMap { PublicID(.planVariant, parsing: $0) }
        let number = { (name: String) in
            data[name]?.text.flatMap { PublicID(.subscription, parsing: $0) }.map { "\($0.number)" } ?? "none"
        }
        let summary = data["usage_summary"]
        let usage =
            summary?["features"]?.items?.map { item in
                "\(item["feature_key"]?.text ?? "") \(item["units"]?.integer ?? -1) \(item["cost"]?.integer ?? -1)"
            } ?? []
        return [
            event.type, "\(event.at)", "\(event.recordedAt)", number("subscription_id"),
            "\(variant.flatMap { variants[$0.bits] } ?? 0)", "\(data["quantity"]?.integer ?? 0)",
            "\(data["period_index"]?.integer ?? -1)", data["status"]?.text ?? "",
            data["current_period_start"]?.text ?? "", data["current_period_end"]?.text ?? "",
            data["grace_ends_at"]?.text ?? "none", "\(data["cancel_at_period_end"] == .bool(true))",
            number("ended_subscription_id"), summary?["from"]?.text ?? "none", summary?["to"]?.text ?? "none",
            "\(summary?["settled_overage"]?.integer ?? -1)",
        ] + usage
    }

    private func plain(_ event: ModelLedger.Event, _ facts: ModelLedger.Facts) -> [String] {
        let summary = facts.summary
        func text(_ microseconds: Int64?) -> String {
            microseconds.map { "\(Instant(microseconds: $0))" } ?? "none"
        }
        return [
            event.type, "\(event.at)", "\(event.recordedAt)", event.subscription.map { "\($0)" } ?? "none",
            "\(event.figures[0])", "\(event.figures[1])", "\(event.figures[2])", facts.status,
            "\(facts.start)", "\(facts.end)", facts.graceEnd.map { "\($0)" } ?? "none", "\(facts.cancels)",
            facts.ended.map { "\($0)" } ?? "none", text(summary?[0]), text(summary?[1]),
            "\(summary?[2] ?? -1)",
        ] + event.usage.map { "\($0.feature) \($0.units) \($0.cost)" }
    }
}

/// Checks the books of subscriptions without the model (I18): the events are numbered without gaps, the periods follow
/// each other, and no line lands twice.
struct SubscriptionCheck {
    let books: Books
    let violations: Violations

    func run() {
        for account in books.accounts {
            let events = books.events[account.number] ?? []
            if events.map(\.sequence) != Array(1...max(1, Int64(events.count))).prefix(events.count).map({ $0 }) {
                violations.add("the events of \(account.endUserID) have the numbers \(events.map(\.sequence))")
            }
            checkPeriods(account, events)
            checkGrants(account)
        }
    }

    /// A period begins where the one before it, the trial or the pause has ended, unless a change restarts it.
    private func checkPeriods(_ account: Books.Account, _ events: [Books.Event]) {
        var last: [String: (end: String, event: Books.Event)] = [:]
        for event in events where event.type.hasPrefix("subscription.") {
            guard let id = event.data["subscription_id"]?.text, let end = event.data["current_period_end"]?.text,
                let start = event.data["current_period_start"]?.text
            else { continue }
            if let before = last[id], ["subscription.renewed", "subscription.activated"].contains(event.type) {
                // A renewal in the trial and a restart begin a period at their own instant.
                let isEarly = start == event.at.description && start < before.end
                // The beginning of a trial has no event, so the event before is that of the scheduled subscription.
                let endsTrial =
                    before.event.data["status"]?.text == "scheduled" && event.data["trial_ends_at"]?.text == start
                if start != before.end, !isEarly, !endsTrial {
                    violations.add(
                        "I18: a period of \(id) of \(account.endUserID) begins at \(start), the one before ended at "
                            + "\(before.end): \(before.event), \(event)")
                }
            }
            last[id] = (end, event)
        }
    }

    /// Time lands a line once in a period, or once in a window; only a change by a command adds to it.
    private func checkGrants(_ account: Books.Account) {
        var seen: Set<String> = []
        for entry in books.entries[account.number] ?? [] where entry.type == "grant" {
            guard let subscription = entry.subscription, let period = entry.period, entry.key == nil else { continue }
            let block = entry.allocation.first.flatMap { share in
                books.blocks[account.number]?.first { $0.number == share.block }
            }
            let window = block?.source == "recurring" ? "\(entry.effectiveAt.map { "\($0)" } ?? "")" : ""
            if !seen.insert("\(subscription) \(entry.line ?? -1) \(period) \(window)").inserted {
                violations.add(
                    "I18: line \(entry.line ?? -1) of subscription \(subscription) of \(account.endUserID) has landed "
                        + "twice in period \(period) \(window)")
            }
        }
    }
}

extension ModelLedger {
    /// The subscriptions that have not ended: `base` first, then by slot.
    var live: [ModelSubscription] {
        subscriptions.filter { !$0.isFinal }.sorted { left, right in
            (left.slot == "base" ? 0 : 1, left.slot) < (right.slot == "base" ? 0 : 1, right.slot)
        }
    }

    /// The events of subscriptions and contracts.
    var told: [Event] { events.filter { $0.subscription != nil } }
}
