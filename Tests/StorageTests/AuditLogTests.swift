import Answers
import Commands
import Credits
import Postgres
import TestDatabases
import Testing

@testable import Storage

@Suite("Audit log")
struct AuditLogTests {
    /// 20,000 commands of two environments, 50 at each instant; one in a hundred creates a key, the others are uses.
    private static let fill = """
        insert into commands (environment_id, command_id, revision, status, response, decided_at, key_id, request_id, action)
        select 1 + n % 2, gen_random_uuid(), 0, 201, '', timestamptz '2026-01-01' + (n / 50) * interval '1 second', null,
            'req_' || n, case when n % 100 = 7 then 'api_key.create' else 'usage.create' end
        from generate_series(0, 19999) as n;
        analyze commands
        """

    @Test("every page is read from the end of the index, however it is filtered, in the API's role")
    func plans() async throws {
        try await withDatabase { connection, configuration in
            try await connection.script(Self.fill)
            let api = try await PostgresConnection.connect(configuration.acting(as: .api))
            defer { api.close() }
            try await api.script("set quotastack.environment = '1'")
            var filters = [
                AuditFilter(limit: 26), AuditFilter(limit: 26), AuditFilter(limit: 26), AuditFilter(limit: 26),
            ]
            filters[1].action = .createKey
            filters[2].after = (Instant(microseconds: 1_767_225_700_000_000), Bits128(high: 7, low: 7))
            filters[3].from = Instant(microseconds: 1_767_225_600_000_000)
            filters[3].to = Instant(microseconds: 1_767_225_700_000_000)
            for filter in filters {
                let plan = try await api.run(
                    PostgresQuery(
                        PostgresStatement("explain (costs off) \(AuditLog.listStatement.sql)"),
                        AuditLog.parameters(environmentID: EnvironmentID(1), filter))
                ).map { try $0.text(0) }.joined(separator: "\n")
                #expect(plan.contains("Index Scan Backward using commands_audit"), "\(plan)")
                #expect(plan.contains("Incremental Sort"), "\(plan)")
                #expect(!plan.contains("Seq Scan on commands"), "\(plan)")
            }
        }
    }

    @Test("the pages of an environment hold each of its commands once, newest first")
    func pages() async throws {
        try await withDatabase { connection, _ in
            try await connection.script(Self.fill)
            var filter = AuditFilter(limit: 977)
            filter.from = Instant(microseconds: 1_767_225_600_000_000 + 300_000_000)
            var seen: [(Instant, Bits128)] = []
            while true {
                let page = try await AuditLog.list(environmentID: EnvironmentID(2), filter, on: connection)
                seen += page.map { ($0.decidedAt, $0.commandID) }
                guard page.count == filter.limit, let last = page.last else { break }
                filter.after = (last.decidedAt, last.commandID)
            }
            #expect(seen.count == 2_500)
            #expect(Set(seen.map(\.1)).count == 2_500)
            #expect(zip(seen, seen.dropFirst()).allSatisfy { $0 > $1 })
            filter = AuditFilter(limit: 1_000)
            filter.action = .createKey
            #expect(try await AuditLog.list(environmentID: EnvironmentID(2), filter, on: connection).count == 200)
            #expect(try await AuditLog.list(environmentID: EnvironmentID(1), filter, on: connection).isEmpty)
        }
    }
}
