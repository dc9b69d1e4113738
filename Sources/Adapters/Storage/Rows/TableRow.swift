package import Postgres

/// A row of one table as a value. The type has the one list of the columns that are read and the one decoder for them.
/// SQL results, snapshots and the write-ahead log are all read with it.
package protocol TableRow {
    static var table: String { get }
    /// In the order in which `init` reads them.
    static var columns: [String] { get }
    /// Columns that are not replicated. Replicas read them as null.
    static var unreplicatedColumns: Set<String> { get }

    /// - Parameter old: The previous row, for a replicated update that leaves out unchanged values.
    /// - Throws: `PostgresError` or `StorageError` for a value that this release does not know.
    init(_ fields: inout RowFields, keeping old: Self?) throws
}

extension TableRow {
    package static var unreplicatedColumns: Set<String> { [] }

    /// The columns for a SELECT list.
    ///
    /// - Parameter alias: The alias of the table in the statement.
    static func columns(of alias: String) -> String {
        columns.map { "\(alias).\($0)" }.joined(separator: ", ")
    }

    /// `select … from table as t where …`.
    static func select(where condition: String) -> PostgresStatement {
        PostgresStatement("select \(columns(of: "t")) from \(table) t where \(condition)")
    }

    /// - Parameter column: The index of the row's first column in the result.
    init(_ row: PostgresRow, from column: Int = 0) throws {
        var fields = RowFields(row, from: column)
        try self.init(&fields, keeping: nil)
    }

    static func all(_ result: PostgresResult) throws -> [Self] {
        try result.map { try Self($0) }
    }
}

/// An answer of the database that the schema rules out.
package enum StorageError: Error, CustomStringConvertible {
    case missingRow(String)
    case unknownValue(column: String)

    package var description: String {
        switch self {
        case .missingRow(let what): "the database did not return \(what)"
        case .unknownValue(let column): "the column \(column) holds a value that this release does not know"
        }
    }
}
