import Postgres
import Storage
import TestDatabases
import Testing

// The roles that read parts of all environments.

extension RowLevelSecurityTests {
    @Test("a scheduler reads which accounts are due and the parts of entries that checkpoints add up, and nothing else")
    func scheduler() async throws {
        try await withDatabase { connection, configuration in
            let environments = try await TwoEnvironments(connection, configuration)
            try await connection.script("update accounts set due_at = now() where environment_id = 2")
            let tables = try await connection.texts(Self.allTables).filter { Self.open[$0] == nil }
            try await environments.acting(as: .scheduler) { scheduler async throws in
                let due = "select end_user_id from accounts order by due_at, environment_id, account_id"
                #expect(try await scheduler.texts(due) == ["alice"])
                #expect(try await scheduler.texts("select command_id::text from parked_commands").count == 2)
                for hidden in ["balance from accounts", "metadata from accounts", "message from parked_commands"] {
                    #expect(try await scheduler.refusal(of: "select \(hidden)") == "42501", "\(hidden)")
                }
                for hidden in [
                    "metadata from entries", "hash from entries", "charged from reservations", "used from counters",
                    "name from features", "salt from erasures", "end_user_id from erasures",
                ] {
                    #expect(try await scheduler.refusal(of: "select \(hidden)") == "42501", "\(hidden)")
                }
                let read = Set(tables.filter { $0.hasPrefix("checkpoint") })
                    .union([
                        "accounts", "parked_commands", "entries", "reservations", "counters", "features", "erasures",
                    ])
                for table in Set(tables).subtracting(read) {
                    #expect(try await scheduler.refusal(of: "select from \(table)") == "42501", "\(table)")
                }
                for change in [
                    "update accounts set due_at = null", "delete from accounts", "update entries set amount = 0",
                    "delete from checkpoints", "update checkpoints set lifetime_granted = 0",
                    "update checkpoint_usage set units = 0", "update reservations set status = 'active'",
                    "delete from checkpoint_usage", "update features set report_by = '{}'",
                ] {
                    #expect(try await scheduler.refusal(of: change) == "42501", "\(change)")
                }
            }
        }
    }

    @Test("a webhook worker reads what it delivers and changes nothing of the ledger")
    func webhooks() async throws {
        try await withDatabase { connection, configuration in
            let environments = try await TwoEnvironments(connection, configuration)
            let tables = try await connection.texts(Self.allTables).filter { Self.open[$0] == nil }
            try await environments.acting(as: .webhooks) { webhooks async throws in
                let own = Set(tables.filter { $0.hasPrefix("webhook_") }).union(["events", "environment_events"])
                for table in own { #expect(try await rowCount(table, webhooks) == 2, "\(table)") }
                #expect(try await webhooks.texts("select kind from environments").count == 2)
                for table in Set(tables).subtracting(own.union(["environments", "accounts"])) {
                    #expect(try await webhooks.refusal(of: "select from \(table)") == "42501", "\(table)")
                }
                for refused in [
                    "select balance from accounts", "select metadata from accounts",
                    "select tenant_id from environments",
                    "update events set data = ''", "delete from events", "update environment_events set data = ''",
                    "delete from environment_events", "insert into events default values",
                    "update webhook_endpoints set url = ''", "update webhook_endpoints set secret = ''",
                    "insert into webhook_endpoints default values",
                ] {
                    #expect(try await webhooks.refusal(of: refused) == "42501", "\(refused)")
                }
            }
            let secret = try await environments.acting(as: .api) {
                try await $0.refusal(of: "select secret from webhook_endpoints")
            }
            #expect(secret == "42501")
        }
    }

    @Test("a replica reads published columns only; the operator reads everything and changes nothing")
    func otherReaders() async throws {
        try await withDatabase { connection, configuration in
            let environments = try await TwoEnvironments(connection, configuration)
            let published = try await connection.run(
                PostgresQuery(
                    """
                    select tablename::text, array_to_string(attnames, ', ')
                    from pg_publication_tables where pubname = 'quotastack'
                    """)
            ).map { (table: try $0.text(0), columns: try $0.text(1)) }
            let tables = try await connection.texts(Self.allTables).filter { Self.open[$0] == nil }
            try await environments.acting(as: .replica) { replica async throws in
                for (table, columns) in published {
                    #expect(try await replica.texts("select row(\(columns))::text from \(table)").count == 2)
                }
                for table in Set(tables).subtracting(published.map(\.table)) {
                    #expect(try await replica.refusal(of: "select from \(table)") == "42501", "\(table)")
                }
                #expect(try await replica.refusal(of: "select name, metadata from accounts") == "42501")
                #expect(try await replica.refusal(of: "delete from accounts") == "42501")
            }
            try await environments.acting(as: .operator) { `operator` async throws in
                for table in tables {
                    #expect(try await rowCount(table, `operator`) == 2, "\(table)")
                    #expect(try await `operator`.refusal(of: "delete from \(table)") == "42501", "\(table)")
                }
            }
        }
    }
}
