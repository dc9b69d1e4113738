/// The reason why a run did not send everything. It is always safe to run the same plan again.
package enum IngestFailure: Error, Sendable, Equatable, CustomStringConvertible {
    // MARK: Before anything was sent

    /// An option is out of its range; the text is a sentence without its full stop.
    case unusablePlan(String)
    case fileUnreadable(path: String, reason: String)
    /// The file is not valid CSV or NDJSON. Columns count bytes from 1; nil means the whole line.
    case unreadableText(line: Int, column: Int?, String)
    /// Columns of the mapping that the CSV header lacks.
    case missingColumns([String], header: [String])
    /// Rows that cannot become events: the first few problems, and the number of all.
    case unusableRows([RowProblem], count: Int)
    case rejectsUnwritable(path: String, reason: String)

    // MARK: While sending

    /// The file was modified during the run.
    case fileChanged(path: String)
    /// The server refused a request as a whole, and would refuse it again.
    case refused(Refusal)
    /// The server gave no final answer; the reason is that of the last attempt.
    case unavailable(reason: String, attempts: Int, lines: ClosedRange<Int>)
    /// The answer is not one of the API that this program knows.
    case unexpectedAnswer(String, lines: ClosedRange<Int>)
    /// The task was cancelled.
    case cancelled

    /// A request that the server refused: a status of 400 to 499 other than 408 and 429.
    package struct Refusal: Sendable, Equatable {
        package var status: Int
        /// The API's error code, such as `unauthenticated`; nil when the answer was not a problem document.
        package var code: String?
        package var detail: String
        package var requestID: String?
        /// The lines of the file that the request carried.
        package var lines: ClosedRange<Int>
        /// The errors that the server reports for single rows.
        package var rows: [RowProblem]
    }

    package var description: String {
        switch self {
        case .unusablePlan(let sentence): "\(sentence)."
        case .fileUnreadable(let path, let reason): "Cannot read \(path): \(reason)."
        case .unreadableText(let line, let column, let sentence):
            "Line \(line)\(column.map { ", column \($0)" } ?? ""): \(sentence). Nothing was sent."
        case .missingColumns(let missing, let header):
            "The header has no column \(missing.joined(separator: ", ")); it has \(header.joined(separator: ", "))."
        case .unusableRows(let problems, let count):
            "\(count.grouped) \(count == 1 ? "row is" : "rows are") not usable; nothing was sent."
                + problems.map { "\n  \($0)" }.joined()
                + (count > problems.count ? "\n  and \((count - problems.count).grouped) more" : "")
        case .rejectsUnwritable(let path, let reason): "Cannot write \(path): \(reason)."
        case .fileChanged(let path):
            "\(path) was modified while it was read. Run it again: rows that were charged are not charged again if they "
                + "and the rows before them are unchanged."
        case .refused(let refusal): refusal.description
        case .unavailable(let reason, let attempts, let lines):
            "Gave up on \(lines.sentence) after \(attempts) \(attempts == 1 ? "attempt" : "attempts"): \(reason)."
        case .unexpectedAnswer(let sentence, let lines): "The answer for \(lines.sentence) is not usable: \(sentence)."
        case .cancelled: "Stopped before the end."
        }
    }
}

extension IngestFailure.Refusal: CustomStringConvertible {
    package var description: String {
        var text = "The server refuses \(lines.sentence) with \(status)"
        if let code { text += " \(code.printable)" }
        text += ": \(detail.printable)"
        if let requestID { text += " (request \(requestID.printable))" }
        for row in rows { text += "\n  \(row.description.printable)" }
        return text
    }
}

extension ClosedRange<Int> {
    fileprivate var sentence: String {
        lowerBound == upperBound ? "line \(lowerBound)" : "lines \(lowerBound) to \(upperBound)"
    }
}

extension String {
    /// The text without control characters, which could control a terminal, cut after 500 characters.
    var printable: String {
        var text = String.UnicodeScalarView()
        for scalar in unicodeScalars.prefix(500) {
            text.append(scalar.properties.generalCategory == .control ? " " : scalar)
        }
        return String(text)
    }
}

extension Int {
    /// The number with a comma between groups of three digits.
    var grouped: String {
        let digits = String(magnitude)
        var text = self < 0 ? "-" : ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { text += "," }
            text.append(digit)
        }
        return text
    }
}
