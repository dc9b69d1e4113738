import Credits
import Postgres

/// One column of rows that are written in bulk: its name, its type, and the values of all rows.
struct BulkColumn<Row>: Sendable {
    let name: String
    /// The type of one element.
    let type: String
    /// The type to cast an element to when the parameter has another type. Lists are sent as texts.
    var cast: String?
    /// The right side of the assignment in an UPDATE. Nil assigns the row's value; an empty text assigns nothing.
    var assignment: String?
    let values: @Sendable ([Row]) -> PostgresValue

    static func bool(_ name: String, _ value: @escaping @Sendable (Row) -> Bool) -> Self {
        Self(name: name, type: "boolean") { .bools($0.map(value)) }
    }

    static func int16(_ name: String, _ value: @escaping @Sendable (Row) -> Int16) -> Self {
        Self(name: name, type: "smallint") { .int16s($0.map(value)) }
    }

    static func int16(_ name: String, _ value: @escaping @Sendable (Row) -> Int16?) -> Self {
        Self(name: name, type: "text", cast: "smallint") { .nullableTexts($0.map { value($0).map { "\($0)" } }) }
    }

    static func int32(_ name: String, _ value: @escaping @Sendable (Row) -> Int32) -> Self {
        Self(name: name, type: "integer") { .int32s($0.map(value)) }
    }

    static func int32(_ name: String, _ value: @escaping @Sendable (Row) -> Int32?) -> Self {
        Self(name: name, type: "integer") { .nullableInt32s($0.map(value)) }
    }

    static func int64(_ name: String, _ value: @escaping @Sendable (Row) -> Int64) -> Self {
        Self(name: name, type: "bigint") { .int64s($0.map(value)) }
    }

    static func int64(_ name: String, _ value: @escaping @Sendable (Row) -> Int64?) -> Self {
        Self(name: name, type: "bigint") { .nullableInt64s($0.map(value)) }
    }

    static func amount(_ name: String, _ value: @escaping @Sendable (Row) -> Millicredits) -> Self {
        Self(name: name, type: "bigint") { .int64s($0.map { value($0).rawValue }) }
    }

    static func text(_ name: String, _ value: @escaping @Sendable (Row) -> String) -> Self {
        Self(name: name, type: "text") { .texts($0.map(value)) }
    }

    static func text(_ name: String, _ value: @escaping @Sendable (Row) -> String?) -> Self {
        Self(name: name, type: "text") { .nullableTexts($0.map(value)) }
    }

    static func bytes(_ name: String, _ value: @escaping @Sendable (Row) -> [UInt8]) -> Self {
        Self(name: name, type: "bytea") { .byteArrays($0.map(value)) }
    }

    static func bytes(_ name: String, _ value: @escaping @Sendable (Row) -> [UInt8]?) -> Self {
        Self(name: name, type: "bytea") { .nullableByteArrays($0.map(value)) }
    }

    static func instant(_ name: String, _ value: @escaping @Sendable (Row) -> Instant) -> Self {
        Self(name: name, type: "timestamptz") { .timestamps(microseconds: $0.map { value($0).microseconds }) }
    }

    static func instant(_ name: String, _ value: @escaping @Sendable (Row) -> Instant?) -> Self {
        Self(name: name, type: "timestamptz") { .nullableTimestamps(microseconds: $0.map { value($0)?.microseconds }) }
    }

    static func bits(_ name: String, _ value: @escaping @Sendable (Row) -> Bits128) -> Self {
        Self(name: name, type: "uuid") { .uuids($0.map { PostgresUUID(value($0)) }) }
    }

    static func bits(_ name: String, _ value: @escaping @Sendable (Row) -> Bits128?) -> Self {
        Self(name: name, type: "uuid") { .nullableUUIDs($0.map { value($0).map { PostgresUUID($0) } }) }
    }

    /// A list of integers; nil is null. It is sent as a text, because `unnest` would flatten an array of arrays.
    static func int32List(_ name: String, _ value: @escaping @Sendable (Row) -> [Int32]?) -> Self {
        Self(name: name, type: "text", cast: "integer[]") { rows in
            .nullableTexts(rows.map { value($0).map { arrayText($0.map(String.init)) } })
        }
    }

    static func int64List(_ name: String, _ value: @escaping @Sendable (Row) -> [Int64]?) -> Self {
        Self(name: name, type: "text", cast: "bigint[]") { rows in
            .nullableTexts(rows.map { value($0).map { arrayText($0.map(String.init)) } })
        }
    }

    static func featureKeys(_ name: String, _ value: @escaping @Sendable (Row) -> [FeatureKey]) -> Self {
        names(name) { value($0).map(\.rawValue) }
    }

    /// A list of names of the catalogue. No character of such a name needs an escape in an array literal.
    static func names(_ name: String, _ value: @escaping @Sendable (Row) -> [String]) -> Self {
        Self(name: name, type: "text", cast: "text[]") { rows in
            .texts(rows.map { arrayText(value($0).map { "\"\($0)\"" }) })
        }
    }

    /// The column with another right side of its assignment in an UPDATE.
    func assigned(_ assignment: String) -> Self {
        var copy = self
        copy.assignment = assignment
        return copy
    }
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

    func query(_ rows: [Row]) -> PostgresQuery {
        PostgresQuery(statement, columns.map { $0.values(rows) })
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
