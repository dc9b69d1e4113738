import JSON
import Testing

@Suite("JSON is parsed strictly")
struct JSONParserTests {
    @Test(
        "Every kind of value is read",
        arguments: [
            ("null", JSONValue.null),
            ("true", .bool(true)),
            ("false", .bool(false)),
            ("\"\"", .string("")),
            ("\"a longer text that does not fit in place\"", .string("a longer text that does not fit in place")),
            ("[]", .array([])),
            ("{}", .object([:])),
            (" [ 1 , \"b\" , [ ] , { } ] ", .array([.integer(1), .string("b"), .array([]), .object([:])])),
            ("\t{\r\n\"a\" : {\"b\":null}}\n", .object(["a": .object(["b": .null])])),
        ])
    func values(text: String, expected: JSONValue) throws {
        #expect(try parse(text) == expected)
    }

    @Test(
        "Integers within 64 bits are integers, up to both ends",
        arguments: [
            ("0", 0), ("7", 7), ("-7", -7), ("1234567890", 1_234_567_890),
            ("999999999999999999", 999_999_999_999_999_999),
            ("1000000000000000000", 1_000_000_000_000_000_000),
            ("9223372036854775807", Int64.max), ("-9223372036854775808", Int64.min),
        ])
    func integers(text: String, expected: Int64) throws {
        #expect(try parse(text) == .integer(expected))
    }

    @Test(
        "Every other number keeps its literal",
        arguments: [
            "1.0", "-0", "-0.0", "1e3", "1E+3", "1e-3", "0.1", "0e0", "12.50e999", "9223372036854775808",
            "-9223372036854775809", "18446744073709551616", "123456789012345678901234567890", "1e1000", "1e-1000",
            "1e99999999999999999999", String(repeating: "1", count: 4_096),
        ])
    func otherNumbers(text: String) throws {
        #expect(try parse(text) == .number(text))
        #expect(try parse("[\(text),1]") == .array([.number(text), .integer(1)]))
    }

    @Test(
        "A text that is not a number is refused",
        arguments: [
            "+1", ".5", "1.", "01", "-01", "00", "-", "1e", "1e+", "1.e3", "NaN", "Infinity", "-Infinity", "0x10",
            "1_000", "-0-", "-00", "1e+-1",
        ])
    func badNumbers(text: String) {
        #expect(throws: JSONError.self) { try parse(text) }
        #expect(throws: JSONError.self) { try parse("{\"a\": \(text)}") }
    }

    @Test(
        "Escapes stand for their characters",
        arguments: [
            (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"),
            (#""\u0041\u00e9\u20AC""#, "Aé€"),
            (#""\ud83d\uDE00""#, "😀"),
            (#""\uD800\uDC00\uDBFF\uDFFF""#, "\u{10000}\u{10FFFF}"),
            (#""plain, then \u0001 and é after""#, "plain, then \u{1} and é after"),
            ("\"caf\u{E9} 😀\"", "café 😀"),
            ("\"\u{7F}\"", "\u{7F}"),
        ])
    func escapes(text: String, expected: String) throws {
        guard case .string(let string) = try parse(text) else {
            Issue.record("\(text) is not a string")
            return
        }
        #expect(Array(string.utf8) == Array(expected.utf8))
    }

    @Test(
        "Unusable strings are refused",
        arguments: [
            (#""\ud83d""#, "half of a surrogate pair"),
            (#""\ude00""#, "half of a surrogate pair"),
            (#""\ud83d\u0041""#, "half of a surrogate pair"),
            (#""\ud83dx""#, "half of a surrogate pair"),
            (#""\ude00\ud83d""#, "half of a surrogate pair"),
            (#""a\u0000b""#, "U+0000"),
            ("\"a\u{0}b\"", "control character"),
            ("\"a\nb\"", "control character"),
            ("\"\\n\u{1F}\"", "control character"),
            (#""\x41""#, "unknown escape"),
            (#""\u00g0""#, "hexadecimal"),
            (#""\u00"#, "must not end here"),
            (#""\"#, "must not end here"),
            ("\"open", "must not end here"),
        ])
    func badStrings(text: String, reason: String) throws {
        let error = try #require(throws: JSONError.self) { try parse(text) }
        #expect(error.sentence.contains(reason))
    }

    @Test(
        "Malformed UTF-8 is refused, with and without escapes beside it",
        arguments: [
            [0xFF], [0xC3], [0xC0, 0xAF], [0xE2, 0x82], [0xED, 0xA0, 0x80], [0xF5, 0x80, 0x80, 0x80], [0x80],
        ] as [[UInt8]])
    func malformedText(bytes: [UInt8]) throws {
        for prefix in ["\"", "\"\\n"] {
            let text = Array(prefix.utf8) + bytes + Array("\"".utf8)
            let error = try #require(throws: JSONError.self) { try JSONParser.parse(text) }
            #expect(error.sentence == "must be well-formed UTF-8")
        }
    }

    @Test(
        "A document is exactly one value",
        arguments: [
            "", "   ", "1 2", "{} {}", "[] x", "{}\u{0}", "tru", "trueish", "nul", "undefined", "[1,]", "[,1]", "[1 2]",
            "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{'a':1}", "{\"a\":1 \"b\":2}", "[", "{", "[1", "{\"a\":1",
            "]",
            "/* note */ 1", "\u{FEFF}{}",
        ])
    func badDocuments(text: String) {
        #expect(throws: JSONError.self) { try parse(text) }
    }

    @Test("A byte order mark is named as such")
    func byteOrderMark() throws {
        let error = try #require(throws: JSONError.self) { try parse("\u{FEFF}{}") }
        #expect(error.sentence == "must not start with a byte order mark")
    }

    @Test("A name may occur once, however it is spelled")
    func duplicateNames() throws {
        let error = try #require(throws: JSONError.self) { try parse(#"{"x": [{"a":1,"b":2,"\u0061":3}]}"#) }
        #expect(error.pointer == "/x/0/a")
        #expect(error.offset == 20)
    }

    @Test("Names that differ only in their encoding are two names")
    func equivalentNames() throws {
        let value = try parse("{\"caf\u{E9}\": 1, \"cafe\u{301}\": 2}")
        guard case .object(let object) = value else {
            Issue.record("not an object")
            return
        }
        #expect(object["caf\u{E9}"] == .integer(1))
        #expect(object["cafe\u{301}"] == .integer(2))
    }

    @Test("Duplicates are found in an object of many names", arguments: [0, 15, 16, 17, 4_999])
    func duplicateAmongMany(position: Int) {
        let names = (0..<5_000).map { "\"name\($0)\":\($0)" }
        #expect(throws: Never.self) { try parse("{" + names.joined(separator: ",") + "}") }
        let repeated = names + ["\"name\(position)\":null"]
        #expect(throws: JSONError.self) { try parse("{" + repeated.joined(separator: ",") + "}") }
    }

    @Test("Nesting ends at the limit, siblings do not count")
    func depth() throws {
        let allowed = String(repeating: "[", count: 32) + String(repeating: "]", count: 32)
        #expect(throws: Never.self) { try parse(allowed) }
        #expect(throws: JSONError.self) { try parse("[\(allowed)]") }
        #expect(throws: JSONError.self) { try parse(String(repeating: "[", count: 1_000_000)) }
        #expect(throws: JSONError.self) { try parse(String(repeating: "{\"a\":", count: 33)) }
        let siblings = "[" + Array(repeating: "[{}]", count: 100).joined(separator: ",") + "]"
        #expect(throws: Never.self) { try JSONParser.parse(Array(siblings.utf8), maximumDepth: 3) }
        #expect(throws: JSONError.self) { try JSONParser.parse(Array(siblings.utf8), maximumDepth: 2) }
    }

    @Test("An error names its place")
    func place() throws {
        let error = try #require(throws: JSONError.self) { try parse(#"{"events": [{}, {"a/b~c": 01}]}"#) }
        #expect(error.pointer == "/events/1/a~1b~0c")
        #expect(error.offset == 26)
        #expect(error.description == "must not start with a zero (byte 26, in /events/1/a~1b~0c)")
    }

    @Test("Members keep the order of the document")
    func order() throws {
        guard case .object(let object) = try parse(#"{"b":1,"a":2,"c":3}"#) else {
            Issue.record("not an object")
            return
        }
        #expect(object.members.map(\.key) == ["b", "a", "c"])
        #expect(object["d"] == nil)
    }

    @Test("A document cut short anywhere is refused, and so is one with any byte damaged into a control character")
    func everyPrefix() throws {
        let text = Array(#"{"id":"blk_\u00e91","n":[-1.5e3,12,true,false,null],"o":{"é":"x"}}"#.utf8)
        #expect(throws: Never.self) { try JSONParser.parse(text) }
        for length in 0..<text.count {
            #expect(throws: JSONError.self) { try JSONParser.parse(Array(text[..<length])) }
            var damaged = text
            damaged[length] = 0x01
            #expect(throws: JSONError.self) { try JSONParser.parse(damaged) }
        }
    }

    @Test("Lent, sliced and scattered bytes give the same value")
    func sources() throws {
        let text = Array("xx{\"a\":[1,2]}".utf8)
        let expected: JSONValue = .object(["a": .array([.integer(1), .integer(2)])])
        #expect(try JSONParser.parse(text[2...]) == expected)
        #expect(try text[2...].withUnsafeBytes { try JSONParser.parse($0) } == expected)
        let scattered = [Array(text[2..<5]), Array(text[5...])].joined()
        #expect(try JSONParser.parse(AnyCollection(Array(scattered))) == expected)
    }

    private func parse(_ text: String) throws(JSONError) -> JSONValue {
        try JSONParser.parse(Array(text.utf8))
    }
}
