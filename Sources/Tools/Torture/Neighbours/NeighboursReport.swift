/// The results of all abuses beside the undisturbed run, and the bounds that they broke.
struct NeighboursReport {
    typealias Figures = [Bystander.Kind: Bystander.Figures]

    /// The bounds of time. Memory has its own bound in `Footprints.bound`.
    struct Bounds {
        /// The p99 of B's requests during an abuse, as a multiple of the undisturbed one.
        let factor: Int
        let p99: Duration
        let health: Duration

        /// - Parameter slack: The factor for the time of debug builds; 1 for a release build.
        init(slack: Int) {
            factor = 5 * slack
            p99 = .milliseconds(250 * slack)
            health = .milliseconds(100 * slack)
        }
    }

    /// The results of one abuse.
    struct Row {
        let abuse: Abuse
        /// The number of answers that the abuser received, by status or failure.
        let answers: [String: Int]
        let figures: Figures
        let node: Footprints
        let worker: Footprints
        /// Whether memory came back within its bound.
        let isMemoryBack: Bool
        /// Whether tenant B is undisturbed after the abuse.
        let hasRecovered: Bool
        /// Processes that ended, and disturbances before and after the abuse.
        let reports: [String]
    }

    private let bounds: Bounds
    private let undisturbed: Figures
    private var rows: [Row] = []
    private var notes: [String] = []

    init(bounds: Bounds, undisturbed: Figures) {
        self.bounds = bounds
        self.undisturbed = undisturbed
    }

    mutating func add(_ row: Row) { rows.append(row) }

    /// Adds a finding that belongs to no measurement.
    mutating func note(_ finding: String) { notes.append(finding) }

    /// The broken bounds, each with its abuse.
    var broken: [String] {
        undisturbedErrors.map { "undisturbed: \($0)" }
            + rows.flatMap { row in broken(by: row).map { "\(row.abuse.name): \($0)" } } + notes
    }

    /// The bounds that an abuse broke, in sentences.
    func broken(by row: Row) -> [String] {
        var broken = Row.errors(of: row.figures)
        for kind in [Bystander.Kind.usage, .check] {
            let p99 = row.figures[kind]?.percentile(0.99) ?? .zero
            let calm = undisturbed[kind]?.percentile(0.99) ?? .zero
            if p99 > calm * bounds.factor {
                broken.append(
                    "p99 of \(kind.rawValue) is \(p99.inMilliseconds) ms, more than \(bounds.factor) × "
                        + "\(calm.inMilliseconds) ms undisturbed")
            }
            if p99 >= bounds.p99 {
                broken.append(
                    "p99 of \(kind.rawValue) is \(p99.inMilliseconds) ms, not below \(bounds.p99.inMilliseconds) ms")
            }
        }
        let health = row.figures[.healthz]?.percentile(1) ?? .zero
        if health >= bounds.health {
            broken.append("/healthz took \(health.inMilliseconds) ms, not below \(bounds.health.inMilliseconds) ms")
        }
        if !row.isMemoryBack {
            for (name, footprints) in [("API node", row.node), ("ledger worker", row.worker)] where !footprints.isBack {
                broken.append(
                    "memory of the \(name) is \(footprints.after.memory) MiB after, more than "
                        + "\(Footprints.bound(before: footprints.before.memory)) MiB")
            }
        }
        return broken + row.reports
    }

    private var undisturbedErrors: [String] { Row.errors(of: undisturbed) }

    /// The table in Markdown. Times are in milliseconds, memory in MiB.
    var table: String {
        let titles = [
            "abuse", "answers to the abuser", "B's usage: p50 / p99 / worst", "B's checks: p50 / p99 / worst",
            "errors of B", "/healthz, worst", "/readyz, worst", "API: memory before / peak / after", "its descriptors",
            "worker: memory", "its descriptors", "bounds",
        ]
        let first = [
            "none", "", times(undisturbed, .usage), times(undisturbed, .check),
            undisturbedErrors.joined(separator: "; "), worst(undisturbed, .healthz), worst(undisturbed, .readyz), "",
            "",
            "", "", "",
        ]
        let others = rows.map { row in
            [
                row.abuse.name, counts(row.answers), times(row.figures, .usage), times(row.figures, .check),
                Row.errors(of: row.figures).joined(separator: "; "), worst(row.figures, .healthz),
                worst(row.figures, .readyz), three(row.node, \.memory), three(row.node, \.descriptors),
                three(row.worker, \.memory), three(row.worker, \.descriptors),
                broken(by: row).isEmpty ? "kept" : "**broken**",
            ]
        }
        let lines = [titles, titles.map { _ in "---" }, first] + others
        return lines.map { "| " + $0.joined(separator: " | ") + " |" }.joined(separator: "\n")
    }

    private func times(_ figures: Figures, _ kind: Bystander.Kind) -> String {
        guard let figures = figures[kind] else { return "-" }
        return [0.5, 0.99, 1].map { figures.percentile($0).inMilliseconds }.joined(separator: " / ")
    }

    private func worst(_ figures: Figures, _ kind: Bystander.Kind) -> String {
        figures[kind]?.percentile(1).inMilliseconds ?? "-"
    }

    private func three(_ footprints: Footprints, _ part: (Footprint) -> Int) -> String {
        [footprints.before, footprints.peak, footprints.after].map { "\(part($0))" }.joined(separator: " / ")
    }

    private func counts(_ counts: [String: Int]) -> String {
        counts.sorted { $0.key < $1.key }.map { "\($0.value) × \($0.key)" }.joined(separator: ", ")
    }
}

extension NeighboursReport.Row {
    /// The requests without the expected answer, by kind.
    static func errors(of figures: NeighboursReport.Figures) -> [String] {
        Bystander.Kind.allCases.compactMap { kind in
            guard let errors = figures[kind]?.errors, !errors.isEmpty else { return nil }
            let counts = errors.sorted { $0.key < $1.key }.map { "\($0.value) × \($0.key)" }
            return "\(kind.rawValue): \(counts.joined(separator: ", "))"
        }
    }
}

extension Duration {
    /// Milliseconds with one decimal below 10.
    fileprivate var inMilliseconds: String {
        let tenths = Int((self / .microseconds(100)).rounded())
        return tenths < 100 ? "\(tenths / 10).\(tenths % 10)" : "\((tenths + 5) / 10)"
    }
}
