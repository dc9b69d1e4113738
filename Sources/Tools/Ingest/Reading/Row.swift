import JSON

/// One record of the input with the cells that the mapping asked for.
struct Row: Sendable, Equatable {
    /// Counts from 0, without the header line; part of the idempotency key.
    var number: Int
    /// The line on which the record begins, from 1.
    var line: Int
    /// In the order of the columns that were asked for; nil where an NDJSON object has no such member. CSV cells are
    /// always strings.
    var cells: [JSONValue?]
}

/// Why a row of the file is not an event.
package struct RowProblem: Error, Sendable, Equatable, CustomStringConvertible {
    /// From 1; of a record over several lines, the first.
    package let line: Int
    /// The name of the column, when one is to blame.
    package let column: String?
    /// The rest of a sentence that begins with the column.
    package let sentence: String

    package var description: String {
        "line \(line): \(column.map { "column \($0) " } ?? "")\(sentence)"
    }
}
