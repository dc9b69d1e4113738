import JSON
import Testing

@testable import Ingest

@Suite("Rows are numbered and carry the columns that were asked for")
struct RowReaderTests {
    @Test("CSV columns are found by their names, in any order")
    func csvColumns() throws {
        let rows = try read("a,b,c\n1,2,3\n4,5,6\n", .csv, columns: ["c", "a"])
        #expect(
            rows == [
                Row(number: 0, line: 2, cells: [.string("3"), .string("1")]),
                Row(number: 1, line: 3, cells: [.string("6"), .string("4")]),
            ])
    }

    @Test("NDJSON members keep their types; blank lines are skipped and CRLF is accepted")
    func ndjson() throws {
        let text = "\u{FEFF}{\"user\": \"ana\", \"units\": 3}\r\n\n{\"units\": \"4\"}"
        for size in 3...20 {
            let rows = try read(text, .ndjson, columns: ["user", "units"], size: size)
            #expect(
                rows == [
                    Row(number: 0, line: 1, cells: [.string("ana"), .integer(3)]),
                    Row(number: 1, line: 3, cells: [nil, .string("4")]),
                ])
        }
    }

    @Test(
        "A row that does not fit its header is refused",
        arguments: [("a,b\n1,2\n3\n", 3), ("a,b\n1,2,3\n", 2), ("a,b\n1,2\n\n", 3)])
    func ragged(text: String, line: Int) {
        #expect {
            try read(text, .csv, columns: ["a"])
        } throws: { error in
            guard case .unreadableText(line, nil, let sentence)? = error as? IngestFailure else { return false }
            return sentence.contains("where the header has 2")
        }
    }

    @Test("A missing column is named together with the existing columns")
    func missingColumn() {
        #expect(throws: IngestFailure.missingColumns(["c", "d"], header: ["a", "b"])) {
            try read("a,b\n1,2\n", .csv, columns: ["c", "a", "d"])
        }
    }

    @Test("A header needs names, each once")
    func header() {
        #expect(throws: IngestFailure.unreadableText(line: 1, column: nil, "two columns have the name a")) {
            try read("a,b,a\n", .csv, columns: ["b"])
        }
        #expect {
            try read("", .csv, columns: ["b"])
        } throws: { error in
            "\(error)".contains("the file is empty")
        }
    }

    @Test("Only the columns that are used have to be UTF-8")
    func encoding() throws {
        let bytes = Array("a,b\n".utf8) + [0xE9] + Array(",x\n".utf8)
        var used = try RowReader(ByteChunks(bytes, size: 64), format: .csv, columns: ["a"])
        #expect(throws: IngestFailure.unreadableText(line: 2, column: nil, "column a is not UTF-8")) {
            try used.next()
        }
        var unused = try RowReader(ByteChunks(bytes, size: 64), format: .csv, columns: ["b"])
        #expect(try unused.next()?.cells == [.string("x")])
    }

    @Test(
        "A line that is not a JSON object is refused with its place",
        arguments: [
            ("{}\n{\"a\": 01}\n", 2, 7), ("[1]\n", 1, 1), ("{}\n\n{\"a\": 1\n", 3, 8), ("{\"a\":1}{}\n", 1, 8),
        ])
    func notAnObject(text: String, line: Int, column: Int) {
        #expect {
            try read(text, .ndjson, columns: ["a"])
        } throws: { error in
            guard case .unreadableText(line, column, _)? = error as? IngestFailure else {
                Issue.record("\(error)")
                return false
            }
            return true
        }
    }

    @Test("The digest is that of the file's bytes, whatever the chunks")
    func digest() throws {
        for size in [3, 5, 100] {
            var rows = try RowReader(
                ByteChunks(Array("user,tokens\nana,3\nbob,4\n".utf8), size: size), format: .csv, columns: [])
            while try rows.next() != nil {}
            #expect(rows.digestPrefix == "abf138e38b43140d")
        }
    }

    private func read(
        _ text: String, _ format: IngestPlan.FileFormat, columns: [String], size: Int = 7
    ) throws -> [Row] {
        var reader = try RowReader(ByteChunks(Array(text.utf8), size: size), format: format, columns: columns)
        var rows: [Row] = []
        while let row = try reader.next() { rows.append(row) }
        return rows
    }
}
