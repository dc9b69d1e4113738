import JSON
import Testing

@Suite("Request bodies are read with all their problems")
struct JSONReaderTests {
    private enum Model: String, CaseIterable {
        case flat
        case tiered
    }

    @Test("A good body is read without problems")
    func goodBody() throws {
        var reader = try reader(
            """
            {"name": "a", "units": 3, "credits": 9007199254740991, "on": true, "model": "tiered", "tags": ["x", "y"],
             "metadata": {"any": [1]}, "quota": {"limit": 5}, "events": [{"id": "1"}, {"id": "2"}],
             "list": [null, 1]}
            """)
        #expect(reader.string("name", length: 1...10) == "a")
        #expect(reader.int64("units", in: 1...3) == 3)
        #expect(reader.int64("credits", .amount) == 9_007_199_254_740_991)
        #expect(reader.bool("on") == true)
        #expect(reader.choice("model", of: Model.self) == .tiered)
        #expect(reader.optionalStrings("tags", length: 1...1) == ["x", "y"])
        #expect(reader.optionalObject("metadata") == ["any": .array([.integer(1)])])
        #expect(reader.object("quota") { $0.int64("limit") } == 5)
        #expect(reader.objects("events", count: 1...2) { $0.string("id") } == ["1", "2"])
        #expect(reader.array("list") == [.null, .integer(1)])
        reader.finish()
        #expect(reader.problems == [])
    }

    @Test("Absent and null optional members are nil, and defaults stand in for them")
    func absent() throws {
        var reader = try reader(#"{"a": null, "b": null}"#)
        #expect(reader.presence(of: "a") == .null)
        #expect(reader.presence(of: "c") == .absent)
        #expect(reader.optionalString("a") == nil)
        #expect(reader.int64("b", default: 1) == 1)
        #expect(reader.int64("c", default: 2) == 2)
        #expect(reader.bool("d", default: true) == true)
        #expect(reader.optionalInt64("e") == nil)
        #expect(reader.optionalBool("f") == nil)
        #expect(reader.optionalChoice("g", of: Model.self) == nil)
        #expect(reader.optionalArray("h") == nil)
        #expect(reader.optionalObjects("i") { $0.string("x") } == nil)
        #expect(reader.optionalObject("j") { $0.string("x") } == nil)
        reader.finish()
        #expect(reader.problems == [])
    }

    @Test("Every problem is listed, with its place")
    func everyProblem() throws {
        var reader = try reader(
            """
            {"name": 1, "long": "abcd", "at": "soon", "model": "cubic", "on": "yes", "units": "1", "half": 1.0,
             "percent": 101, "many": 0, "few": 9, "quota": [], "list": {}, "metadata": "m",
             "events": [1, {"id": 2, "x": 1}], "tags": ["ok", 3], "~/": 1}
            """)
        #expect(reader.string("missing") == nil)
        #expect(reader.string("name") == nil)
        #expect(reader.string("long", length: 1...3) == nil)
        #expect(reader.string("at", expected: "an RFC 3339 instant") { Int($0) } == nil)
        #expect(reader.choice("model", of: Model.self) == nil)
        #expect(reader.bool("on") == nil)
        #expect(reader.int64("units", default: 1) == nil)
        #expect(reader.int64("half") == nil)
        #expect(reader.int64("percent", in: 0...100) == nil)
        #expect(reader.int64("many", in: 1 ... .max) == nil)
        #expect(reader.int64("few", in: .min...8) == nil)
        #expect(reader.object("quota") { $0.string("x") } == nil)
        #expect(reader.array("list") == nil)
        #expect(reader.optionalObject("metadata") == nil)
        #expect(reader.objects("events") { $0.string("id") } == nil)
        #expect(reader.optionalStrings("tags") == nil)
        reader.reportObject("must have either a or b")
        reader.finish()
        #expect(
            reader.problems.map { "\($0.pointer): \($0.detail) [\($0.code.rawValue)]" } == [
                "/missing: is required [invalid_request]",
                "/name: must be a string, not a number [invalid_request]",
                "/long: must be 1 to 3 bytes long [invalid_request]",
                "/at: must be an RFC 3339 instant [invalid_request]",
                "/model: must be one of \"flat\", \"tiered\" [invalid_request]",
                "/on: must be true or false, not a string [invalid_request]",
                "/units: must be an integer, not a string [invalid_request]",
                "/half: must be an integer written without fraction or exponent [invalid_request]",
                "/percent: must be between 0 and 100 [invalid_request]",
                "/many: must be at least 1 [invalid_request]",
                "/few: must be at most 8 [invalid_request]",
                "/quota: must be an object, not an array [invalid_request]",
                "/list: must be an array, not an object [invalid_request]",
                "/metadata: must be an object, not a string [invalid_request]",
                "/events/0: must be an object, not a number [invalid_request]",
                "/events/1/id: must be a string, not a number [invalid_request]",
                "/events/1/x: is not a known field [unknown_field]",
                "/tags/1: must be a string, not a number [invalid_request]",
                ": must have either a or b [invalid_request]",
                "/~0~1: is not a known field [unknown_field]",
            ])
    }

    @Test(
        "An amount beyond what clients read exactly is out of range, one the field forbids is a bad request",
        arguments: [
            ("9007199254740991", nil),
            ("9007199254740992", JSONProblem.Code.amountOutOfRange),
            ("-9007199254740992", .amountOutOfRange),
            ("9223372036854775808", .amountOutOfRange),
            ("-99999999999999999999999", .amountOutOfRange),
            ("0", .invalidRequest),
            ("-0", .invalidRequest),
            ("-1", .invalidRequest),
            ("1.0", .invalidRequest),
            ("1e3", .invalidRequest),
            ("99999999999999999999.5", .invalidRequest),
            ("\"1\"", .invalidRequest),
        ] as [(String, JSONProblem.Code?)])
    func amounts(literal: String, code: JSONProblem.Code?) throws {
        var reader = try reader("{\"credits\": \(literal)}")
        let amount = reader.int64("credits", .amount, in: 1 ... .max)
        #expect((amount == nil) == (code != nil))
        #expect(reader.problems.map(\.code) == (code.map { [$0] } ?? []))
    }

    @Test("The literal -0 is the integer 0")
    func minusZero() throws {
        var reader = try reader(#"{"units": -0}"#)
        #expect(reader.int64("units", in: 0...5) == 0 && reader.problems.isEmpty)
    }

    @Test("A plain integer beyond 64 bits is a bad request")
    func plainBeyondInt64() throws {
        var reader = try reader(#"{"units": 9223372036854775808}"#)
        #expect(reader.int64("units", in: 1 ... .max) == nil)
        #expect(reader.problems.map(\.description) == ["/units must be at least 1"])
        #expect(reader.problems.map(\.code) == [.invalidRequest])
    }

    @Test("Unknown members are found among more than 64")
    func manyMembers() throws {
        let members = (0..<100).map { "\"m\($0)\":1" }.joined(separator: ",")
        var reader = try reader("{\(members)}")
        for index in 0..<100 where index != 3 && index != 80 { _ = reader.int64("m\(index)") }
        reader.finish()
        #expect(reader.problems.map(\.pointer) == ["/m3", "/m80"])
    }

    @Test("Reading a whole body throws every problem, under the first code by precedence")
    func wholeBody() throws {
        let body = try JSONParser.parse(Array(#"{"credits": 9007199254740992, "x": 1}"#.utf8))
        let problems = try #require(throws: JSONProblems.self) {
            try JSONReader.read(body) { $0.int64("credits", .amount) }
        }
        #expect(problems.problems.map(\.pointer) == ["/credits", "/x"])
        #expect(problems.code == .unknownField)
        let good = try JSONReader.read(body) { reader in
            _ = reader.value("x")
            _ = reader.value("credits")
            return 1
        }
        #expect(good == 1)
        let notAnObject = try #require(throws: JSONProblems.self) { try JSONReader.read(.array([])) { _ in 1 } }
        #expect(notAnObject.description == " must be an object, not an array")
    }

    @Test("A syntax error becomes one problem with its place")
    func syntaxError() throws {
        let error = try #require(throws: JSONError.self) { try JSONParser.parse(Array(#"{"a": 01}"#.utf8)) }
        #expect(
            JSONProblems(error).problems
                == [JSONProblem(pointer: "/a", detail: "must not start with a zero (byte 6)", code: .invalidRequest)])
    }

    private func reader(_ text: String) throws -> JSONReader {
        guard case .object(let object) = try JSONParser.parse(Array(text.utf8)) else {
            throw JSONProblems(problems: [])
        }
        return JSONReader(object)
    }
}
