import JSON
import Testing

@Suite("JSON is written correctly")
struct JSONWriterTests {
    @Test("Commas stand between values and nowhere else")
    func commas() {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("id", "blk_1")
        writer.object("empty") { _ in }
        writer.array("list", [1, 2, 3]) { $0.value($1) }
        writer.key("nested")
        writer.beginArray()
        writer.beginArray()
        writer.endArray()
        writer.null()
        writer.beginObject()
        writer.endObject()
        writer.value(true)
        writer.endArray()
        writer.member("raw", raw: Array("[0]".utf8))
        writer.member("last", false)
        writer.endObject()
        #expect(
            text(writer)
                == #"{"id":"blk_1","empty":{},"list":[1,2,3],"nested":[[],null,{},true],"raw":[0],"last":false}"#)
    }

    @Test("An absent value is written as null")
    func absent() {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("a", nil as String?)
        writer.member("b", nil as Int64?)
        writer.member("c", nil as Int?)
        writer.member("d", nil as Bool?)
        writer.member("e", nil as JSONValue?)
        writer.member("f", .integer(1))
        writer.endObject()
        #expect(text(writer) == #"{"a":null,"b":null,"c":null,"d":null,"e":null,"f":1}"#)
    }

    @Test(
        "Integers are written in plain digits",
        arguments: [
            0, 9, 10, -1, -10, 1_234_567_890, .max, .min, 9_007_199_254_740_991,
        ] as [Int64])
    func integers(integer: Int64) {
        var writer = JSONWriter()
        writer.value(integer)
        #expect(text(writer) == "\(integer)")
    }

    @Test(
        "Strings are escaped where they must be, and read back as they were",
        arguments: [
            ("", #""""#),
            ("plain", #""plain""#),
            ("\"quoted\" \\ /", #""\"quoted\" \\ /""#),
            ("\u{8}\u{9}\u{A}\u{C}\u{D}", #""\b\t\n\f\r""#),
            ("\u{1}\u{B}\u{1F}", #""\u0001\u000b\u001f""#),
            ("é € 😀 \u{7F}", "\"é € 😀 \u{7F}\""),
        ])
    func strings(string: String, expected: String) throws {
        var writer = JSONWriter()
        writer.value(string)
        #expect(text(writer) == expected)
        #expect(try JSONParser.parse(writer.bytes) == .string(string))
        writer.reset()
        writer.beginObject()
        writer.key(string)
        writer.value(1)
        writer.endObject()
        #expect(text(writer) == "{\(expected):1}")
    }

    @Test("A parsed document is written as it was read")
    func document() throws {
        let source = #"{"b":[1,-0.50,1e3,99999999999999999999],"a":{"x":null,"é":"\n"},"c":true}"#
        var writer = JSONWriter()
        try JSONParser.parse(Array(source.utf8)).write(into: &writer)
        #expect(text(writer) == source)
    }

    @Test("The canonical spelling does not depend on order, white space or escapes")
    func canonical() throws {
        let one = try JSONParser.parse(Array(#"{ "b": [ {"z":1, "y":"\u00e9\/"} ], "a": -9, "é": 1.0, "B": 2 }"#.utf8))
        let other = try JSONParser.parse(Array(#"{"B":2,"é":1.0,"a":-9,"b":[{"y":"é/","z":1}]}"#.utf8))
        #expect(one == other)
        #expect(one.canonicalBytes == other.canonicalBytes)
        let text = String(decoding: one.canonicalBytes, as: UTF8.self)
        #expect(text == #"{"B":2,"a":-9,"b":[{"y":"é/","z":1}],"é":1.0}"#)
    }

    @Test(
        "Different values have different canonical spellings",
        arguments: [
            ("1", "1.0"), ("1.0", "1.00"), ("1", "\"1\""), ("null", "\"null\""), ("[1,2]", "[2,1]"), ("{}", "[]"),
            ("[[1],2]", "[1,[2]]"), ("\"caf\u{E9}\"", "\"cafe\u{301}\""), (#"{"a":1}"#, #"{"a":1,"b":null}"#),
        ])
    func distinct(one: String, other: String) throws {
        let first = try JSONParser.parse(Array(one.utf8))
        let second = try JSONParser.parse(Array(other.utf8))
        #expect(first != second)
        #expect(first.canonicalBytes != second.canonicalBytes)
    }

    private func text(_ writer: JSONWriter) -> String {
        String(decoding: writer.bytes, as: UTF8.self)
    }
}
