import Credits
import JSON

/// One record of the input, with the cells that the mapping needs.
struct Row: Sendable, Equatable {
    /// The number of the row, from 0 and without the header line and blank lines. Idempotency keys can be made from it.
    var number: Int
    /// The line on which the record begins, from 1.
    var line: Int
    /// The cells in the order of the requested columns; nil where an NDJSON object lacks the member. CSV cells are
    /// always strings.
    var cells: [JSONValue?]
    /// The digest over the header and all rows up to this one. Idempotency keys can be made from it.
    var digest: Bits128
}

/// The reason why a row of the file is not an event.
package struct RowProblem: Error, Sendable, Equatable, CustomStringConvertible {
    /// The line, from 1; for a record over several lines, the first.
    package let line: Int
    /// The name of the column that causes the problem, if there is one.
    package let column: String?
    /// The rest of a sentence that begins with the column.
    package let sentence: String

    package var description: String {
        "line \(line): \(column.map { "column \($0) " } ?? "")\(sentence)"
    }
}
