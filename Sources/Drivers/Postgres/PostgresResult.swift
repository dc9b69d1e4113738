import CPostgres

/// The rows of one query, in the server's binary format and in memory that libpq allocated.
///
/// Nothing changes a `PGresult` after the connection has handed it out, so any thread may read it. It is freed with the
/// last reference.
package final class PostgresResult: @unchecked Sendable, Sequence {
    fileprivate let pointer: OpaquePointer

    package let rowCount: Int

    /// Takes ownership of the result.
    init(_ pointer: OpaquePointer) {
        self.pointer = pointer
        rowCount = Int(PQntuples(pointer))
    }

    deinit {
        PQclear(pointer)
    }

    /// The server's command tag: "INSERT 0 3", "COMMIT", or "ROLLBACK" for the COMMIT of a failed transaction.
    package var commandTag: String {
        PQcmdStatus(pointer).map { String(cString: $0) } ?? ""
    }

    package var columnCount: Int { Int(PQnfields(pointer)) }

    /// - Parameter index: From 0 to `rowCount` - 1. Other values trap.
    package func row(_ index: Int) -> PostgresRow {
        precondition(index >= 0 && index < rowCount, "row \(index) does not exist: the result has \(rowCount) rows")
        return PostgresRow(result: self, index: Int32(index))
    }

    package var first: PostgresRow? { rowCount > 0 ? row(0) : nil }

    package struct Iterator: IteratorProtocol {
        fileprivate let result: PostgresResult
        fileprivate var index = 0

        package mutating func next() -> PostgresRow? {
            guard index < result.rowCount else { return nil }
            defer { index += 1 }
            return result.row(index)
        }
    }

    package func makeIterator() -> Iterator {
        Iterator(result: self)
    }

    package var underestimatedCount: Int { rowCount }
}

/// One row of a result. Columns are numbered from 0 in the order of the SELECT list.
///
/// A null, another type or a missing column throws `PostgresError` of kind `decoding`. The `…OrNil` forms return nil
/// for null.
package struct PostgresRow: Sendable {
    fileprivate let result: PostgresResult
    fileprivate let index: Int32

    /// Whether the column is null. Also true for a column that does not exist.
    package func isNull(_ column: Int) -> Bool {
        guard column >= 0, column < result.columnCount else { return true }
        return PQgetisnull(result.pointer, index, Int32(column)) != 0
    }

    package func bool(_ column: Int) throws(PostgresError) -> Bool {
        try present(column, TypeIdentifier.bool).bool()
    }

    package func int16(_ column: Int) throws(PostgresError) -> Int16 {
        try present(column, TypeIdentifier.int2).int16()
    }

    package func int16OrNil(_ column: Int) throws(PostgresError) -> Int16? {
        try typed(column, TypeIdentifier.int2)?.int16()
    }

    /// Also accepts a smallint.
    package func int32(_ column: Int) throws(PostgresError) -> Int32 {
        try present(column, TypeIdentifier.int4, TypeIdentifier.int2).int32()
    }

    /// Also accepts a smallint.
    package func int32OrNil(_ column: Int) throws(PostgresError) -> Int32? {
        try typed(column, TypeIdentifier.int4, TypeIdentifier.int2)?.int32()
    }

    /// Also accepts an integer and a smallint.
    package func int64(_ column: Int) throws(PostgresError) -> Int64 {
        try present(column, TypeIdentifier.int8, TypeIdentifier.int4, TypeIdentifier.int2).int64()
    }

    /// Also accepts an integer and a smallint.
    package func int64OrNil(_ column: Int) throws(PostgresError) -> Int64? {
        try typed(column, TypeIdentifier.int8, TypeIdentifier.int4, TypeIdentifier.int2)?.int64()
    }

    /// Reads text of any kind, json and jsonb, and the labels of enumerations.
    package func text(_ column: Int) throws(PostgresError) -> String {
        guard let text = try textOrNil(column) else { throw unexpectedNull(column) }
        return text
    }

    package func textOrNil(_ column: Int) throws(PostgresError) -> String? {
        guard let field = try fieldOrNil(column) else { return nil }
        switch type(column) {
        case TypeIdentifier.jsonb: return try field.jsonText()
        case TypeIdentifier.bool, TypeIdentifier.int2, TypeIdentifier.int4, TypeIdentifier.int8,
            TypeIdentifier.bytea, TypeIdentifier.timestamptz, TypeIdentifier.timestamp, TypeIdentifier.uuid:
            throw wrongType(column)
        default: return field.text()
        }
    }

    /// A copy of the column's bytes: the value of a bytea, the binary form of any other type.
    package func bytes(_ column: Int) throws(PostgresError) -> [UInt8] {
        guard let field = try fieldOrNil(column) else { throw unexpectedNull(column) }
        return field.byteArray()
    }

    package func bytesOrNil(_ column: Int) throws(PostgresError) -> [UInt8]? {
        try fieldOrNil(column)?.byteArray()
    }

    /// Microseconds since the Unix epoch. A timestamp without time zone is read as UTC.
    package func timestamp(_ column: Int) throws(PostgresError) -> Int64 {
        try present(column, TypeIdentifier.timestamptz, TypeIdentifier.timestamp).timestamp()
    }

    package func timestampOrNil(_ column: Int) throws(PostgresError) -> Int64? {
        try typed(column, TypeIdentifier.timestamptz, TypeIdentifier.timestamp)?.timestamp()
    }

    package func uuid(_ column: Int) throws(PostgresError) -> PostgresUUID {
        try present(column, TypeIdentifier.uuid).uuid()
    }

    package func uuidOrNil(_ column: Int) throws(PostgresError) -> PostgresUUID? {
        try typed(column, TypeIdentifier.uuid)?.uuid()
    }

    /// The elements of a text array. A null element is a decoding error.
    package func texts(_ column: Int) throws(PostgresError) -> [String] {
        try elements(column, TypeIdentifier.textArray) { field throws(PostgresError) in field.text() }
    }

    /// The elements of a bigint array. A null element is a decoding error.
    package func int64s(_ column: Int) throws(PostgresError) -> [Int64] {
        try elements(column, TypeIdentifier.int8Array) { field throws(PostgresError) in try field.int64() }
    }

    /// The elements of an integer array. A null element is a decoding error.
    package func int32s(_ column: Int) throws(PostgresError) -> [Int32] {
        try elements(column, TypeIdentifier.int4Array) { field throws(PostgresError) in try field.int32() }
    }

    /// The elements of an array of timestamps, in microseconds since the Unix epoch. A null element throws.
    package func timestamps(_ column: Int) throws(PostgresError) -> [Int64] {
        try elements(column, TypeIdentifier.timestamptzArray) { field throws(PostgresError) in try field.timestamp() }
    }

    private func elements<Element>(
        _ column: Int, _ type: UInt32, _ decode: (PostgresField) throws(PostgresError) -> Element
    ) throws(PostgresError) -> [Element] {
        var all: [Element] = []
        for element in try present(column, type).array(decode) {
            guard let element else { throw unexpectedNull(column) }
            all.append(element)
        }
        return all
    }

    @inline(__always)
    private func present(
        _ column: Int, _ first: UInt32, _ second: UInt32? = nil, _ third: UInt32? = nil
    ) throws(PostgresError) -> PostgresField {
        guard let field = try typed(column, first, second, third) else { throw unexpectedNull(column) }
        return field
    }

    @inline(__always)
    private func typed(
        _ column: Int, _ first: UInt32, _ second: UInt32? = nil, _ third: UInt32? = nil
    ) throws(PostgresError) -> PostgresField? {
        guard let field = try fieldOrNil(column) else { return nil }
        let type = type(column)
        guard type == first || type == second || type == third else { throw wrongType(column) }
        return field
    }

    /// The bytes of a column, or nil for null. They live as long as the result.
    @inline(__always)
    func fieldOrNil(_ column: Int) throws(PostgresError) -> PostgresField? {
        guard column >= 0, column < result.columnCount else {
            throw PostgresError(.decoding("the result has no column \(column)"))
        }
        let column = Int32(column)
        if PQgetisnull(result.pointer, index, column) != 0 { return nil }
        let length = Int(PQgetlength(result.pointer, index, column))
        return PostgresField(
            UnsafeRawBufferPointer(start: PQgetvalue(result.pointer, index, column), count: length))
    }

    @inline(__always)
    private func type(_ column: Int) -> UInt32 {
        PQftype(result.pointer, Int32(column))
    }

    private func name(_ column: Int) -> String {
        PQfname(result.pointer, Int32(column)).map { String(cString: $0) } ?? ""
    }

    private func unexpectedNull(_ column: Int) -> PostgresError {
        PostgresError(.decoding("column \(column) \"\(name(column))\" is null"))
    }

    private func wrongType(_ column: Int) -> PostgresError {
        PostgresError(
            .decoding("column \(column) \"\(name(column))\" has the unexpected type OID \(type(column))"))
    }
}
