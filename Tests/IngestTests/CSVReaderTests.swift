import Testing

@testable import Ingest

@Suite("CSV is read strictly")
struct CSVReaderTests {
    @Test(
        "Records and fields are told apart as RFC 4180 says",
        arguments: [
            ("", []),
            ("a,b\n", [["a", "b"]]),
            ("a,b", [["a", "b"]]),
            ("a,b\r\nc,d\r\n", [["a", "b"], ["c", "d"]]),
            ("a\nb\r\nc", [["a"], ["b"], ["c"]]),
            ("\"\",\n", [["", ""]]),
            ("a\n\n \r\n,\t,\nb\n\n", [["a"], ["b"]]),
            ("\n\na\n\"\"\n  ", [["a"], [""]]),
            ("\n", []),
            (",\n", []),
            ("a,", [["a", ""]]),
            ("\"\",\"\"\n", [["", ""]]),
            ("\"a,b\",c\n", [["a,b", "c"]]),
            ("\"a\"\"b\"\n", [["a\"b"]]),
            ("\"\"\"\"\"\"\n", [["\"\""]]),
            ("\"two\nlines\",x\n", [["two\nlines", "x"]]),
            ("\"two\r\nlines\"\r\nx\r\n", [["two\r\nlines"], ["x"]]),
            ("\"a\"", [["a"]]),
            (" a , b \n", [[" a ", " b "]]),
            ("\u{FEFF}a,b\n", [["a", "b"]]),
            ("\u{FEFF}\"a\",b\n", [["a", "b"]]),
            ("\u{FEFF}", []),
            ("Zoë,名前\n", [["Zoë", "名前"]]),
        ] as [(String, [[String]])])
    func records(text: String, expected: [[String]]) throws {
        // Every size of chunk puts the boundaries elsewhere: inside quotes, between CR and LF, inside a character.
        for size in 3...12 {
            #expect(try read(text, size: size).map(\.fields) == expected, "in chunks of \(size)")
        }
    }

    @Test("A field in quotes may be longer than several chunks")
    func longField() throws {
        let field = String(repeating: "line, with \"\"quotes\"\"\n", count: 1_000)
        let expected = String(repeating: "line, with \"quotes\"\n", count: 1_000)
        #expect(try read("\"\(field)\",end\n", size: 4_096).map(\.fields) == [[expected, "end"]])
    }

    @Test("A record knows its first line, however many lines it takes")
    func lines() throws {
        let records = try read("h\n\"a\nb\nc\"\nd\n\"e\r\nf\"\ng", size: 3)
        #expect(records.map(\.line) == [1, 2, 5, 6, 8])
    }

    @Test(
        "Text that is not CSV is refused with its position",
        arguments: [
            ("a,b\nc,d\"e\n", 2, 4, "quote inside a field"),
            ("a\n\"b\"c\n", 2, 4, "text after a closing quote"),
            ("a\n\"b\" ,c\n", 2, 4, "text after a closing quote"),
            ("a,b\rc,d\n", 1, 5, "carriage return"),
            ("a\nb\r", 2, 3, "carriage return"),
            ("a,b\n1,2\n3,\"never\nclosed\n", 3, 3, "never ends"),
            ("\u{FEFF}a\"\n", 1, 2, "quote inside a field"),
            ("\"x\ny\",z\"\n", 2, 5, "quote inside a field"),
        ])
    func refused(text: String, line: Int, column: Int, words: String) {
        for size in 3...12 {
            #expect("in chunks of \(size)") {
                try read(text, size: size)
            } throws: { error in
                guard case .unreadableText(line, column, let sentence)? = error as? IngestFailure else { return false }
                return sentence.contains(words)
            }
        }
    }

    @Test("A quote that is never closed is found before the record fills the memory")
    func unterminatedQuoteInLargeFile() {
        let text = "a\n1\n\"2\n" + String(repeating: "3\n", count: 400_000)
        #expect {
            try read(text, size: 64 * 1024)
        } throws: { error in
            guard case .unreadableText(3, 1, let sentence)? = error as? IngestFailure else { return false }
            return sentence.contains("is the end of the quoted field that begins here missing?")
        }
    }

    @Test("Blank lines are counted, and do not shift the lines of records")
    func blankLines() throws {
        var reader = CSVReader(ByteChunks(Array("\na,b\n\n,\n1,2\n\n".utf8), size: 3))
        var lines: [Int] = []
        while try reader.next() { lines.append(reader.record.line) }
        #expect(lines == [2, 5] && reader.blankLines == 4)
    }

    @Test("The offset after a record counts every byte of the input")
    func offsets() throws {
        var reader = CSVReader(ByteChunks(Array("\u{FEFF}a,b\r\n\"1\n\",2\n3,4".utf8), size: 4))
        var offsets: [Int] = []
        while try reader.next() { offsets.append(reader.offset) }
        #expect(offsets == [8, 15, 18])
    }

    private func read(_ text: String, size: Int) throws -> [(line: Int, fields: [String])] {
        var reader = CSVReader(ByteChunks(Array(text.utf8), size: size))
        var records: [(line: Int, fields: [String])] = []
        while try reader.next() {
            let fields = try (0..<reader.record.count).map { try #require(reader.record.text($0)) }
            records.append((reader.record.line, fields))
        }
        return records
    }
}
