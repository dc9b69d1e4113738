import Credits
import JSON
import Testing

@testable import Ingest

@Suite("Rows are numbered and carry the columns that were asked for")
struct RowReaderTests {
    @Test("CSV columns are found by their names, in any order")
    func csvColumns() throws {
        let rows = try read("a,b,c\n1,2,3\n4,5,6\n", .csv, columns: ["c", "a"])
        #expect(
            rows.map(\.place) == [
                Place(number: 0, line: 2, cells: [.string("3"), .string("1")]),
                Place(number: 1, line: 3, cells: [.string("6"), .string("4")]),
            ])
    }

    @Test("NDJSON members keep their types; blank lines are skipped and CRLF is accepted")
    func ndjson() throws {
        let text = "\u{FEFF}{\"user\": \"ana\", \"units\": 3}\r\n\n{\"units\": \"4\"}"
        for size in 3...20 {
            let rows = try read(text, .ndjson, columns: ["user", "units"], size: size)
            #expect(
                rows.map(\.place) == [
                    Place(number: 0, line: 1, cells: [.string("ana"), .integer(3)]),
                    Place(number: 1, line: 3, cells: [nil, .string("4")]),
                ])
        }
    }

    @Test(
        "A row that does not fit its header is refused",
        arguments: [("a,b\n1,2\n3\n", 3), ("a,b\n1,2,3\n", 2), ("a,b\n1,2\n\"\"\n", 3)])
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

    @Test("A name that the mapping uses occurs once in the header; other names may occur twice")
    func header() throws {
        #expect(try read("a,b,a,,\n1,2,3,4,5\n", .csv, columns: ["b"]).map(\.cells) == [[.string("2")]])
        #expect {
            try read("\na,b,a\n", .csv, columns: ["b", "a"])
        } throws: { error in
            guard case .unreadableText(2, nil, let sentence)? = error as? IngestFailure else { return false }
            return sentence.contains("two columns have the name a")
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

    @Test("The digest of a row covers the header and all rows up to it, by their content and not their spelling")
    func digest() throws {
        func read(_ text: String, _ format: IngestPlan.FileFormat = .csv, size: Int = 7) throws -> [Bits128] {
            try self.read(text, format, columns: [], size: size).map(\.digest)
        }
        let digests = try read("user,n\nana,3\nana,3\nbob,4\n")
        // sha256(sha256(b"4:user1:n") + b"3:ana1:3") of Python, the first 16 bytes.
        #expect(digests[0] == Bits128(high: 0x6F4AC9C7E14EDB57, low: 0x311B79A995D80525))
        #expect(Set(digests).count == 3)
        for size in [3, 5, 100] {
            let spelled = "\u{FEFF}\n\"user\",n\r\n\nana,\"3\"\r\nana,3\n,\nbob,4"
            #expect(try read(spelled, size: size) == digests)
        }
        #expect(try read("user,n\nana,3\nana,3\n") == Array(digests.prefix(2)))
        // Another header, another row before it, and a border between fields that is elsewhere.
        for other in ["user,m\nana,3\n", "user,n\nbob,3\nana,3\n", "user,n\nana3,\n", "usern,\nana,3\n"] {
            #expect(Set(try read(other)).isDisjoint(with: digests), "\(other)")
        }
        let lines = try read("{\"a\":1}\n\n{\"a\":1}\r\n", .ndjson)
        #expect(try Array(read("{\"a\":1}\n{\"a\":1}\n{}\n", .ndjson).prefix(2)) == lines)
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

/// A row without its digest.
private struct Place: Equatable {
    let number: Int
    let line: Int
    let cells: [JSONValue?]
}

extension Row {
    fileprivate var place: Place { Place(number: number, line: line, cells: cells) }
}
