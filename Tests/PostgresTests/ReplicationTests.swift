import Postgres
import Testing

@Suite("Replication", .timeLimit(.minutes(5)))
struct ReplicationTests {
    /// The part of the stream that a test has seen.
    private final class Seen: Sendable {
        let numbers = Shared<[Int64]>([])
        let confirmed = Shared(WALPosition.zero)
        let problems = Shared<[String]>([])

        func receive(_ message: ReplicationMessage) {
            guard case .data(_, _, _, let payload) = message else { return }
            do {
                switch try PGOutputMessage(payload) {
                case .insert(_, let new):
                    for column in new.prefix(1) {
                        guard case .binary(let field) = column else { continue }
                        let number = try field.int64()
                        numbers.withLock { $0.append(number) }
                    }
                case .commit(_, let end, _):
                    confirmed.withLock { $0 = end }
                default:
                    break
                }
            } catch {
                problems.withLock { $0.append("\(error)") }
            }
        }
    }

    private func slotName() -> String { "driver_\(UInt64.random(in: 0 ... .max))" }

    @Test("Snapshot and stream together miss nothing and repeat nothing under concurrent writers")
    func missesNothing() async throws {
        try await withDatabase { configuration in
            let pool = PostgresPool(configuration: configuration, size: 4, longSize: 4)
            try await pool.withConnection {
                try await $0.script("CREATE TABLE t (n bigint PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t")
            }
            let written = Shared(0)
            let stop = Shared(false)
            let writers = (0..<2).map { writer in
                Task {
                    var number = Int64(writer)
                    while !stop.withLock({ $0 }) {
                        let numbers = (0..<5).map { number + Int64($0) * 2 }
                        try await pool.withConnection { connection in
                            _ = try await connection.run(
                                PostgresQuery("INSERT INTO t SELECT unnest($1)", [.int64s(numbers)]))
                        }
                        number += 10
                        written.withLock { $0 += 5 }
                    }
                }
            }
            try await eventually { written.withLock { $0 } > 200 }
            let replication = try await PostgresReplication.connect(configuration)
            let slot = slotName()
            let (snapshot, point) = try await replication.createTemporarySlot(named: slot)
            // More rows are written in the meantime, which the snapshot must not show.
            let before = written.withLock { $0 }
            try await eventually { written.withLock { $0 } > before + 200 }
            let begin: PostgresStatement = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
            let shown = try await pool.withConnection { connection in
                try await connection.withTransaction(begin) { connection in
                    try await connection.script("SET TRANSACTION SNAPSHOT '\(snapshot)'")
                    let numbers = Shared<[Int64]>([])
                    try await connection.copyRows("COPY (SELECT n FROM t) TO STDOUT (FORMAT binary)") { row in
                        let number = try row.nextField().int64()
                        numbers.withLock { $0.append(number) }
                    }
                    return numbers.withLock { $0 }
                }
            }
            let seen = Seen()
            let stream = Task {
                try await replication.start(slot: slot, publication: "p", from: point) { seen.receive($0) }
            }
            let during = written.withLock { $0 }
            try await eventually { written.withLock { $0 } > during + 200 }
            stop.withLock { $0 = true }
            for writer in writers { try await writer.value }
            let total = written.withLock { $0 }
            try await eventually { shown.count + seen.numbers.withLock { $0.count } >= total }
            let all = try await pool.withConnection { connection in
                try await connection.run(PostgresQuery("SELECT n FROM t ORDER BY n")).map { try $0.int64(0) }
            }
            #expect(all.count == total)
            #expect((shown + seen.numbers.withLock { $0 }).sorted() == all)
            #expect(!shown.isEmpty)
            #expect(seen.problems.withLock { $0 }.isEmpty)
            replication.close()
            try await stream.value
            await pool.close()
        }
    }

    /// One line per message, as far as the table of `changesInOrder` needs it.
    private static func describe(_ payload: UnsafeRawBufferPointer) throws -> String? {
        func columns(_ tuple: TupleReader) throws -> String {
            let descriptions = try tuple.enumerated().map { index, column -> String in
                switch (column, index) {
                case (.null, _): "null"
                case (.unchanged, _): "unchanged"
                case (.binary(let field), 0): "\(try field.int64())"
                case (.binary(let field), 1): String(field.text().prefix(5))
                case (.binary(let field), 2): "\(try field.timestamp())"
                case (.binary(let field), 3): try field.jsonText()
                case (.binary(let field), _): "\(try field.bool())"
                case (.text, _): "text"
                }
            }
            return descriptions.joined(separator: " ")
        }
        switch try PGOutputMessage(payload) {
        case .begin, .commit: return nil
        case .relation(let relation):
            return
                "relation \(relation.namespace).\(relation.name) \(relation.columns.map(\.name).joined(separator: " "))"
        case .insert(_, let new): return "insert \(try columns(new))"
        case .update(_, let old, let new): return "update \(try old.map(columns) ?? "-") to \(try columns(new))"
        case .delete(_, let old): return "delete \(try columns(old))"
        case .truncate(let relations, let cascades, _): return "truncate \(relations.count) \(cascades)"
        case .origin, .type, .message: return "unexpected"
        }
    }

    @Test("Inserts, updates, deletes and truncations of another connection arrive decoded and in order")
    func changesInOrder() async throws {
        try await withDatabase { configuration in
            let connection = try await PostgresConnection.connect(configuration)
            defer { connection.close() }
            try await connection.script(
                """
                CREATE TABLE t (n bigint PRIMARY KEY, name text, at timestamptz, document jsonb, flag bool);
                ALTER TABLE t ALTER name SET STORAGE EXTERNAL;
                CREATE PUBLICATION p FOR TABLE t
                """)
            let replication = try await PostgresReplication.connect(configuration)
            let slot = slotName()
            let (_, point) = try await replication.createTemporarySlot(named: slot)
            let lines = Shared<[String]>([])
            let stream = Task {
                try await replication.start(slot: slot, publication: "p", from: point) { message in
                    guard case .data(_, _, _, let payload) = message else { return }
                    let line: String?
                    do { line = try Self.describe(payload) } catch { line = "\(error)" }
                    if let line { lines.withLock { $0.append(line) } }
                }
            }
            let large = String(repeating: "large", count: 4000)
            _ = try await connection.run([
                PostgresQuery(
                    "INSERT INTO t VALUES ($1, $2, $3, $4, $5)",
                    [.int64(-7), .text(large), .timestamp(microseconds: 5), .jsonText("[1]"), .bool(true)]),
                PostgresQuery("INSERT INTO t (n) VALUES ($1)", [.int64(.max)]),
            ])
            _ = try await connection.run(PostgresQuery("UPDATE t SET flag = false WHERE n = -7"))
            _ = try await connection.run(PostgresQuery("UPDATE t SET n = 8 WHERE n > 100"))
            _ = try await connection.run(PostgresQuery("DELETE FROM t WHERE n = 8"))
            _ = try await connection.run(PostgresQuery("TRUNCATE t CASCADE"))
            try await eventually { lines.withLock { $0.last?.hasPrefix("truncate") == true } }
            let relation = "relation public.t n name at document flag"
            let received = lines.withLock { $0 }
            #expect(received.first == relation)
            // The server repeats the relation whenever it may have changed, for instance after a vacuum.
            #expect(
                received.filter { $0 != relation } == [
                    "insert -7 large 5 [1] true",
                    "insert 9223372036854775807 null null null null",
                    "update - to -7 unchanged 5 [1] false",
                    "update 9223372036854775807 null null null null to 8 null null null null",
                    "delete 8 null null null null",
                    "truncate 1 true",
                ])
            replication.close()
            try await stream.value
        }
    }

    @Test("A confirmed position reaches the slot, and closing ends the stream without an error")
    func confirms() async throws {
        try await withDatabase { configuration in
            let connection = try await PostgresConnection.connect(configuration)
            defer { connection.close() }
            try await connection.script("CREATE TABLE t (n bigint PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t")
            let replication = try await PostgresReplication.connect(configuration)
            let slot = slotName()
            let (_, point) = try await replication.createTemporarySlot(named: slot)
            let seen = Seen()
            let stream = Task {
                try await replication.start(slot: slot, publication: "p", from: point) { seen.receive($0) }
            }
            try await connection.script("INSERT INTO t VALUES (41), (42)")
            try await eventually { seen.confirmed.withLock { $0 } > point }
            #expect(seen.numbers.withLock { $0 } == [41, 42])
            let end = seen.confirmed.withLock { $0 }
            replication.confirm(end)
            replication.confirm(point)
            try await eventually {
                try await connection.text(
                    "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = $1", [.text(slot)])
                    == end.description
            }
            replication.close()
            try await stream.value
        }
    }

    @Test("A stream whose server process is ended throws a connection loss")
    func lost() async throws {
        try await withDatabase { configuration in
            let connection = try await PostgresConnection.connect(configuration)
            defer { connection.close() }
            try await connection.script("CREATE TABLE t (n bigint PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t")
            let replication = try await PostgresReplication.connect(configuration)
            let slot = slotName()
            let (_, point) = try await replication.createTemporarySlot(named: slot)
            let stream = Task {
                try await replication.start(slot: slot, publication: "p", from: point) { _ in }
            }
            try await eventually {
                let sql =
                    "SELECT count(*) FROM pg_stat_replication r JOIN pg_replication_slots s "
                    + "ON s.active_pid = r.pid WHERE s.slot_name = $1 AND r.state = 'streaming'"
                return try await connection.integer(sql, [.text(slot)]) == 1
            }
            _ = try await connection.integer(
                "SELECT pg_terminate_backend(active_pid)::int FROM pg_replication_slots WHERE slot_name = $1",
                [.text(slot)])
            let error = try await postgresError { try await stream.value }
            #expect(error.isConnectionLoss)
            let later = try await postgresError { _ = try await replication.createTemporarySlot(named: slot) }
            #expect(later.isConnectionLoss)
        }
    }

    @Test("A slot or a publication that does not exist is the server's error, also for names with quotes")
    func refused() async throws {
        try await withDatabase { configuration in
            let replication = try await PostgresReplication.connect(configuration)
            let error = try await postgresError { _ = try await replication.createTemporarySlot(named: "No slot") }
            #expect(error.sqlState == "42602")
            // A doubled quote is a syntax error (42601) before 15.20 and a part of an invalid name (42602) since then.
            // All 15.x agree on class 42 only, and the connection stays usable in both cases.
            let quoted = try await postgresError { _ = try await replication.createTemporarySlot(named: "No \"slot\"") }
            #expect(quoted.sqlState?.hasPrefix("42") == true)
            let (_, point) = try await replication.createTemporarySlot(named: "driver_refused")
            #expect(point > .zero)
            let missing = try await postgresError {
                try await replication.start(slot: "no_such_slot", publication: "it's", from: point) { _ in }
            }
            #expect(missing.sqlState == "42704")
        }
    }
}
