import JSON

/// One line of the table: our result, the peer's result, and the cost.
package struct BenchmarkRow: Sendable {
    /// The measured quantity.
    package enum Measure: Sendable, Equatable {
        /// Operations per second; more is better.
        case perSecond(Double)
        /// Nanoseconds, mostly of a percentile; less is better.
        case nanoseconds(UInt64)
    }

    /// The ratio of our result to the peer's that is aimed at.
    package enum Goal: Sendable, Equatable {
        case atLeast(Double)
        case atMost(Double)

        func isMet(by ratio: Double) -> Bool {
            switch self {
            case .atLeast(let bound): ratio >= bound
            case .atMost(let bound): ratio <= bound
            }
        }
    }

    package let scenario: String
    package let ours: Measure
    package let peerName: String?
    package let peer: Measure?
    package let goal: Goal?
    package let latency: LatencySummary?
    /// The most memory that the server used, in bytes.
    package let peakMemory: Int?
    /// Whether the books balanced afterwards; nil when nothing was booked. A row whose books do not balance does not
    /// count.
    package let balances: Bool?
    /// The lowest and the highest result of the rounds of which this is the median; nil for a single round.
    package private(set) var spread: (lowest: Measure, highest: Measure)?

    package init(
        scenario: String, ours: Measure, peerName: String? = nil, peer: Measure? = nil, goal: Goal? = nil,
        latency: LatencySummary? = nil, peakMemory: Int? = nil, balances: Bool? = nil
    ) {
        self.scenario = scenario
        self.ours = ours
        self.peerName = peerName
        self.peer = peer
        self.goal = goal
        self.latency = latency
        self.peakMemory = peakMemory
        self.balances = balances
    }

    /// The row with the median result of several rounds, with the peer of its own round, and with the spread of all.
    ///
    /// - Precondition: There is at least one row.
    package static func median(of rows: [BenchmarkRow]) -> BenchmarkRow {
        let sorted = rows.sorted { $0.ours.number < $1.ours.number }
        let balances = rows.compactMap(\.balances)
        let median = sorted[sorted.count / 2]
        var row = BenchmarkRow(
            scenario: median.scenario, ours: median.ours, peerName: median.peerName, peer: median.peer,
            goal: median.goal, latency: median.latency, peakMemory: rows.compactMap(\.peakMemory).max(),
            balances: balances.isEmpty ? nil : !balances.contains(false))
        if rows.count > 1 { row.spread = (sorted[0].ours, sorted[sorted.count - 1].ours) }
        return row
    }

    /// Our result divided by the peer's; nil without a peer, or when they measure different quantities.
    package var ratio: Double? {
        switch (ours, peer) {
        case (.perSecond(let ours), .perSecond(let peer)?) where peer > 0: ours / peer
        case (.nanoseconds(let ours), .nanoseconds(let peer)?) where peer > 0: Double(ours) / Double(peer)
        default: nil
        }
    }

    /// Whether the goal is met; nil without a goal or a ratio. A row whose books do not balance does not meet its goal.
    package var meetsGoal: Bool? {
        guard let goal, let ratio else { return nil }
        return balances != false && goal.isMet(by: ratio)
    }
}

/// The report at the end of a benchmark run.
package struct BenchmarkReport: Sendable {
    /// The commit that was measured, with the suffix `-dirty` when files differed from it.
    package let revision: String
    package var rows: [BenchmarkRow]

    package init(revision: String, rows: [BenchmarkRow] = []) {
        self.revision = revision
        self.rows = rows
    }

    /// The table for people: the revision, a line of column names, and a line per row.
    package var table: String {
        let names = [
            "scenario", "ours", "peer", "", "ratio", "goal", "p50", "p99", "p99.9", "peak memory", "books", "spread",
        ]
        let lines = [names] + rows.map(cells)
        let widths = names.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        let texts = lines.map { cells in
            let padded = zip(cells, widths).enumerated().map { column, cell in
                // Names are aligned left, figures are aligned right.
                let padding = String(repeating: " ", count: cell.1 - cell.0.count)
                return column == 0 || column == 2 ? cell.0 + padding : padding + cell.0
            }
            var text = Substring(padded.joined(separator: "  "))
            while text.last == " " { text.removeLast() }
            return String(text)
        }
        return (["revision \(revision)"] + texts).joined(separator: "\n") + "\n"
    }

    private func cells(_ row: BenchmarkRow) -> [String] {
        let goal = row.goal.map { goal in
            let mark = row.meetsGoal.map { $0 ? " met" : " missed" } ?? ""
            switch goal {
            case .atLeast(let bound): return "≥ " + Figure.decimal(bound, places: 2) + mark
            case .atMost(let bound): return "≤ " + Figure.decimal(bound, places: 2) + mark
            }
        }
        return [
            row.scenario, Figure.measure(row.ours), row.peerName ?? "", row.peer.map(Figure.measure) ?? "",
            row.ratio.map { Figure.decimal($0, places: 2) } ?? "", goal ?? "",
            row.latency.map { Figure.duration($0.p50) } ?? "", row.latency.map { Figure.duration($0.p99) } ?? "",
            row.latency?.p999.map(Figure.duration) ?? "", row.peakMemory.map(Figure.memory) ?? "",
            row.balances.map { $0 ? "balance" : "DIFFER" } ?? "",
            row.spread.map { "\(Figure.measure($0.lowest)) to \(Figure.measure($0.highest))" } ?? "",
        ]
    }

    /// The report for programs: rates per second and times in nanoseconds as integers, memory in bytes.
    package var json: [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("revision", revision)
        writer.array("rows", rows) { writer, row in
            writer.beginObject()
            writer.member("scenario", row.scenario)
            writer.member("unit", row.ours.unit)
            writer.member("ours", row.ours.integer)
            writer.member("lowest", row.spread?.lowest.integer)
            writer.member("highest", row.spread?.highest.integer)
            writer.member("peer_name", row.peerName)
            writer.member("peer", row.peer?.integer)
            writer.member("ratio", row.ratio.map { JSONValue.number(Figure.decimal($0, places: 3)) })
            writer.member("meets_goal", row.meetsGoal)
            writer.member("p50_ns", row.latency.map { Int64($0.p50) })
            writer.member("p99_ns", row.latency.map { Int64($0.p99) })
            writer.member("p999_ns", row.latency?.p999.map { Int64($0) })
            writer.member("max_ns", row.latency.map { Int64($0.maximum) })
            writer.member("peak_memory_bytes", row.peakMemory)
            writer.member("balances", row.balances)
            writer.endObject()
        }
        writer.endObject()
        return writer.bytes
    }
}

extension BenchmarkRow.Measure {
    fileprivate var unit: String {
        switch self {
        case .perSecond: "per_second"
        case .nanoseconds: "nanoseconds"
        }
    }

    fileprivate var number: Double {
        switch self {
        case .perSecond(let rate): rate
        case .nanoseconds(let nanoseconds): Double(nanoseconds)
        }
    }

    fileprivate var integer: Int64 {
        switch self {
        case .perSecond(let rate): Int64(rate.rounded())
        case .nanoseconds(let nanoseconds): Int64(nanoseconds)
        }
    }
}
