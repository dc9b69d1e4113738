import Credits
import JSON
import Testing

@testable import Ingest

@Suite("A row becomes an event")
struct EventMapperTests {
    private let mapping = EventMapping(
        endUser: .column("user"), feature: .fixed("tokens"), units: .sum(of: ["input", "output"]))

    @Test("Every part can come from a column")
    func allColumns() throws {
        var mapping = EventMapping(
            endUser: .column("user"), feature: .column("feature"), units: .sum(of: ["units"]),
            occurredAt: .init(column: "time", format: .utc), idempotencyKey: .column("key"),
            metadataColumns: ["model", "region", "user"])
        let event = try event(
            mapping,
            [
                "user": "ana", "feature": "tokens", "units": "7", "time": "2023-11-16 18:15:46.6805900", "key": "k1",
                "model": "large", "region": "",
            ])
        var json = JSONWriter()
        event.write(into: &json)
        #expect(
            String(decoding: json.bytes, as: UTF8.self)
                == #"{"end_user_id":"ana","feature_key":"tokens","units":7,"#
                + #""occurred_at":"2023-11-16T18:15:46.680590Z","idempotency_key":"k1","#
                + #""metadata":{"model":"large","user":"ana"}}"#)
        mapping.metadataColumns = ["region"]
        #expect(
            try self.event(
                mapping,
                [
                    "user": "ana", "feature": "tokens", "units": "7", "time": "2023-11-16 18:15:46", "key": "k1",
                    "region": "",
                ]
            ).metadata == nil)
    }

    @Test("The end user of a pattern is the prefix and the row number modulo a number")
    func pattern() throws {
        let mapping = EventMapping(endUser: .pattern("user_", modulo: 200), feature: .fixed("t"), units: .fixed(1))
        let ids = try [0, 1, 199, 200, 401].map { try event(mapping, [:], row: $0).endUserID.rawValue }
        #expect(ids == ["user_0", "user_1", "user_199", "user_0", "user_1"])
    }

    @Test("Quantities and attributes come from columns of their own")
    func quantities() throws {
        let mapping = EventMapping(
            endUser: .column("user"), feature: .fixed("llm"),
            units: .quantities([.init(name: "input", column: "i"), .init(name: "output", column: "o")]),
            attributes: [.init(name: "model", column: "m"), .init(name: "cached", column: "c")])
        let event = try event(mapping, ["user": "ana", "i": "12", "o": .integer(0), "m": "large", "c": .bool(true)])
        var json = JSONWriter()
        event.write(into: &json)
        #expect(
            String(decoding: json.bytes, as: UTF8.self)
                == #"{"end_user_id":"ana","feature_key":"llm","quantities":{"input":12,"output":0},"#
                + #""attributes":{"model":"large","cached":true},"idempotency_key":"prefix-0"}"#)
        #expect(event.measure.total == 12)
        let plain = try self.event(mapping, ["user": "ana", "i": "1", "o": "2", "m": "", "c": .null])
        #expect(plain.attributes == nil)
        for cells in [["i": "1"], ["i": "1", "o": "-2"], ["i": "1", "o": ""]] as [[String: JSONValue]] {
            #expect {
                try self.event(mapping, cells.merging(["user": "ana"]) { $1 })
            } throws: { error in
                (error as? RowProblem)?.column == "o"
            }
        }
        #expect(
            throws: RowProblem(
                line: 2, column: "m", sentence: "must be text, an integer or a boolean to be an attribute")
        ) {
            try self.event(mapping, ["user": "ana", "i": "1", "o": "2", "m": .number("1.5")])
        }
    }

    @Test("The key of a row is the prefix and the row's number, or its digest")
    func keys() throws {
        let cells: [String: JSONValue] = ["user": "ana", "input": "1", "output": "2"]
        #expect(try event(mapping, cells, row: 0).idempotencyKey == "prefix-0")
        #expect(try event(mapping, cells, row: 19_365).idempotencyKey == "prefix-19365")
        let row = Row(
            number: 5, line: 7, cells: mapping.columns.map { cells[$0] }, digest: Bits128(high: 0xAB, low: .max))
        #expect(
            try EventMapper(mapping: mapping).event(for: row).idempotencyKey == "00000000000000abffffffffffffffff")
    }

    @Test(
        "Units are the sum of their columns",
        arguments: [
            ("0", "0", 0), ("374", "44", 418), ("007", "1", 8),
            ("9223372036854775807", "0", .max), ("9223372036854775806", "1", .max),
        ] as [(String, String, Int64)])
    func units(input: String, output: String, sum: Int64) throws {
        #expect(
            try event(mapping, ["user": "ana", "input": .string(input), "output": .string(output)]).measure
                == .units(sum))
        if let input = Int64(input), let output = Int64(output) {
            #expect(
                try event(mapping, ["user": "ana", "input": .integer(input), "output": .integer(output)]).measure
                    == .units(sum))
        }
    }

    @Test(
        "Units that are not a non-negative 64-bit integer are refused, with the column",
        arguments: [
            ("9223372036854775807", "1", "output", "makes the sum of units larger than 9223372036854775807"),
            ("9223372036854775808", "1", "input", "is larger than 9223372036854775807"),
            ("-1", "5", "input", "must be a non-negative integer"),
            ("1", "", "output", "must be a non-negative integer"),
            ("+1", "1", "input", "must be a non-negative integer"),
            ("1", "1.0", "output", "must be a non-negative integer"),
            ("1e3", "1", "input", "must be a non-negative integer"),
            ("1", " 1", "output", "must be a non-negative integer"),
            ("१", "1", "input", "must be a non-negative integer"),
        ])
    func badUnits(input: String, output: String, column: String, sentence: String) {
        #expect(throws: RowProblem(line: 12, column: column, sentence: sentence)) {
            try event(mapping, ["user": "ana", "input": .string(input), "output": .string(output)], row: 10)
        }
    }

    @Test(
        "An instant has exactly the declared form",
        arguments: [
            (.rfc3339, "2026-01-31T12:00:00Z", 1_769_860_800_000_000),
            (.rfc3339, "2026-01-31T13:30:00.25+01:30", 1_769_860_800_250_000),
            (.rfc3339, "2026-01-31 12:00:00Z", nil), (.rfc3339, "2026-01-31T12:00:00", nil),
            (.utc, "2026-01-31 12:00:00", 1_769_860_800_000_000),
            (.utc, "2026-01-31 12:00:00.1234567", 1_769_860_800_123_456),
            (.utc, "2026-01-31T12:00:00", nil), (.utc, "2026-01-31 12:00:00Z", nil), (.utc, "2026-02-29 12:00:00", nil),
            (.unixSeconds, "1769860800", 1_769_860_800_000_000),
            (.unixSeconds, "1769860800.1234567", 1_769_860_800_123_456),
            (.unixSeconds, "0", 0), (.unixSeconds, "-1", nil), (.unixSeconds, "1.", nil), (.unixSeconds, "1e9", nil),
            (.unixSeconds, "253402300799.999999", 253_402_300_799_999_999), (.unixSeconds, "253402300800", nil),
            (.unixMilliseconds, "1769860800001", 1_769_860_800_001_000),
            (.unixMilliseconds, "1769860800001.5", nil), (.unixMilliseconds, "999999999999999", nil),
        ] as [(EventMapping.TimeFormat, String, Int64?)])
    func instants(format: EventMapping.TimeFormat, text: String, microseconds: Int64?) {
        #expect(Instant(text, as: format)?.microseconds == microseconds)
    }

    @Test("Members of a JSON object in a metadata column count as the event's own metadata")
    func nestedMetadata() throws {
        var mapping = EventMapping(endUser: .column("user"), feature: .fixed("t"), units: .fixed(1))
        mapping.metadataColumns = ["metadata", "model"]
        let event = try event(
            mapping,
            ["user": .integer(42), "metadata": .object(["cached": .bool(true), "size": .integer(3)]), "model": "x"])
        #expect(event.endUserID.rawValue == "42")
        #expect(event.metadata == ["cached": .bool(true), "size": .integer(3), "model": .string("x")])
        #expect(
            throws: RowProblem(line: 2, column: "model", sentence: "would add a second member model to the metadata")
        ) {
            try self.event(mapping, ["user": "ana", "metadata": .object(["model": .string("y")]), "model": "x"])
        }
        let nested: JSONValue = .object(["temperature": .number("0.70"), "stop": .array([.null])])
        #expect(
            try self.event(mapping, ["user": "ana", "model": nested]).metadata == [
                "temperature": .number("0.70"), "stop": .array([.null]),
            ])
    }

    @Test(
        "A row that cannot be an event names the column at fault",
        arguments: [
            (["input": "1", "output": "1"], "user"),
            (["user": "", "input": "1", "output": "1"], "user"),
            (["user": .null, "input": "1", "output": "1"], "user"),
            (["user": .bool(true), "input": "1", "output": "1"], "user"),
            (["user": .string(String(repeating: "a", count: 257)), "input": "1", "output": "1"], "user"),
            (["user": "ana", "input": "1"], "output"),
        ] as [([String: JSONValue], String)])
    func unusable(cells: [String: JSONValue], column: String) {
        #expect {
            try event(mapping, cells)
        } throws: { error in
            (error as? RowProblem)?.column == column
        }
    }

    @Test("Patterns and sums have a spelling for the command line")
    func spellings() {
        #expect(EventMapping.EndUser(pattern: "user_{row % 200}") == .pattern("user_", modulo: 200))
        #expect(EventMapping.EndUser(pattern: "{row%7}") == .pattern("", modulo: 7))
        for text in ["user", "user_{row}", "user_{row % 0}", "user_{row % x}", "{row % 2}_a", "user_{line % 2}"] {
            #expect(EventMapping.EndUser(pattern: text) == nil, "\(text)")
        }
        #expect(EventMapping.Units(sum: "a+b c") == .sum(of: ["a", "b c"]))
        #expect(EventMapping.Units(sum: "a+") == nil)
        #expect(EventMapping.Units(sum: "") == nil)
        #expect(EventMapping.NamedColumn("a=b = c") == EventMapping.NamedColumn(name: "a", column: "b = c"))
        for text in ["a", "a=", "=b", ""] { #expect(EventMapping.NamedColumn(text) == nil, "\(text)") }
    }

    private func event(
        _ mapping: EventMapping, _ cells: [String: JSONValue], row: Int = 0
    ) throws -> UsageEvent {
        var mapping = mapping
        if mapping.idempotencyKey == .runningDigest { mapping.idempotencyKey = .rowNumber(prefix: "prefix") }
        return try EventMapper(mapping: mapping).event(
            for: Row(
                number: row, line: row + 2, cells: mapping.columns.map { cells[$0] }, digest: Bits128(high: 0, low: 0)))
    }
}

extension JSONValue: ExpressibleByStringLiteral {
    package init(stringLiteral text: String) {
        self = .string(text)
    }
}
