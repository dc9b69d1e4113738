import Postgres
import Testing

@Suite("Values", .timeLimit(.minutes(5)))
struct ValueTests {
    static let texts: [(PostgresValue, String?)] = [
        (.bool(true), "true"), (.bool(false), "false"),
        (.int16(.min), "-32768"), (.int16(.max), "32767"),
        (.int32(.min), "-2147483648"), (.int32(.max), "2147483647"),
        (.int64(.min), "-9223372036854775808"), (.int64(.max), "9223372036854775807"),
        (.text(""), ""), (.text("Grüße 🦉 'quoted' \\"), "Grüße 🦉 'quoted' \\"),
        (.bytes([]), "\\x"), (.bytes([0, 255, 10]), "\\x00ff0a"),
        (.timestamp(microseconds: 0), "1970-01-01 00:00:00+00"),
        (.timestamp(microseconds: -1), "1969-12-31 23:59:59.999999+00"),
        (.timestamp(microseconds: 1_700_000_000_123_456), "2023-11-14 22:13:20.123456+00"),
        (.timestamp(microseconds: .max), "infinity"), (.timestamp(microseconds: .min), "-infinity"),
        (.uuid(high: 0x0123_4567_89AB_CDEF, low: 0xFEDC_BA98_7654_3210), "01234567-89ab-cdef-fedc-ba9876543210"),
        (.jsonText("{\"a\": [1, null]}"), "{\"a\": [1, null]}"),
        (.bools([]), "{}"), (.bools([true, false]), "{t,f}"), (.nullableBools([nil, true]), "{NULL,t}"),
        (.int16s([.min, 0, .max]), "{-32768,0,32767}"), (.nullableInt16s([nil]), "{NULL}"),
        (.int32s([.min, .max]), "{-2147483648,2147483647}"), (.nullableInt32s([1, nil]), "{1,NULL}"),
        (.int64s([]), "{}"), (.int64s([.min, .max]), "{-9223372036854775808,9223372036854775807}"),
        (.nullableInt64s([nil, 5, nil]), "{NULL,5,NULL}"), (.nullableInt64s([]), "{}"),
        (.texts(["", "NULL", "a,b", "ä"]), "{\"\",\"NULL\",\"a,b\",ä}"), (.nullableTexts(["x", nil]), "{x,NULL}"),
        (.byteArrays([[], [1, 2]]), "{\"\\\\x\",\"\\\\x0102\"}"),
        (.nullableByteArrays([nil, [0]]), "{NULL,\"\\\\x00\"}"),
        (.timestamps(microseconds: [0]), "{\"1970-01-01 00:00:00+00\"}"),
        (.nullableTimestamps(microseconds: [nil, .max]), "{NULL,infinity}"),
        (.uuids([PostgresUUID(high: 0, low: 1)]), "{00000000-0000-0000-0000-000000000001}"),
        (.nullableUUIDs([nil]), "{NULL}"),
        (.jsonTexts(["{}", "1"]), "{\"{}\",1}"), (.nullableJSONTexts([nil, "2"]), "{NULL,2}"),
        (.null, nil),
    ]

    @Test("The server reads every kind of parameter as it was meant, at its extremes too")
    func parametersAsTheServerSeesThem() async throws {
        try await withConnection { connection async throws in
            try await connection.script("SET timezone = 'UTC'")
            for (value, expected) in Self.texts {
                #expect(try await connection.text("SELECT ($1)::text", [value]) == expected, "\(value)")
            }
        }
    }

    @Test("A value is read back as it was sent")
    func roundTrip() async throws {
        try await withConnection { connection async throws in
            let result = try await connection.run(
                PostgresQuery(
                    "SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12",
                    [
                        .bool(true), .int16(.min), .int32(.max), .int64(.min), .text(""), .bytes([0, 1, 255]),
                        .timestamp(microseconds: -1), .uuid(high: .max, low: 7), .jsonText("[1]"),
                        .texts(["", "b"]), .int64s([.min, .max]), .int32s([]),
                    ]))
            let row = try #require(result.first)
            #expect(try row.bool(0))
            #expect(try row.int16(1) == .min)
            #expect(try row.int32(1) == -32768)
            #expect(try row.int64(2) == Int64(Int32.max))
            #expect(try row.int64(3) == .min)
            #expect(try row.text(4) == "")
            #expect(try row.bytes(5) == [0, 1, 255])
            #expect(try row.timestamp(6) == -1)
            #expect(try row.uuid(7) == PostgresUUID(high: .max, low: 7))
            #expect(try row.text(8) == "[1]")
            #expect(try row.texts(9) == ["", "b"])
            #expect(try row.int64s(10) == [.min, .max])
            #expect(try row.int32s(11) == [])
        }
    }

    @Test("A null, another type and a missing column are decoding errors, not traps")
    func wrongAccess() async throws {
        try await withConnection { connection async throws in
            let sql: PostgresStatement = "SELECT NULL::bigint, 'x'::text, 1::bigint, '{1,NULL}'::bigint[]"
            let row = try await connection.run(PostgresQuery(sql)).row(0)
            #expect(row.isNull(0))
            #expect(!row.isNull(1))
            #expect(row.isNull(9))
            #expect(try row.int64OrNil(0) == nil)
            #expect(throws: PostgresError.self) { try row.int64(0) }
            #expect(throws: PostgresError.self) { try row.int64(1) }
            #expect(throws: PostgresError.self) { try row.int32(2) }
            #expect(throws: PostgresError.self) { try row.text(2) }
            #expect(throws: PostgresError.self) { try row.int64s(3) }
            #expect(throws: PostgresError.self) { try row.int64(9) }
            #expect(throws: PostgresError.self) { try row.int64(-1) }
        }
    }

    @Test("A timestamp outside PostgreSQL's range is refused by the server")
    func timestampOutOfRange() async throws {
        try await withConnection { connection async throws in
            let error = try await postgresError {
                _ = try await connection.text("SELECT ($1)::text", [.timestamp(microseconds: .min + 1)])
            }
            #expect(error.sqlState?.hasPrefix("22") == true)
        }
    }

    @Test("A thousand rows of ten arrays are inserted, and fifty thousand rows read, without a difference")
    func manyRows() async throws {
        try await withConnection { connection async throws in
            let numbers = (0..<1000).map { Int64($0) }
            let arrays = PostgresValue.int64s(numbers)
            let result = try await connection.run(
                PostgresQuery(
                    """
                    SELECT sum(a + b + c + d + e + f + g + h + i + j)::bigint
                    FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) AS t (a, b, c, d, e, f, g, h, i, j)
                    """, [PostgresValue](repeating: arrays, count: 10)))
            #expect(try result.row(0).int64(0) == 4_995_000)
            let rows = try await connection.run(
                PostgresQuery("SELECT n::bigint, n::text FROM generate_series(1, 50000) AS n"))
            #expect(rows.rowCount == 50_000)
            #expect(rows.commandTag == "SELECT 50000")
            var expected: Int64 = 1
            for row in rows {
                guard try row.int64(0) == expected, try row.text(1) == "\(expected)" else {
                    Issue.record("row \(expected) differs")
                    return
                }
                expected += 1
            }
            #expect(expected == 50_001)
        }
    }

    @Test("A statement with more parameters than the protocol can count is never sent")
    func tooManyParameters() async throws {
        try await withConnection { connection async throws in
            let error = try await postgresError {
                _ = try await connection.text("SELECT 1", [PostgresValue](repeating: .null, count: 65_536))
            }
            guard case .invalidRequest = error.kind else { throw error }
            #expect(try await connection.integer("SELECT 1") == 1)
        }
    }
}
