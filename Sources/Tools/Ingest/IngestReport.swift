/// The result of a run. After a failure the numbers cover the answered requests only; a request in flight may have had
/// its effect as well, which the next run finds out.
package struct IngestReport: Sendable, CustomStringConvertible {
    /// The exit status of a process.
    package enum Status: Int32, Sendable {
        /// Every row was accepted, in this run or an earlier one.
        case complete = 0
        case failed = 1
        /// Every row was answered, and some were refused.
        case someRejected = 2
    }

    /// A row that the server refused.
    package struct RejectedRow: Sendable, Equatable {
        package var line: Int
        package var code: String
        package var detail: String
    }

    /// The most rejected rows that a report keeps.
    package static let rejectedRowsKept = 10

    /// The number of rows to send; nil when the file could not be checked.
    package internal(set) var rows: Int?
    /// The number of blank lines in the file, which were skipped.
    package internal(set) var blankLines = 0
    package internal(set) var accepted = 0
    /// Rows that were accepted in an earlier run, or in an earlier attempt of this one. They are not charged again.
    package internal(set) var replayed = 0
    package internal(set) var rejected = 0
    /// The number of rejected rows by the API's error code.
    package internal(set) var rejectedByCode: [String: Int] = [:]
    /// The rejected rows with the lowest line numbers.
    package internal(set) var firstRejected: [RejectedRow] = []
    /// The time from the first request to the last answer.
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

    /// A summary for a person to read.
    package var description: String {
        var lines: [String] = []
        if let rows {
            let milliseconds = Int(elapsed / .milliseconds(1))
            lines.append(
                "\(rows.grouped) rows: \(accepted.grouped) accepted, \(replayed.grouped) replayed, "
                    + "\(rejected.grouped) rejected, in \(milliseconds.grouped) ms (\(rowsPerSecond.grouped) rows/s)")
        }
        if blankLines > 0 { lines.append(blankLines.blankLinesSkipped) }
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
            if accepted + replayed + rejected > 0 {
                lines.append(
                    "Run it again to continue: rows that were charged are not charged again if they and the rows before "
                        + "them are unchanged.")
            }
        }
        return lines.joined(separator: "\n")
    }
}

extension Int {
    /// A line of a report.
    package var blankLinesSkipped: String { "\(grouped) blank \(self == 1 ? "line was" : "lines were") skipped" }
}
