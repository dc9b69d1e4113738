/// What a run did. When it failed, the numbers say what is known to have happened; a request that was under way may
/// have had its effect too, which the next run finds out.
package struct IngestReport: Sendable, CustomStringConvertible {
    /// For the exit of a process.
    package enum Status: Int32, Sendable {
        /// Every row is accepted, now or before.
        case complete = 0
        case failed = 1
        /// All rows were answered, some with a refusal.
        case someRejected = 2
    }

    /// A row that the server refused.
    package struct RejectedRow: Sendable, Equatable {
        package var line: Int
        package var code: String
        package var detail: String
    }

    /// How many of the rejected rows are kept here.
    package static let rejectedRowsKept = 10

    /// What the keys of the rows begin with, when they are made of row numbers; nil as long as it is not known.
    package internal(set) var keyPrefix: String?
    /// Rows to send; nil when the file could not be checked.
    package internal(set) var rows: Int?
    package internal(set) var accepted = 0
    /// Rows that an earlier run, or an earlier attempt of this one, got accepted. Nothing is charged twice.
    package internal(set) var replayed = 0
    package internal(set) var rejected = 0
    /// By the API's error code.
    package internal(set) var rejectedByCode: [String: Int] = [:]
    /// Those on the first lines among the rejected.
    package internal(set) var firstRejected: [RejectedRow] = []
    /// From the first request to the last answer.
    package internal(set) var elapsed: Duration = .zero
    package internal(set) var failure: IngestFailure?

    package var status: Status {
        if failure != nil { return .failed }
        return rejected > 0 ? .someRejected : .complete
    }

    package var rowsPerSecond: Int { (accepted + replayed + rejected).perSecond(over: elapsed) }

    mutating func add(_ answer: BatchAnswer, to batch: EventBatch) {
        accepted += answer.accepted
        replayed += answer.replayed
        rejected += answer.rejections.count
        for rejection in answer.rejections { rejectedByCode[rejection.code, default: 0] += 1 }
        firstRejected += answer.rejections.prefix(Self.rejectedRowsKept).map { rejection in
            RejectedRow(
                line: batch.events[rejection.index].line, code: rejection.code, detail: rejection.detail)
        }
        // Batches are answered in any order.
        firstRejected.sort { $0.line < $1.line }
        firstRejected = Array(firstRejected.prefix(Self.rejectedRowsKept))
    }

    /// Some lines for a person.
    package var description: String {
        var lines: [String] = []
        if let rows {
            let milliseconds = Int(elapsed / .milliseconds(1))
            lines.append(
                "\(rows.grouped) rows: \(accepted.grouped) accepted, \(replayed.grouped) replayed, "
                    + "\(rejected.grouped) rejected, in \(milliseconds.grouped) ms (\(rowsPerSecond.grouped) rows/s)")
        }
        for (code, count) in rejectedByCode.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }) {
            lines.append("  \(count.grouped) \(code.printable)")
        }
        for row in firstRejected {
            lines.append("  line \(row.line): \(row.code.printable): \(row.detail.printable)")
        }
        if rejected > firstRejected.count, !firstRejected.isEmpty {
            lines.append("  and \((rejected - firstRejected.count).grouped) more")
        }
        if let failure {
            lines.append(failure.description)
            if accepted + replayed + rejected > 0, let keyPrefix {
                lines.append(
                    "Run it again to go on: what was charged is not charged again as long as the file stays as it is, "
                        + "or keeps its rows in place and is given the key prefix \(keyPrefix).")
            }
        }
        return lines.joined(separator: "\n")
    }
}
