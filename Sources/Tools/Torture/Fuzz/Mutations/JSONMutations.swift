import SeededRandom

/// Mutations of JSON bodies, whose length is told rightly.
extension Mutation {
    static let json: [Mutation] = [
        Mutation("json: cut off", .body) { request, generator in
            request.requireBody()
            request.body = Array(request.body.prefix(Int.random(in: 0..<request.body.count, using: &generator)))
        },
        Mutation("json: empty", .body) { request, generator in
            request.requireBody()
            request.body = utf8(generator.pick(["", " ", "\r\n", "null", "[]", "\"\"", "0", "true"]))
        },
        Mutation("json: nesting", .body) { request, generator in
            let depth = generator.pick([3, 8, 9, 30, 31, 32, 33, 100, 2_000, 50_000])
            let (open, close) = generator.pick([("[", "]"), (#"{"a":"#, "}"), ("[{\"a\":", "}]"), ("[", "")])
            let inside = generator.pick(["", "1", "null"])
            let text = String(repeating: open, count: depth) + inside + String(repeating: close, count: depth)
            request.replaceValue(by: utf8(text), &generator)
        },
        value(
            "number",
            [
                "99999999999999999999", "-99999999999999999999", "9007199254740991", "9007199254740992", "0", "-0",
                "-1", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "1.5", "0.1", "1.0",
            ]),
        value(
            "exponent",
            [
                "1e3", "1E+9", "1e400", "1e-400", "-1e999999999", "0e0", "1e00000000000000000001", "5.0e-324",
            ]),
        value(
            "bad number",
            [
                "00", "01", "+1", "-", "1.", ".5", "1e", "1e+", "0x10", "NaN", "Infinity", "-Infinity", "1_000",
                "1,000", "--1", "1e1.5",
            ]),
        value(
            "long number",
            [
                String(repeating: "9", count: 400), "0." + String(repeating: "0", count: 3_000) + "1",
                "1e" + String(repeating: "9", count: 500), String(repeating: "1", count: 60_000),
            ]),
        value(
            "wrong type",
            [
                "null", "true", "false", "[]", "{}", "\"\"", "5", "\"text\"", "[null]", #"{"a":1}"#, "\"5\"", "[[]]",
            ]),
        value("words", ["nul", "True", "undefined", "nullnull", "'text'", "text", "\"", "tru\u{0}e"]),
        value(
            "times",
            [
                "\"2034-02-30T00:00:00Z\"", "\"9999-12-31T23:59:60Z\"", "\"0000-01-01T00:00:00Z\"", "\"P1Y\"",
                "\"PT0S\"", "\"P99999999999999999999D\"", "\"-P1D\"", "\"noon\"", "\"1900-01-01T00:00:00+99:99\"",
            ]),
        inString(
            "escapes",
            [
                #"\x"#, #"\u12"#, #"\uZZZZ"#, #"\u0000"#, #"\"#, #"\u"#, #"\/\b\f\n\r\t"#, #"\U0041"#, #"\'"#,
                #"\u00e9"#,
            ]),
        inString(
            "surrogates",
            [
                #"\ud800"#, #"\udc00"#, #"\udc00\ud800"#, #"\ud800\ud800"#, #"\ud83d\ude00"#, #"\ud800x"#,
                #"\ud800\u0041"#,
            ]),
        inString(
            "texts",
            [
                "\u{0}", "\u{1}", "\n", "\t", "\u{7F}", "\u{FEFF}", "\u{202E}", "\u{301}", "\u{1F600}", "\u{2028}",
                "\"", "<script>", "'; --", "\u{FFFF}", "\u{10FFFF}", "../", "%00", "\r\nX-A: b",
            ]),
        Mutation("json: invalid UTF-8", .body) { request, generator in
            let bytes = generator.pick(invalidUTF8)
            request.insertIntoString(bytes, &generator)
        },
        Mutation("json: long string", .body) { request, generator in
            // More than 1 MiB is too large for most endpoints, and slow: it is rare.
            let count = generator.chance(1) ? 1_100_000 : generator.pick([64, 65, 255, 256, 257, 4_097, 20_000])
            let letter = utf8(generator.pick(["l", "\u{EB}", #"\u00eb"#, "\u{1F600}"]))
            request.insertIntoString(Array(repeatElement(letter, count: count / letter.count).joined()), &generator)
        },
        Mutation("json: many values", .body) { request, generator in
            let count = generator.chance(2) ? 110_000 : generator.pick([21, 1_000, 5_001])
            let one = generator.pick(["0", "null", "{}", "\"\"", #"{"":0}"#])
            let text = "[" + repeatElement(one, count: count).joined(separator: ",") + "]"
            request.replaceValue(by: utf8(text), &generator)
        },
        Mutation("json: member twice", .body) { request, generator in
            request.requireBody()
            let spots = JSONSpots(request.body).names
            guard !spots.isEmpty else { return }
            let name = Array(request.body[generator.pick(spots)])
            let rest = utf8(generator.pick([":1", ":null", ":\"a\""]))
            request.insertMember(name + rest, &generator)
        },
        Mutation("json: unknown field", .body) { request, generator in
            let member = utf8(generator.pick(unknownMembers))
            request.insertMember(member, &generator)
        },
        Mutation("json: many unknown fields", .body) { request, generator in
            let members = (0..<generator.pick([19, 20, 21, 300])).map { #""u\#($0)":0"# }
            request.insertMember(utf8(members.joined(separator: ",")), &generator)
        },
        Mutation("json: byte order mark", .body) { request, generator in
            request.requireBody()
            let mark: [UInt8] = generator.pick([[0xEF, 0xBB, 0xBF], [0xFF, 0xFE], [0xFE, 0xFF], [0xEF, 0xBB]])
            request.body = mark + request.body
        },
        Mutation("json: UTF-16", .body) { request, _ in
            request.requireBody()
            request.body = request.body.flatMap { [$0, 0] }
        },
        Mutation("json: NUL", .body) { request, generator in
            request.requireBody()
            request.body.insert(0, at: Int.random(in: 0...request.body.count, using: &generator))
        },
        Mutation("json: white space", .body) { request, generator in
            request.requireBody()
            let blank = utf8(generator.pick(blanks))
            request.body.insert(contentsOf: blank, at: Int.random(in: 0...request.body.count, using: &generator))
        },
        Mutation("json: more after the end", .body) { request, generator in
            request.requireBody()
            request.body += utf8(generator.pick(["{}", ",", "}", "]", "\n{}", "x", " ", "\u{0}", "\n\n\n"]))
        },
        Mutation("json: punctuation", .body) { request, generator in
            request.requireBody()
            let marks = request.body.indices.filter { ",:[]{}\"".utf8.contains(request.body[$0]) }
            guard !marks.isEmpty else { return }
            let place = generator.pick(marks)
            request.body[place] = generator.pick(utf8(",:[]{}\"' ;="))
        },
        Mutation("json: lines again", .body) { request, generator in
            request.requireBody()
            let separator = utf8(generator.pick(["\n", "\r\n", "\r", "\n\n", ","]))
            let count = request.body.count > 10_000 ? 2 : generator.pick([2, 3, 50])
            request.body = Array(repeatElement(request.body, count: count).joined(separator: separator))
        },
    ]

    private static let unknownMembers = [
        #""nmae":1"#, "\"\":0", #""end_user_id ":"x""#, #""__proto__":{}"#, #""END_USER_ID":"x""#, #""a\u0000":1"#,
    ]

    private static let blanks = ["\n", "\r\n\r\n", "\t", "\u{C}", "\u{A0}", "\u{B}", "/* a */", "// a\n", "#"]

    private static let invalidUTF8: [[UInt8]] = [
        [0x80], [0xFF], [0xC0, 0x80], [0xE2, 0x82], [0xED, 0xA0, 0x80], [0xF5, 0x80, 0x80, 0x80],
        [0xF0, 0x80, 0x80, 0x80], [0xFE], [0xC3], [0xF4, 0x90, 0x80, 0x80],
    ]

    private static func value(_ name: String, _ texts: [String]) -> Mutation {
        Mutation("json: \(name)", .body) { request, generator in
            let text = utf8(generator.pick(texts))
            request.replaceValue(by: text, &generator)
        }
    }

    private static func inString(_ name: String, _ texts: [String]) -> Mutation {
        Mutation("json: \(name)", .body) { request, generator in
            let text = utf8(generator.pick(texts))
            request.insertIntoString(text, &generator)
        }
    }
}

extension FuzzRequest {
    /// Replaces a random scalar value of the body, or the whole body when it has none.
    fileprivate mutating func replaceValue(by text: [UInt8], _ generator: inout SeededGenerator) {
        requireBody()
        let spots = JSONSpots(body).values
        guard !spots.isEmpty else {
            body = text
            return
        }
        body.replaceSubrange(generator.pick(spots), with: text)
    }

    /// Inserts bytes into a random name or string of the body, or at its beginning when it has none.
    fileprivate mutating func insertIntoString(_ text: [UInt8], _ generator: inout SeededGenerator) {
        requireBody()
        let spots = JSONSpots(body)
        let strings = (spots.names + spots.values).filter { body[$0.lowerBound] == UInt8(ascii: "\"") && $0.count > 1 }
        guard !strings.isEmpty else {
            body.insert(contentsOf: text, at: 0)
            return
        }
        let place = generator.pick(strings)
        body.insert(contentsOf: text, at: Int.random(in: (place.lowerBound + 1)..<place.upperBound, using: &generator))
    }

    /// Inserts a member at the beginning of a random object of the body.
    fileprivate mutating func insertMember(_ member: [UInt8], _ generator: inout SeededGenerator) {
        requireBody()
        let starts = body.indices.filter { body[$0] == UInt8(ascii: "{") }
        guard !starts.isEmpty else { return }
        let start = generator.pick(starts) + 1
        let isAlone = start < body.count && body[start] == UInt8(ascii: "}")
        body.insert(contentsOf: isAlone ? member : member + utf8(","), at: start)
    }
}
