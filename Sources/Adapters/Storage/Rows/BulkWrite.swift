import Credits
import Postgres

/// One column of rows that are written in bulk: its name, its type, and how its values are collected.
struct BulkColumn<Row>: Sendable {
    let name: String
    /// The type of one element.
    let type: String
    /// The type to cast an element to when the parameter has another type. Lists are sent as texts.
    let cast: String?
    /// The right side of the assignment in an UPDATE. Nil assigns the row's value; an empty text assigns nothing.
    var assignment: String?
    /// Begins a parameter with room for the values of so many rows.
    fileprivate let begin: @Sendable (_ count: Int) -> ColumnValues<Row>

    /// - Parameters:
    ///   - value: Reads the column's value from a row.
    ///   - parameter: Makes the parameter from the values of all rows.
    private init<Value>(
        _ name: String, _ type: String, cast: String? = nil, _ value: @escaping @Sendable (Row) -> Value,
        _ parameter: @escaping @Sendable ([Value]) -> PostgresValue
    ) {
        self.name = name
        self.type = type
        self.cast = cast
        begin = { count in
            let values = Values<Value>(count)
            return ColumnValues(append: { values.all.append(value($0)) }, parameter: { parameter(values.all) })
        }
    }

    static func bool(_ name: String, _ value: @escaping @Sendable (Row) -> Bool) -> Self {
        Self(name, "boolean", value) { .bools($0) }
    }

    static func int16(_ name: String, _ value: @escaping @Sendable (Row) -> Int16) -> Self {
        Self(name, "smallint", value) { .int16s($0) }
    }

    static func int16(_ name: String, _ value: @escaping @Sendable (Row) -> Int16?) -> Self {
        Self(name, "text", cast: "smallint", { value($0).map { "\($0)" } }, { .nullableTexts($0) })
    }

    static func int32(_ name: String, _ value: @escaping @Sendable (Row) -> Int32) -> Self {
        Self(name, "integer", value) { .int32s($0) }
    }

    static func int32(_ name: String, _ value: @escaping @Sendable (Row) -> Int32?) -> Self {
        Self(name, "integer", value) { .nullableInt32s($0) }
    }

    static func int64(_ name: String, _ value: @escaping @Sendable (Row) -> Int64) -> Self {
        Self(name, "bigint", value) { .int64s($0) }
    }

    static func int64(_ name: String, _ value: @escaping @Sendable (Row) -> Int64?) -> Self {
        Self(name, "bigint", value) { .nullableInt64s($0) }
    }

    static func amount(_ name: String, _ value: @escaping @Sendable (Row) -> Millicredits) -> Self {
        Self(name, "bigint", { value($0).rawValue }, { .int64s($0) })
    }

    static func text(_ name: String, _ value: @escaping @Sendable (Row) -> String) -> Self {
        Self(name, "text", value) { .texts($0) }
    }

    static func text(_ name: String, _ value: @escaping @Sendable (Row) -> String?) -> Self {
        Self(name, "text", value) { .nullableTexts($0) }
    }

    static func bytes(_ name: String, _ value: @escaping @Sendable (Row) -> [UInt8]) -> Self {
        Self(name, "bytea", value) { .byteArrays($0) }
    }

    static func bytes(_ name: String, _ value: @escaping @Sendable (Row) -> [UInt8]?) -> Self {
        Self(name, "bytea", value) { .nullableByteArrays($0) }
    }

    static func instant(_ name: String, _ value: @escaping @Sendable (Row) -> Instant) -> Self {
        Self(name, "timestamptz", { value($0).microseconds }, { .timestamps(microseconds: $0) })
    }

    static func instant(_ name: String, _ value: @escaping @Sendable (Row) -> Instant?) -> Self {
        Self(name, "timestamptz", { value($0)?.microseconds }, { .nullableTimestamps(microseconds: $0) })
    }

    static func bits(_ name: String, _ value: @escaping @Sendable (Row) -> Bits128) -> Self {
        Self(name, "uuid", { PostgresUUID(value($0)) }, { .uuids($0) })
    }

    static func bits(_ name: String, _ value: @escaping @Sendable (Row) -> Bits128?) -> Self {
        Self(name, "uuid", { value($0).map { PostgresUUID($0) } }, { .nullableUUIDs($0) })
    }

    /// A list of integers; nil is null. It is sent as a text, because `unnest` would flatten an array of arrays.
    static func int32List(_ name: String, _ value: @escaping @Sendable (Row) -> [Int32]?) -> Self {
        Self(
            name, "text", cast: "integer[]", { value($0).map { arrayText($0.map(String.init)) } },
            { .nullableTexts($0) })
    }

    static func int64List(_ name: String, _ value: @escaping @Sendable (Row) -> [Int64]?) -> Self {
        Self(
            name, "text", cast: "bigint[]", { value($0).map { arrayText($0.map(String.init)) } }, { .nullableTexts($0) }
        )
    }

    static func featureKeys(_ name: String, _ value: @escaping @Sendable (Row) -> [FeatureKey]) -> Self {
        names(name) { value($0).map(\.rawValue) }
    }

    /// A list of names of the catalogue. No character of such a name needs an escape in an array literal.
    static func names(_ name: String, _ value: @escaping @Sendable (Row) -> [String]) -> Self {
        Self(name, "text", cast: "text[]", { arrayText(value($0).map { "\"\($0)\"" }) }, { .texts($0) })
    }

    /// The column with another right side of its assignment in an UPDATE.
    func assigned(_ assignment: String) -> Self {
        var copy = self
        copy.assignment = assignment
        return copy
    }
}

/// The values of one column while rows are added.
private struct ColumnValues<Row> {
    let append: (Row) -> Void
    let parameter: () -> PostgresValue
}

private final class Values<Value> {
    var all: [Value] = []

    init(_ count: Int) { all.reserveCapacity(count) }
}

/// A PostgreSQL array literal.
private func arrayText(_ elements: [String]) -> String {
    elements.count == 1 ? "{\(elements[0])}" : "{" + elements.joined(separator: ",") + "}"
}

/// A statement that writes any number of rows at once, built from the list of its columns.
struct BulkStatement<Row>: Sendable {
    let statement: PostgresStatement
    private let columns: [BulkColumn<Row>]

    /// `insert into … select … from unnest(…)`.
    ///
    /// - Parameters:
    ///   - computed: Further columns, as expressions over the rows, whose alias is `n`.
    ///   - suffix: The end of the statement, such as ON CONFLICT.
    static func insert(
        into table: String, _ columns: [BulkColumn<Row>], computed: [(name: String, expression: String)] = [],
        suffix: String = ""
    ) -> Self {
        let names = columns.map(\.name) + computed.map(\.name)
        let values = columns.map(\.value) + computed.map(\.expression)
        return Self(
            """
            insert into \(table) (\(names.joined(separator: ", ")))
            select \(values.joined(separator: ", "))
            from \(source(columns))
            \(suffix)
            """, columns)
    }

    /// `update … set … from unnest(…)`, by the key. The alias of the table is `t`, that of the rows `n`.
    ///
    /// - Parameters:
    ///   - columns: All columns, including those of the key.
    ///   - computed: Further assignments, as expressions over the rows.
    static func update(
        _ table: String, key: [String], _ columns: [BulkColumn<Row>],
        computed: [(name: String, expression: String)] = []
    ) -> Self {
        let assigned = columns.filter { !key.contains($0.name) && $0.assignment != "" }
        let assignments =
            assigned.map { "\($0.name) = \($0.assignment ?? $0.value)" }
            + computed.map { "\($0.name) = \($0.expression)" }
        return Self(
            """
            update \(table) t
            set \(assignments.joined(separator: ", "))
            from \(source(columns))
            where \(key.map { "t.\($0) = n.\($0)" }.joined(separator: " and "))
            """, columns)
    }

    private init(_ sql: String, _ columns: [BulkColumn<Row>]) {
        statement = PostgresStatement(sql)
        self.columns = columns
    }

    /// The statement with its rows. Row after row is read, not column after column: to take a row from the list costs as
    /// much as many of its columns.
    func query(_ rows: [Row]) -> PostgresQuery {
        let columns = columns.map { $0.begin(rows.count) }
        for row in rows {
            for column in columns { column.append(row) }
        }
        return PostgresQuery(statement, columns.map { $0.parameter() })
    }

    private static func source(_ columns: [BulkColumn<Row>]) -> String {
        let parameters = columns.enumerated().map { "$\($0.offset + 1)::\($0.element.type)[]" }
        let names = columns.map(\.name)
        return "unnest(\(parameters.joined(separator: ", "))) as n (\(names.joined(separator: ", ")))"
    }
}

extension BulkColumn {
    /// The SQL expression for the value of a row.
    fileprivate var value: String { "n.\(name)" + (cast.map { "::\($0)" } ?? "") }
}
