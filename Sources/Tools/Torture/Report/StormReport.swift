/// The report at the end of a storm.
struct StormReport {
    /// The extent of the comparisons.
    struct Checked {
        /// Operations that were answered 202 and were decided without being sent again.
        var followed = 0
        /// Operations that were unknown or not accepted, and were repeated with their keys.
        var repeatedOpen = 0
        var replays = 0
        var replay = ReplayCounts()
        /// The number of lines in the exports of all environments.
        var exported = 0
        /// The operations by kind and final outcome.
        var kinds: [String: [String: Int]] = [:]
        var replicaAnswers = 0
        var webhooks = Receivers.Counts()
        var orderedPairs = 0
        var accounts = 0
        var entries = 0
    }

    let plan: Storm.Plan
    let outcomes: [Outcome]
    let control: LoadControl
    let tally: FaultTally
    let checked: Checked
    let violations: Violations
    let startsGivenUp: Int
    let failpointHits: [String: Int]
    let stormed: Duration
    let took: Duration

    /// The report as a table for people.
    func table(revision: String) -> String {
        var rows: [(String, String)] = [
            ("seed", "\(plan.seed)"),
            ("duration", "\(seconds(took)), of it storm \(seconds(stormed))"),
            ("mutations", "\(grouped(control.mutations)) by \(plan.connections) connections: \(outcomeText)"),
            ("not taken", reasons { if case .notAccepted(let reason) = $0 { reason } else { nil } }),
            ("unknown", reasons { if case .unknown(let reason) = $0 { reason } else { nil } }),
            ("reads", answersText),
            ("kills (SIGKILL)", "\(tally.kills + failpointHits.values.reduce(0, +))"),
        ]
        for (name, count) in tally.counts.sorted(by: { $0.key < $1.key }) { rows.append(("  \(name)", "\(count)")) }
        for (name, count) in failpointHits.sorted(by: { $0.key < $1.key }) { rows.append(("  at \(name)", "\(count)")) }
        rows += [
            ("starts given up", "\(startsGivenUp) (a server could not be reached)"),
            ("accepted (202), followed to the end", grouped(checked.followed)),
            ("unknown or not taken, decided by a retry", grouped(checked.repeatedOpen)),
            ("replays compared, on two nodes", grouped(checked.replays)),
            (
                "decided commands replayed by the model",
                "\(grouped(checked.replay.commands)) of \(grouped(checked.accounts)) accounts, \(grouped(checked.entries)) entries"
            ),
            ("  entries", counts(checked.replay.entries)),
            ("  changes by time alone, between commands", grouped(checked.replay.advances)),
            ("  events of subscriptions", grouped(checked.replay.events)),
            ("  transfers, both sides", grouped(checked.replay.transfers)),
            ("  top-ups of a payment that was applied", grouped(checked.replay.repeatedPayments)),
            ("entries in verified exports", grouped(checked.exported)),
            ("answers of nodes compared with the books", grouped(checked.replay.observations)),
            ("pairs in a client's order", grouped(checked.orderedPairs)),
            (
                "webhooks accepted at two endpoints of each environment",
                "\(grouped(checked.webhooks.accepted)), delivered again \(grouped(checked.webhooks.repeated)), refused once "
                    + grouped(checked.webhooks.refused)
            ),
        ]
        for (kind, outcomes) in checked.kinds.sorted(by: { $0.key < $1.key }) {
            rows.append(("  \(kind)", counts(outcomes)))
        }
        if let longest = control.longest {
            rows.append(("longest request at an undisturbed node", "\(seconds(longest.took))  \(longest.what)"))
        }
        for (what, times) in Dictionary(grouping: tally.recoveries, by: \.what).sorted(by: { $0.key < $1.key }) {
            let sorted = times.map(\.took).sorted()
            rows.append(
                (
                    "first 2xx, \(what)",
                    "median \(seconds(sorted[sorted.count / 2])), longest \(seconds(sorted[sorted.count - 1])), \(sorted.count) times"
                ))
        }
        let count = violations.count
        rows.append(
            ("violations", count == 0 ? "0 of \(grouped(outcomes.count)) operations (< \(bound))" : "\(count)"))
        let width = rows.map(\.0.count).max() ?? 0
        let lines = rows.map { $0.0 + String(repeating: " ", count: width + 2 - $0.0.count) + $0.1 }
        return (["revision \(revision)"] + lines + violations.sentences.prefix(20).map { "! \($0)" })
            .joined(separator: "\n")
    }

    /// The rule of three: the failure rate that n trials without a failure rule out.
    private var bound: String {
        guard !outcomes.isEmpty else { return "1" }
        return "\(Double(Int(3e9 / Double(outcomes.count))) / 1e9)"
    }

    private var outcomeText: String {
        var found: [String: Int] = [:]
        for outcome in outcomes {
            let name =
                if case .decided(let decision) = outcome, decision.status >= 300 { "\(decision.status)" } else {
                    outcome.name
                }
            found[name, default: 0] += 1
        }
        return counts(found)
    }

    private func counts(_ counts: [String: Int]) -> String {
        counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\(grouped($0.value)) \($0.key)" }
            .joined(separator: ", ")
    }

    /// The most frequent reasons among the outcomes.
    private func reasons(_ reason: (Outcome) -> String?) -> String {
        var counts: [String: Int] = [:]
        for outcome in outcomes { reason(outcome).map { counts[String($0.prefix(60)), default: 0] += 1 } }
        return counts.sorted { $0.value > $1.value }.prefix(5).map { "\(grouped($0.value)) \($0.key)" }
            .joined(separator: "; ")
    }

    private var answersText: String {
        control.answers.sorted { $0.value > $1.value }.map { "\(grouped($0.value)) \($0.key.dropFirst(5))" }
            .joined(separator: ", ")
    }

    private func seconds(_ duration: Duration) -> String {
        let hundredths = Int((duration / .milliseconds(10)).rounded())
        let fraction = hundredths % 100
        return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction) s"
    }

    private func grouped(_ number: Int) -> String {
        let digits = String(number)
        var text = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { text += "," }
            text.append(digit)
        }
        return text
    }
}
