/// The results of a run.
struct FuzzReport {
    let seed: UInt64
    let threads: Int
    let tally: FuzzTally
    /// The number of faults of answers by kind. Violations describe the first ones of each kind.
    let faults: [String: Int]
    let violations: Violations
    let footprints: Footprints
    let took: Duration

    /// The table in Markdown. Memory is in MiB.
    var table: String {
        var rows: [(String, String)] = [
            ("seed", "\(seed)"),
            ("threads", "\(threads)"),
            ("requests sent", "\(tally.requests)"),
            ("seconds", "\(took.components.seconds)"),
            ("requests per second", "\(rate)"),
            ("connections opened", "\(tally.connections)"),
            ("connections that the node did not take", "\(tally.refusedConnections)"),
            ("final answers", "\(tally.answers.values.reduce(0, +))"),
        ]
        for (status, count) in tally.answers.sorted(by: { $0.key < $1.key }) {
            rows.append(("answers \(status)", "\(count)"))
        }
        for reason in FuzzTally.Unanswered.allCases {
            rows.append(("requests without an answer: \(reason.rawValue)", "\(tally.unanswered[reason, default: 0])"))
        }
        rows += [
            ("exchanges left open until a deadline", "\(tally.leftOpen)"),
            ("memory of the node: before / peak / after", memory),
        ]
        for (name, count) in tally.mutations.sorted(by: { $0.key < $1.key }) { rows.append((name, "\(count)")) }
        for (kind, count) in faults.sorted(by: { $0.key < $1.key }) { rows.append(("fault: \(kind)", "\(count)")) }
        rows.append(("violations", "\(violations.count)"))
        let lines: [(String, String)] = [("item", "value"), ("---", "---")] + rows
        return lines.map { "| \($0.0) | \($0.1) |" }.joined(separator: "\n")
    }

    /// Requests per second.
    private var rate: Int {
        let seconds: Double = took / Duration.seconds(1)
        return seconds > 0 ? Int(Double(tally.requests) / seconds) : 0
    }

    private var memory: String {
        [footprints.before, footprints.peak, footprints.after].map { "\($0.memory)" }.joined(separator: " / ")
    }
}
