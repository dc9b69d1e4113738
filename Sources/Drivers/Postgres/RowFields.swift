/// Reads the fields of one row in order: of a query's result, of a binary COPY, or of a replicated tuple. One decoder
/// of a table's columns therefore serves all three.
///
/// Every read takes the next field. It throws `PostgresError` of kind `decoding` for a null where none is allowed, for
/// bytes of another type, and beyond the last field. A replicated update may leave out a large value of any column that
/// it did not change. The read then returns `or`, the value of the previous row, and throws
/// `PostgresError.unchangedField` without one. The fields are views and must not outlive the memory of their row.
package struct RowFields {
    private enum Source {
        case result(PostgresRow, next: Int)
        case copy(CopyRow)
        case tuple(TupleReader.Iterator)
        /// The columns of a tuple in the order in which they are read.
        case columns([TupleColumn], next: Int)
    }

    private enum Field {
        case value(PostgresField)
        case null
        case unchanged
    }

    private var source: Source

    /// - Parameter column: The first column to read.
    package init(_ row: PostgresRow, from column: Int = 0) {
        source = .result(row, next: column)
    }

    package init(_ row: CopyRow) {
        source = .copy(row)
    }

    /// - Parameters:
    ///   - order: For each field to read, its index in the tuple, or nil for a column that the tuple lacks, which is
    ///     read as null. Nil instead of an array when every field is at its own index.
    ///   - key: The replica identity of the previous row, if the WAL contains it. Its values replace columns that the
    ///     tuple leaves out.
    package init(_ tuple: TupleReader, order: [Int?]? = nil, key: TupleReader? = nil) {
        guard order != nil || key != nil else {
            source = .tuple(tuple.makeIterator())
            return
        }
        var columns = Array(tuple)
        let identity = key.map { Array($0) } ?? []
        for (index, column) in identity.enumerated() where index < columns.count {
            if case .unchanged = columns[index] {
                if case .null = column { continue }
                columns[index] = column
            }
        }
        source = .columns(
            order?.map { place in place.flatMap { $0 < columns.count ? columns[$0] : nil } ?? .null } ?? columns,
            next: 0)
    }

    // MARK: - Values

    package mutating func bool(or old: Bool? = nil) throws(PostgresError) -> Bool {
        try present(old) { field throws(PostgresError) in try field.bool() }
    }

    package mutating func int16OrNil(or old: Int16?? = nil) throws(PostgresError) -> Int16? {
        try optional(old) { field throws(PostgresError) in try field.int16() }
    }

    package mutating func int16(or old: Int16? = nil) throws(PostgresError) -> Int16 {
        try present(old) { field throws(PostgresError) in try field.int16() }
    }

    package mutating func int32(or old: Int32? = nil) throws(PostgresError) -> Int32 {
        try present(old) { field throws(PostgresError) in try field.int32() }
    }

    package mutating func int32OrNil(or old: Int32?? = nil) throws(PostgresError) -> Int32? {
        try optional(old) { field throws(PostgresError) in try field.int32() }
    }

    package mutating func int64(or old: Int64? = nil) throws(PostgresError) -> Int64 {
        try present(old) { field throws(PostgresError) in try field.int64() }
    }

    package mutating func int64OrNil(or old: Int64?? = nil) throws(PostgresError) -> Int64? {
        try optional(old) { field throws(PostgresError) in try field.int64() }
    }

    package mutating func text(or old: String? = nil) throws(PostgresError) -> String {
        try present(old) { field in field.text() }
    }

    package mutating func textOrNil(or old: String?? = nil) throws(PostgresError) -> String? {
        try optional(old) { field in field.text() }
    }

    package mutating func bytes(or old: [UInt8]? = nil) throws(PostgresError) -> [UInt8] {
        try present(old) { field in field.byteArray() }
    }

    package mutating func bytesOrNil(or old: [UInt8]?? = nil) throws(PostgresError) -> [UInt8]? {
        try optional(old) { field in field.byteArray() }
    }

    /// Microseconds since the Unix epoch.
    package mutating func timestamp(or old: Int64? = nil) throws(PostgresError) -> Int64 {
        try present(old) { field throws(PostgresError) in try field.timestamp() }
    }

    package mutating func timestampOrNil(or old: Int64?? = nil) throws(PostgresError) -> Int64? {
        try optional(old) { field throws(PostgresError) in try field.timestamp() }
    }

    package mutating func uuid(or old: PostgresUUID? = nil) throws(PostgresError) -> PostgresUUID {
        try present(old) { field throws(PostgresError) in try field.uuid() }
    }

    package mutating func uuidOrNil(or old: PostgresUUID?? = nil) throws(PostgresError) -> PostgresUUID? {
        try optional(old) { field throws(PostgresError) in try field.uuid() }
    }

    /// The elements of an array; empty for null. A null element throws.
    package mutating func texts(or old: [String]? = nil) throws(PostgresError) -> [String] {
        try textsOrNil(or: old) ?? []
    }

    package mutating func textsOrNil(or old: [String]?? = nil) throws(PostgresError) -> [String]? {
        try optional(old) { field throws(PostgresError) in
            try Self.elements(field) { element throws(PostgresError) in element.text() }
        }
    }

    /// The elements of an array; empty for null. A null element throws.
    package mutating func int32s(or old: [Int32]? = nil) throws(PostgresError) -> [Int32] {
        try optional(old) { field throws(PostgresError) in
            try Self.elements(field) { element throws(PostgresError) in try element.int32() }
        } ?? []
    }

    /// The elements of an array; empty for null. A null element throws.
    package mutating func int64s(or old: [Int64]? = nil) throws(PostgresError) -> [Int64] {
        try optional(old) { field throws(PostgresError) in
            try Self.elements(field) { element throws(PostgresError) in try element.int64() }
        } ?? []
    }

    /// The elements of an array, in microseconds since the Unix epoch; empty for null. A null element throws.
    package mutating func timestamps(or old: [Int64]? = nil) throws(PostgresError) -> [Int64] {
        try optional(old) { field throws(PostgresError) in
            try Self.elements(field) { element throws(PostgresError) in try element.timestamp() }
        } ?? []
    }

    /// Skips one field.
    package mutating func skip() throws(PostgresError) {
        _ = try next()
    }

    // MARK: - Parts

    // These parts are inlined, so that the compiler makes plain code of each read: rows are read by the million.

    @inline(__always)
    private mutating func present<Value>(
        _ old: Value?, _ decode: (PostgresField) throws(PostgresError) -> Value
    ) throws(PostgresError) -> Value {
        switch try next() {
        case .value(let field): return try decode(field)
        case .null: throw PostgresError(.decoding("a column that must not be null is null"))
        case .unchanged:
            guard let old else { throw .unchangedField }
            return old
        }
    }

    /// - Parameter old: Nil when there is no previous row; `.some(nil)` when its column was null.
    @inline(__always)
    private mutating func optional<Value>(
        _ old: Value??, _ decode: (PostgresField) throws(PostgresError) -> Value
    ) throws(PostgresError) -> Value? {
        switch try next() {
        case .value(let field): return try decode(field)
        case .null: return nil
        case .unchanged:
            guard let old else { throw .unchangedField }
            return old
        }
    }

    @inline(__always)
    private static func elements<Element>(
        _ field: PostgresField, _ decode: (PostgresField) throws(PostgresError) -> Element
    ) throws(PostgresError) -> [Element] {
        var elements: [Element] = []
        for element in try field.array(decode) {
            guard let element else { throw PostgresError(.decoding("an array has a null element")) }
            elements.append(element)
        }
        return elements
    }

    @inline(__always)
    private mutating func next() throws(PostgresError) -> Field {
        switch source {
        case .result(let row, let column):
            source = .result(row, next: column + 1)
            return try row.fieldOrNil(column).map { .value($0) } ?? .null
        case .copy(var row):
            let field = try row.nextFieldOrNil()
            source = .copy(row)
            return field.map { .value($0) } ?? .null
        case .tuple(var iterator):
            guard let column = iterator.next() else { throw Self.beyondTheEnd }
            source = .tuple(iterator)
            return Self.field(column)
        case .columns(let columns, let index):
            guard index < columns.count else { throw Self.beyondTheEnd }
            source = .columns(columns, next: index + 1)
            return Self.field(columns[index])
        }
    }

    @inline(__always)
    private static func field(_ column: TupleColumn) -> Field {
        switch column {
        case .null: .null
        case .unchanged: .unchanged
        case .binary(let field), .text(let field): .value(field)
        }
    }

    private static let beyondTheEnd = PostgresError(.decoding("a row has fewer fields than expected"))
}

extension PostgresError {
    /// A replicated row leaves out an unchanged value, and the previous row is not known.
    package static let unchangedField = PostgresError(.decoding("a replicated row lacks an unchanged value"))
}
