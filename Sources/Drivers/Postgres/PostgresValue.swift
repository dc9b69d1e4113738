/// A UUID as two big-endian halves.
package struct PostgresUUID: Hashable, Sendable {
    package var high: UInt64
    package var low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}

/// A parameter of a statement, sent in binary format with its type, so that the server never guesses it (except for
/// `null`).
///
/// Timestamps are microseconds since the Unix epoch, UTC, and become `timestamptz`; `Int64.max` and `Int64.min` are
/// infinity and -infinity. JSON is sent as `jsonb`. An array is one-dimensional; its elements keep their order.
package enum PostgresValue: Sendable, Equatable {
    /// A null whose type the server infers from the statement.
    case null
    case bool(Bool)
    case int16(Int16)
    case int32(Int32)
    case int64(Int64)
    case text(String)
    case bytes([UInt8])
    case timestamp(microseconds: Int64)
    case uuid(high: UInt64, low: UInt64)
    case jsonText(String)

    case bools([Bool])
    case int16s([Int16])
    case int32s([Int32])
    case int64s([Int64])
    case texts([String])
    case byteArrays([[UInt8]])
    case timestamps(microseconds: [Int64])
    case uuids([PostgresUUID])
    case jsonTexts([String])

    case nullableBools([Bool?])
    case nullableInt16s([Int16?])
    case nullableInt32s([Int32?])
    case nullableInt64s([Int64?])
    case nullableTexts([String?])
    case nullableByteArrays([[UInt8]?])
    case nullableTimestamps(microseconds: [Int64?])
    case nullableUUIDs([PostgresUUID?])
    case nullableJSONTexts([String?])

    package static func optional(_ value: Bool?) -> PostgresValue { value.map { .bool($0) } ?? .null }
    package static func optional(_ value: Int16?) -> PostgresValue { value.map { .int16($0) } ?? .null }
    package static func optional(_ value: Int32?) -> PostgresValue { value.map { .int32($0) } ?? .null }
    package static func optional(_ value: Int64?) -> PostgresValue { value.map { .int64($0) } ?? .null }
    package static func optional(_ value: String?) -> PostgresValue { value.map { .text($0) } ?? .null }
    package static func optional(_ value: [UInt8]?) -> PostgresValue { value.map { .bytes($0) } ?? .null }
    package static func optionalTimestamp(microseconds: Int64?) -> PostgresValue {
        microseconds.map { .timestamp(microseconds: $0) } ?? .null
    }
}

/// An SQL text with `$1`-style parameters. It is prepared on its first use on a connection and remembered there by its
/// text. It should be a literal: texts made at run time fill the connection's bounded memory, and then further texts
/// are sent without preparation.
package struct PostgresStatement: Sendable, Hashable, ExpressibleByStringLiteral {
    package let sql: String

    package init(_ sql: String) {
        self.sql = sql
    }

    package init(stringLiteral sql: String) {
        self.sql = sql
    }
}

/// A statement with its parameters.
package struct PostgresQuery: Sendable {
    package let statement: PostgresStatement
    package let parameters: [PostgresValue]

    package init(_ statement: PostgresStatement, _ parameters: [PostgresValue] = []) {
        self.statement = statement
        self.parameters = parameters
    }
}
