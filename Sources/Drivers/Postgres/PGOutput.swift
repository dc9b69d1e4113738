/// One message of the `pgoutput` plugin, protocol version 1 (PostgreSQL documentation, "Logical Replication Message
/// Formats"). Times are microseconds since the Unix epoch.
///
/// Tuples and contents are views of the parsed bytes and must not outlive them.
package enum PGOutputMessage {
    /// The transaction that follows was committed at `finalPosition`.
    case begin(finalPosition: WALPosition, commitTime: Int64, transaction: UInt32)
    /// `endPosition` is the position to confirm after the transaction has been applied.
    case commit(position: WALPosition, endPosition: WALPosition, commitTime: Int64)
    case origin(position: WALPosition, name: String)
    /// Sent before the first change of a relation, and again when its columns may have changed.
    case relation(PGOutputRelation)
    case type(identifier: UInt32, namespace: String, name: String)
    case insert(relation: UInt32, new: TupleReader)
    /// `old` is present when the key changed (it then holds the key columns) or when the replica identity is full.
    case update(relation: UInt32, old: TupleReader?, new: TupleReader)
    /// `old` holds the key columns and null for the others, or the whole row when the replica identity is full.
    case delete(relation: UInt32, old: TupleReader)
    case truncate(relations: [UInt32], cascades: Bool, restartsIdentity: Bool)
    case message(isTransactional: Bool, position: WALPosition, prefix: String, content: UnsafeRawBufferPointer)

    /// - Throws: `PostgresError` of kind `decoding` when the bytes are not exactly one message.
    package init(_ bytes: UnsafeRawBufferPointer) throws(PostgresError) {
        var reader = WireReader(bytes)
        let kind = try reader.integer(as: UInt8.self)
        switch kind {
        case UInt8(ascii: "B"):
            self = .begin(
                finalPosition: try reader.walPosition(), commitTime: try reader.time(),
                transaction: try reader.integer())
        case UInt8(ascii: "C"):
            _ = try reader.integer(as: UInt8.self)
            self = .commit(
                position: try reader.walPosition(), endPosition: try reader.walPosition(),
                commitTime: try reader.time())
        case UInt8(ascii: "O"):
            self = .origin(position: try reader.walPosition(), name: try reader.zeroTerminatedText())
        case UInt8(ascii: "R"):
            self = .relation(try PGOutputRelation(&reader))
        case UInt8(ascii: "Y"):
            self = .type(
                identifier: try reader.integer(), namespace: try reader.zeroTerminatedText(),
                name: try reader.zeroTerminatedText())
        case UInt8(ascii: "I"):
            let relation = try reader.integer(as: UInt32.self)
            try reader.expect("N")
            self = .insert(relation: relation, new: try TupleReader(&reader))
        case UInt8(ascii: "U"):
            self = try Self.update(&reader)
        case UInt8(ascii: "D"):
            let relation = try reader.integer(as: UInt32.self)
            try reader.expect("K", or: "O")
            self = .delete(relation: relation, old: try TupleReader(&reader))
        case UInt8(ascii: "T"):
            self = try Self.truncate(&reader)
        case UInt8(ascii: "M"):
            let flags = try reader.integer(as: UInt8.self)
            let position = try reader.walPosition()
            let prefix = try reader.zeroTerminatedText()
            let content = try reader.slice(Int(try reader.integer(as: Int32.self)))
            self = .message(isTransactional: flags & 1 != 0, position: position, prefix: prefix, content: content)
        default:
            throw PostgresError(.decoding("a pgoutput message has the unknown kind \(kind)"))
        }
        guard reader.remaining == 0 else {
            throw PostgresError(.decoding("a pgoutput message has \(reader.remaining) extra bytes"))
        }
    }

    private static func update(_ reader: inout WireReader) throws(PostgresError) -> PGOutputMessage {
        let relation = try reader.integer(as: UInt32.self)
        var old: TupleReader?
        if try reader.expect("K", "O", or: "N") != UInt8(ascii: "N") {
            old = try TupleReader(&reader)
            try reader.expect("N")
        }
        return .update(relation: relation, old: old, new: try TupleReader(&reader))
    }

    private static func truncate(_ reader: inout WireReader) throws(PostgresError) -> PGOutputMessage {
        let count = try reader.integer(as: Int32.self)
        let options = try reader.integer(as: UInt8.self)
        guard count >= 0, Int(count) <= reader.remaining / 4 else {
            throw PostgresError(.decoding("a truncate message has the invalid count \(count)"))
        }
        var relations: [UInt32] = []
        for _ in 0..<count { relations.append(try reader.integer()) }
        return .truncate(relations: relations, cascades: options & 1 != 0, restartsIdentity: options & 2 != 0)
    }
}

/// The name and the columns of a relation, valid for the changes that follow.
package struct PGOutputRelation: Sendable, Equatable {
    package struct Column: Sendable, Equatable {
        package let name: String
        package let type: UInt32
        package let typeModifier: Int32
        package let isKey: Bool
    }

    package let identifier: UInt32
    package let namespace: String
    package let name: String
    /// `pg_class.relreplident`: d, n, f or i.
    package let replicaIdentity: UInt8
    package let columns: [Column]

    fileprivate init(_ reader: inout WireReader) throws(PostgresError) {
        identifier = try reader.integer()
        namespace = try reader.zeroTerminatedText()
        name = try reader.zeroTerminatedText()
        replicaIdentity = try reader.integer()
        let count = try reader.integer(as: UInt16.self)
        var columns: [Column] = []
        for _ in 0..<count {
            let flags = try reader.integer(as: UInt8.self)
            let name = try reader.zeroTerminatedText()
            let type = try reader.integer(as: UInt32.self)
            let modifier = try reader.integer(as: Int32.self)
            columns.append(Column(name: name, type: type, typeModifier: modifier, isKey: flags & 1 != 0))
        }
        self.columns = columns
    }
}

/// One column of a replicated tuple.
package enum TupleColumn {
    case null
    /// A large value that the update did not change and the WAL does not repeat.
    case unchanged
    case binary(PostgresField)
    /// In text form, because the type has no binary form.
    case text(PostgresField)
}

/// The columns of a replicated tuple, in the relation's order, without copies. The bytes were checked when the message
/// was parsed, so iteration cannot fail.
package struct TupleReader: Sequence {
    package let columnCount: Int
    private let bytes: UnsafeRawBufferPointer

    fileprivate init(_ reader: inout WireReader) throws(PostgresError) {
        columnCount = Int(try reader.integer(as: UInt16.self))
        var ahead = reader
        for _ in 0..<columnCount { _ = try ahead.tupleColumn() }
        bytes = try reader.slice(ahead.position - reader.position)
    }

    fileprivate init(columnCount: Int, bytes: UnsafeRawBufferPointer) {
        self.columnCount = columnCount
        self.bytes = bytes
    }

    /// Whether the WAL does not repeat at least one of the columns.
    package var hasUnchanged: Bool {
        contains { column in
            if case .unchanged = column { true } else { false }
        }
    }

    /// A copy of the columns in memory of its own.
    package func copy() -> TupleCopy {
        TupleCopy(columnCount: columnCount, bytes: Array(bytes))
    }

    package struct Iterator: IteratorProtocol {
        fileprivate var reader: WireReader
        fileprivate var columnsLeft: Int

        package mutating func next() -> TupleColumn? {
            guard columnsLeft > 0 else { return nil }
            columnsLeft -= 1
            return try? reader.tupleColumn()
        }
    }

    package func makeIterator() -> Iterator {
        Iterator(reader: WireReader(bytes), columnsLeft: columnCount)
    }
}

/// A copy of a replicated tuple, which may outlive the message.
package struct TupleCopy: Sendable {
    fileprivate let columnCount: Int
    fileprivate let bytes: [UInt8]

    /// Lends the tuple to the body, which must not keep it.
    package func read<Value>(_ body: (TupleReader) throws -> Value) rethrows -> Value {
        try bytes.withUnsafeBytes { try body(TupleReader(columnCount: columnCount, bytes: $0)) }
    }
}

extension WireReader {
    fileprivate mutating func walPosition() throws(PostgresError) -> WALPosition {
        WALPosition(try integer())
    }

    fileprivate mutating func time() throws(PostgresError) -> Int64 {
        try PostgresField(try slice(8)).timestamp()
    }

    @discardableResult
    fileprivate mutating func expect(
        _ one: Unicode.Scalar, _ another: Unicode.Scalar? = nil, or last: Unicode.Scalar? = nil
    ) throws(PostgresError) -> UInt8 {
        let byte = try integer(as: UInt8.self)
        let scalar = Unicode.Scalar(byte)
        guard scalar == one || scalar == another || scalar == last else {
            throw PostgresError(.decoding("the byte \(byte) stands where a tuple must begin"))
        }
        return byte
    }

    fileprivate mutating func tupleColumn() throws(PostgresError) -> TupleColumn {
        let kind = try integer(as: UInt8.self)
        switch kind {
        case UInt8(ascii: "n"): return .null
        case UInt8(ascii: "u"): return .unchanged
        case UInt8(ascii: "b"): return .binary(try presentField())
        case UInt8(ascii: "t"): return .text(try presentField())
        default: throw PostgresError(.decoding("a column has the unknown kind \(kind)"))
        }
    }

    private mutating func presentField() throws(PostgresError) -> PostgresField {
        guard let field = try lengthPrefixedField() else {
            throw PostgresError(.decoding("a column that is not null has no value"))
        }
        return field
    }
}
