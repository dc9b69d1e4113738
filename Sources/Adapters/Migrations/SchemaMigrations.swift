package import Storage

/// The migrations of the schema, in order: every `.sql` file of the folder Migrations. `NNNN_name.sql` is a migration.
/// An optional `NNNN_name.after.sql` asserts its result in the same transaction.
package enum SchemaMigrations {
    package static let all: [Migration] = {
        let texts = Dictionary(uniqueKeysWithValues: EmbeddedFiles.all.map { ($0.name, $0.text) })
        let names = texts.keys.filter { $0.hasSuffix(".sql") && !$0.hasSuffix(".after.sql") }.sorted()
        return names.map { file in
            let name = String(file.dropLast(".sql".count))
            return Migration(name: name, sql: texts[file] ?? "", assertion: texts["\(name).after.sql"])
        }
    }()
}
