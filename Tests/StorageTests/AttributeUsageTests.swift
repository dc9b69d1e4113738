import Credits
import Ledger
import Metering
import Postgres
import TestBooks
import TestDatabases
import Testing

@testable import Storage

/// Usage by the attributes that a feature declares in `report_by`.
@Suite("Usage by attribute")
struct AttributeUsageTests {
    @Test("each value has a total, values of different types are different, and usage without the attribute has null")
    func values() async throws {
        let models: [AttributeValue?] = [
            .string("7"), .integer(7), .boolean(true), .string("true"), .string("null"), nil, .string(""),
            .string("e\u{301}"), .string("é"), .string("\\u0000"), .string("\u{FFFF}"), .string("\\uffff"),
            .integer(.min),
            .string(String(repeating: "x", count: 256)),
        ]
        try await withBooks(reporting: ["model"]) { books, connection in
            let uses = models.enumerated().map { index, model in
                Self.use(of: books.feature, units: Int64(index) + 1, ["model": model])
            }
            try await books.apply([try books.grant(1_000_000)] + uses, to: "alice")
            var expected = Dictionary(
                uniqueKeysWithValues: models.enumerated().map { ($1, [1, Int64($0) + 1, 10]) })
            #expect(try await Self.totals(by: "model", in: books) == expected)
            try await Self.addCheckpoint(upTo: 15, to: books)
            // 14 values are more than a quarter of 15 entries.
            #expect(try await Self.summed(connection) == [""])
            #expect(try await Self.totals(by: "model", in: books) == expected)
            // The same uses four times: few values for the number of entries.
            for _ in 0..<4 { try await books.apply(uses, to: "alice") }
            try await Self.addCheckpoint(upTo: 15 + 4 * 14, to: books)
            #expect(try await Self.summed(connection) == ["", "model"])
            expected = expected.mapValues { $0.map { $0 * 5 } }
            #expect(try await Self.totals(by: "model", in: books) == expected)
            let report = try await BookVerifier.verify(on: connection) { _ in }
            #expect(report.isClean, "\(report.violations)")
        }
    }

    @Test(
        "a checkpoint sums by the attributes that were declared when it was made, and reads add the entries of others")
    func declaredLater() async throws {
        try await withBooks(reporting: []) { books, connection in
            let uses = (0..<9).map { Self.use(of: books.feature, units: 1, ["model": .integer(Int64($0 % 3))]) }
            try await books.apply([try books.grant(1_000_000)] + uses, to: "alice")
            try await Self.addCheckpoint(upTo: 10, to: books)
            try await declare(["model"], by: ["calls"], on: connection)
            // Four values are at most a quarter of 19 entries.
            try await books.apply(uses + uses + [books.use], to: "alice")
            try await Self.addCheckpoint(upTo: 29, to: books)
            try await books.apply(uses, to: "alice")
            #expect(try await Self.summed(connection) == ["", "model"])
            let expected: [AttributeValue?: [Int64]] = [
                .integer(0): [12, 12, 120], .integer(1): [12, 12, 120], .integer(2): [12, 12, 120], nil: [1, 1, 10],
            ]
            #expect(try await Self.totals(by: "model", in: books) == expected)
        }
    }

    @Test("an attribute with a value of its own in each entry is not summed, and the ones with few values are")
    func manyValues() async throws {
        try await withBooks(reporting: ["request", "model", "region"]) { books, connection in
            let uses = (0..<99).map { number in
                Self.use(
                    of: books.feature, units: 1,
                    [
                        "request": .string("req_\(number)"), "model": .integer(Int64(number % 12)),
                        "region": .integer(Int64(number % 9)),
                    ])
            }
            try await books.apply([try books.grant(1_000_000)] + uses, to: "alice")
            try await Self.addCheckpoint(upTo: 100, to: books)
            #expect(try await Self.summed(connection) == ["model,region"])
            #expect(
                try await connection.texts("select count(*)::text from checkpoint_usage where attribute <> ''") == [
                    "21"
                ])
            let totals = try await Self.totals(by: "request", in: books)
            #expect(totals.count == 99 && totals.values.allSatisfy { $0 == [1, 1, 10] })
        }
    }

    @Test(
        "eight attributes with as many values as are summed, each use in a quarter of its own, take less than the entries"
    )
    func size() async throws {
        let names = (1...8).map { "attribute_\($0)" }
        try await withBooks(reporting: names) { books, connection in
            // 125 values in all, a quarter of 500 entries.
            let counts: [Int64] = [15, 15, 15, 16, 16, 16, 16, 16]
            try await books.apply([try books.grant(1_000_000)], to: "alice")
            let now = try await connection.run(PostgresQuery("select now()")).first?.timestamp(0) ?? 0
            for batch in 0..<5 {
                let uses = (0..<(batch == 0 ? 99 : 100)).map { place in
                    let number = Int64(batch * 100 + place)
                    let attributes = zip(names, counts).map { ($0, AttributeValue.string("value \(number % $1)")) }
                    return AccountAction.use(
                        UsageEvent(
                            featureKey: books.feature, measure: .units(1),
                            attributes: Attributes(Dictionary(uniqueKeysWithValues: attributes)),
                            occurredAt: Instant(microseconds: now).adding(seconds: -900 * number)))
                }
                try await books.apply(uses, to: "alice")
            }
            try await Self.addCheckpoint(upTo: 500, to: books)
            #expect(try await Self.summed(connection) == [names.joined(separator: ",")])
            let sizes = try await connection.run(
                PostgresQuery(
                    """
                    select (select sum(pg_column_size(u.*)) from checkpoint_usage u)::bigint,
                        (select sum(pg_column_size(e.*)) from entries e)::bigint
                    """))
            let row = try #require(sizes.first)
            let (sums, entries) = (try row.int64(0), try row.int64(1))
            #expect(sums < entries, "\(sums) bytes of sums, \(entries) of entries")
        }
    }

    @Test("there is one total more than the most that an answer has when there are more than these")
    func tooMany() async throws {
        try await withBooks(reporting: ["request"]) { books, connection in
            try await books.apply([try books.grant(1_000_000), books.use], to: "alice")
            try await connection.script(
                """
                insert into entries (environment_id, account_id, sequence, type, amount, reserved_delta, overage_delta,
                    balance_after, reserved_after, allocation_blocks, allocation_amounts, feature_key, units, details,
                    effective_at, recorded_at, hash)
                select 1, 1, n, 'use', 0, 0, 0, 0, 0, '{}', '{}', 'calls', 1, '{"attributes":{"request":' || n || '}}',
                    now() - n * interval '1 hour', now(), sha256('')
                from generate_series(3, 10050) n
                """)
            for grouping in [UsageGrouping.attribute("request"), .hour] {
                let totals = try await UsageReads.totals(
                    environmentID: books.environmentID, account: .alice(1), featureKey: books.feature, from: nil,
                    to: nil, groupBy: grouping, on: connection)
                #expect(totals.count == UsageReads.maximumTotals + 1)
            }
        }
    }

    // MARK: - Parts

    /// Lends books whose feature reports usage by attributes.
    private func withBooks(
        reporting attributes: [String], _ body: (TestBooks, PostgresConnection) async throws -> Void
    ) async throws {
        try await withDatabase { connection, _ in
            let books = try await TestBooks(connection)
            try await declare(attributes, by: ["calls"], on: connection)
            try await body(books, connection)
        }
    }

    private static func use(
        of feature: FeatureKey, units: Int64, _ attributes: [String: AttributeValue?]
    ) -> AccountAction {
        .use(
            UsageEvent(
                featureKey: feature, measure: .units(units),
                attributes: Attributes(attributes.compactMapValues { $0 })))
    }

    /// Charges, units and cost by value.
    private static func totals(by attribute: String, in books: TestBooks) async throws -> [AttributeValue?: [Int64]] {
        let totals = try await UsageReads.totals(
            environmentID: books.environmentID, account: .alice(1), featureKey: books.feature, from: nil, to: nil,
            groupBy: .attribute(attribute), on: books.connection)
        return try Dictionary(
            uniqueKeysWithValues: totals.map { total in
                guard case .attribute(attribute, let value) = total.group else {
                    throw UnexpectedGroup(group: total.group)
                }
                return (value, [total.charges, total.units, total.cost])
            })
    }

    private struct UnexpectedGroup: Error {
        let group: UsageTotal.Group
    }

    private static func addCheckpoint(upTo sequence: Int64, to books: TestBooks) async throws {
        _ = try await CheckpointStore.extend(
            AccountID(1), of: books.environmentID, upTo: sequence,
            spacing: CheckpointSpacing(entries: 1_000, weight: 10_000), on: books.connection)
    }

    /// The attributes by which each checkpoint sums.
    private static func summed(_ connection: PostgresConnection) async throws -> [String] {
        try await connection.texts(
            """
            select coalesce(string_agg(distinct attribute, ',') filter (where attribute <> ''), '')
            from checkpoint_usage group by sequence order by sequence
            """)
    }
}
