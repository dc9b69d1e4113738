import Answers
import Catalogue
import Commands
import Credits
import Ledger
import Postgres
import Storage
import TestDatabases
import Testing
import Webhooks

/// The rows that the database itself shows and refuses to each role, whatever the code above it asks for.
@Suite("Row-level security")
struct RowLevelSecurityTests {
    /// The tables without row-level security, and the reasons.
    static let open = [
        "installation": "one row about the installation as a whole",
        "ledger_workers": "which processes work, no tenant's data",
        "suspects": "ids of messages that may kill workers, which only the ledger reads",
        "schema_migrations": "the names of the schema's steps",
    ]

    static let allTables = """
        select c.relname::text from pg_class c
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') order by 1
        """

    @Test("every table forces row-level security on its owner too, or is listed with a reason")
    func everyTable() async throws {
        try await withDatabase { connection, _ in
            let unprotected = try await connection.texts(
                """
                select c.relname::text from pg_class c
                where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
                    and not (c.relrowsecurity and c.relforcerowsecurity)
                order by 1
                """)
            #expect(unprotected == Self.open.keys.sorted())
        }
    }

    @Test("the API sees one environment's rows in every table, the other's in none, and without a setting nothing")
    func tables() async throws {
        try await withDatabase { connection, configuration in
            let environments = try await TwoEnvironments(connection, configuration)
            let tables = try await connection.texts(Self.allTables)
                .filter { Self.open[$0] == nil }
            #expect(tables.count >= 9)
            for table in tables where table != "tenants" {
                let seen = "select distinct environment_id::text from \(table) order by 1"
                #expect(try await connection.texts(seen) == ["1", "2"], "\(table) is furnished")
                #expect(try await environments.reading(TwoEnvironments.first) { try await $0.texts(seen) } == ["1"])
                #expect(try await environments.reading(TwoEnvironments.second) { try await $0.texts(seen) } == ["2"])
            }
            try await environments.acting(as: .api) { api async throws in
                for table in tables {
                    #expect(try await rowCount(table, api) == 0, "\(table) without a setting")
                    try await api.script("begin; select set_config('quotastack.environment', '1', true); commit")
                    #expect(try await rowCount(table, api) == 0, "\(table) after another transaction's setting")
                }
            }
        }
    }

    @Test("only the installation itself reads the tenants and the list of environments")
    func installation() async throws {
        try await withDatabase { connection, configuration in
            let environments = try await TwoEnvironments(connection, configuration)
            for (environment, expected) in [(0, 2), (1, 0), (2, 0)] as [(Int32, Int64)] {
                let found = try await environments.reading(EnvironmentID(environment)) {
                    try await rowCount("tenants", $0)
                }
                #expect(found == expected)
            }
            let all = try await environments.reading(EnvironmentID(0)) { try await rowCount("environments", $0) }
            #expect(all == 2)
            let accounts = try await environments.reading(EnvironmentID(0)) { try await rowCount("accounts", $0) }
            #expect(accounts == 0)
        }
    }

    @Test("every read for a tenant finds its own rows, and nothing of another tenant")
    func readFunctions() async throws {
        try await withDatabase { connection, configuration in
            let environments = try await TwoEnvironments(connection, configuration)
            for (name, read) in Self.reads {
                let own = try await environments.reading(TwoEnvironments.first) { try await read(1, $0) }
                #expect(own == 1, "\(name)")
                let foreign = try await environments.reading(TwoEnvironments.first) { try await read(2, $0) }
                #expect(foreign == 0, "\(name)")
                let unset = try await environments.acting(as: .api) { try await read(1, $0) }
                #expect(unset == 0, "\(name)")
            }
        }
    }

    /// Reads, each with the number of rows that it finds for an environment and its objects.
    private static let reads: [(String, @Sendable (Int32, PostgresConnection) async throws -> Int)] = [
        (
            "endUser by key",
            { number, connection in
                let key = AccountKey(environmentID: EnvironmentID(number), endUserID: try #require(EndUserID("alice")))
                return try await AccountReads.endUser(key, on: connection) == nil ? 0 : 1
            }
        ),
        (
            "endUserIDs",
            { number, connection in
                try await AccountReads.endUserIDs(
                    [AccountID(Int64(number))], environmentID: EnvironmentID(number), on: connection
                ).count
            }
        ),
        (
            "endUsers",
            { number, connection in
                try await AccountReads.endUsers(
                    environmentID: EnvironmentID(number), before: nil, limit: 10, on: connection
                ).count
            }
        ),
        (
            "blocks",
            { number, connection in
                try await AccountReads.blocks(
                    environmentID: EnvironmentID(number), accountID: AccountID(Int64(number)), status: nil,
                    now: Instant(microseconds: 0), after: nil, limit: 10, on: connection
                ).count
            }
        ),
        (
            "entries by key",
            { number, connection in
                let key = EntryKey(
                    environmentID: EnvironmentID(number), accountID: AccountID(Int64(number)), sequence: 1)
                return try await EntryStore.find([key], on: connection).count
            }
        ),
        (
            "entries",
            { number, connection in
                try await EntryStore.list(
                    environmentID: EnvironmentID(number), accountID: AccountID(Int64(number)), EntryFilter(limit: 10),
                    on: connection
                ).count
            }
        ),
        (
            "standing",
            { number, connection in
                try await LedgerReads.standing(
                    environmentID: EnvironmentID(number), accountID: AccountID(Int64(number)),
                    at: Instant(microseconds: .max), on: connection
                ).version == 0 ? 0 : 1
            }
        ),
        (
            "block histories",
            { number, connection in
                try await LedgerReads.blockHistories(
                    environmentID: EnvironmentID(number), accountID: AccountID(Int64(number)), version: 9,
                    on: connection
                ).count
            }
        ),
        (
            "hold histories",
            { number, connection in
                try await LedgerReads.holdHistories(
                    environmentID: EnvironmentID(number), accountID: AccountID(Int64(number)), version: 9,
                    on: connection
                ).count
            }
        ),
        (
            "export",
            { number, connection in
                try await LedgerReads.export(
                    environmentID: EnvironmentID(number), accountID: nil, after: nil, on: connection
                ).count
            }
        ),
        (
            "usage totals",
            { number, connection in
                try await UsageReads.totals(
                    environmentID: EnvironmentID(number), account: .alice(number), featureKey: nil,
                    from: nil, to: nil, groupBy: nil, on: connection
                ).count
            }
        ),
        (
            "usage by attribute",
            { number, connection in
                try await UsageReads.totals(
                    environmentID: EnvironmentID(number), account: .alice(number),
                    featureKey: FeatureKey("calls"), from: nil, to: nil, groupBy: .attribute("model"), on: connection
                ).count
            }
        ),
        (
            "reservation",
            { number, connection in
                let found = try await ReservationStore.find(
                    1, accountID: AccountID(Int64(number)), environmentID: EnvironmentID(number), on: connection)
                return found == nil ? 0 : 1
            }
        ),
        (
            "reservations",
            { number, connection in
                try await ReservationStore.list(
                    environmentID: EnvironmentID(number), accountID: AccountID(Int64(number)), status: nil, before: nil,
                    limit: 10, on: connection
                ).count
            }
        ),
        (
            "payment",
            { number, connection in
                let key = PaymentKey(environmentID: EnvironmentID(number), externalID: "pay_1")
                return try await PaymentStore.block(of: key, on: connection) == nil ? 0 : 1
            }
        ),
        (
            "command",
            { number, connection in
                let key = CommandKey(environmentID: EnvironmentID(number), id: TwoEnvironments.id(number))
                return try await CommandStore.find(key, on: connection) == nil ? 0 : 1
            }
        ),
        (
            "audit log",
            { number, connection in
                try await AuditLog.list(
                    environmentID: EnvironmentID(number), AuditFilter(limit: 10), on: connection
                ).count
            }
        ),
        (
            "parked command",
            { number, connection in
                let key = CommandKey(environmentID: EnvironmentID(number), id: TwoEnvironments.id(number))
                return try await CommandStore.isParked(key, on: connection) ? 1 : 0
            }
        ),
        (
            "key",
            { number, connection in
                let found = try await KeyStore.find(
                    TwoEnvironments.id(number), environmentID: EnvironmentID(number), on: connection)
                return found == nil ? 0 : 1
            }
        ),
        (
            "feature",
            { number, connection in
                let key = try #require(FeatureKey("calls"))
                let found = try await FeatureStore.find(
                    key, environmentID: EnvironmentID(number), on: connection)
                return found == nil ? 0 : 1
            }
        ),
        (
            "features",
            { number, connection in
                try await FeatureStore.list(
                    environmentID: EnvironmentID(number), after: nil, limit: 10, on: connection
                ).count
            }
        ),
        (
            "test clock",
            { number, connection in
                let found = try await TestClockStore.find(
                    TwoEnvironments.id(number), environmentID: EnvironmentID(number), on: connection)
                return found == nil ? 0 : 1
            }
        ),
        (
            "rule",
            { number, connection in
                let found = try await RuleStore.find(
                    TwoEnvironments.id(number), environmentID: EnvironmentID(number), on: connection)
                return found == nil ? 0 : 1
            }
        ),
        (
            "rules",
            { number, connection in
                try await RuleStore.list(
                    environmentID: EnvironmentID(number), featureKey: nil, before: nil, limit: 10, on: connection
                ).count
            }
        ),
        (
            "package",
            { number, connection in
                let key = try #require(PackageKey("small"))
                let found = try await PackageStore.find(key, environmentID: EnvironmentID(number), on: connection)
                return found == nil ? 0 : 1
            }
        ),
        (
            "subscription",
            { number, connection in
                try await SubscriptionStore.list(
                    environmentID: EnvironmentID(number), accountID: AccountID(Int64(number)), status: nil, before: nil,
                    limit: 10, on: connection
                ).count
            }
        ),
        (
            "events",
            { number, connection in
                try await EventReads.page(
                    environmentID: EnvironmentID(number), after: .start, limit: 10, on: connection
                ).filter { $0.endUserID != nil }.count
            }
        ),
        (
            "feed of the ledger",
            { number, connection in
                let page = try await LedgerFeed.page(
                    environmentID: EnvironmentID(number), after: FeedPlace(before: 0), on: connection)
                return page.entries.count
            }
        ),
        (
            "events of the environment",
            { number, connection in
                try await EventReads.page(
                    environmentID: EnvironmentID(number), after: .start, limit: 10, on: connection
                ).filter { $0.endUserID == nil }.count
            }
        ),
        (
            "webhook endpoints",
            { number, connection in
                try await WebhookEndpointStore.list(
                    environmentID: EnvironmentID(number), before: nil, limit: 10, on: connection
                ).count
            }
        ),
        (
            "webhook endpoint",
            { number, connection in
                let found = try await WebhookEndpointStore.find(
                    TwoEnvironments.id(number), environmentID: EnvironmentID(number), on: connection)
                return found == nil ? 0 : 1
            }
        ),
        (
            "replays",
            { number, connection in
                try await WebhookEndpointStore.replays(environmentID: EnvironmentID(number), on: connection).count
            }
        ),
        (
            "webhook deliveries",
            { number, connection in
                try await WebhookDeliveryStore.list(
                    environmentID: EnvironmentID(number), endpointID: TwoEnvironments.id(number), status: .pending,
                    before: nil, limit: 10, on: connection
                ).count
            }
        ),
        (
            "plans",
            { number, connection in
                try await PlanStore.list(
                    environmentID: EnvironmentID(number), after: nil, limit: 10, on: connection
                ).count
            }
        ),
        (
            "plan variant",
            { number, connection in
                let key = try #require(VariantKey("monthly"))
                let found = try await VariantStore.find(
                    .key(key), environmentID: EnvironmentID(number), on: connection)
                return found == nil ? 0 : 1
            }
        ),
        (
            "plan variants",
            { number, connection in
                let plan = PublicID(.plan, TwoEnvironments.id(number))
                return try await VariantStore.list(
                    ofPlan: plan, environmentID: EnvironmentID(number), before: nil, limit: 10, on: connection
                ).count
            }
        ),
        (
            "versions of a variant",
            { number, connection in
                try await VariantStore.versions(
                    [1], of: PublicID(.planVariant, TwoEnvironments.id(number)), environmentID: EnvironmentID(number),
                    on: connection
                ).count
            }
        ),
        (
            "variant migration",
            { number, connection in
                let found = try await VariantMigrationStore.find(
                    PublicID(.variantMigration, TwoEnvironments.id(number)), environmentID: EnvironmentID(number),
                    on: connection)
                return found == nil ? 0 : 1
            }
        ),
        (
            "subscriptions of a variant",
            { number, connection in
                let variant = PublicID(.planVariant, TwoEnvironments.id(number))
                return try await VariantMigrationStore.inUse(
                    variant, movingTo: VariantReference(id: variant, version: 2),
                    environmentID: EnvironmentID(number), on: connection
                ).count
            }
        ),
        (
            "packages",
            { number, connection in
                try await PackageStore.list(
                    environmentID: EnvironmentID(number), after: nil, limit: 10, on: connection
                ).count
            }
        ),
        (
            "keys",
            { number, connection in
                try await KeyStore.list(
                    environmentID: EnvironmentID(number), before: nil, limit: 10, on: connection
                ).count
            }
        ),
    ]

    @Test("a statement without an environment still shows only the rows of the asking environment")
    func forgottenCondition() async throws {
        try await withDatabase { connection, configuration in
            let environments = try await TwoEnvironments(connection, configuration)
            let seen = try await environments.reading(TwoEnvironments.second) { api async throws in
                try await api.texts("select environment_id::text from accounts join entries using (environment_id)")
            }
            #expect(seen == ["2"])
        }
    }

    @Test("the API cannot write, neither in its transactions nor outside, and RESET ROLE gives it no other rights")
    func readOnly() async throws {
        try await withDatabase { connection, configuration in
            let environments = try await TwoEnvironments(connection, configuration)
            let tables = try await connection.texts(Self.allTables)
            try await environments.acting(as: .api) { api async throws in
                try await api.script("set quotastack.environment = '1'")
                for table in tables {
                    for statement in [
                        "delete from \(table)", "truncate \(table)", "insert into \(table) default values",
                    ] {
                        #expect(try await api.refusal(of: statement) == "42501", "\(statement)")
                    }
                    let column = try await connection.texts(
                        """
                        select attname::text from pg_attribute
                        where attrelid = to_regclass($1) and attnum = 1
                        """, [.text(table)])
                    let update = "update \(table) set \(try #require(column.first)) = default"
                    #expect(try await api.refusal(of: update) == "42501", "\(update)")
                }
                for hidden in [
                    "key_hash from api_keys", "message from parked_commands", "from suspects", "response from payments",
                ] {
                    #expect(try await api.refusal(of: "select \(hidden)") == "42501", "\(hidden)")
                }
                #expect(try await api.refusal(of: "create table mine ()") == "42501")
                try await api.script("reset role")
                #expect(try await api.texts("select current_user::text") == ["quotastack_api"])
            }
            let refused = try await environments.reading(TwoEnvironments.first) { api async throws in
                try await api.refusal(of: "create temporary table mine ()")
            }
            #expect(refused == "25006")
        }
    }

    @Test(
        "the ledger cannot change decided data, even where the trigger is gone",
        arguments: [
            "update entries set amount = 0", "delete from entries", "truncate entries",
            "alter table entries disable trigger all", "update commands set status = 200",
            "update metering_rules set price = ''", "delete from metering_rules",
            "update topup_packages set created_at = now()",
            "delete from topup_packages", "update plans set created_at = now()", "delete from plans",
            "update plan_variants set terms = ''", "delete from plan_variants", "update api_keys set key_hash = ''",
            "update environments set tenant_id = tenant_id", "update blocks set original = 9", "delete from blocks",
            "delete from api_keys", "delete from tenants", "delete from environments", "delete from features",
            "select from tenants", "update installation set shard_count = 1", "update payments set status = 200",
            "update entries set hash = sha256('')", "update entries set version = 1", "delete from payments",
            "update commands set decided_at = now()", "update erasures set up_to = 0", "truncate erasures",
            "delete from reservations", "update reservations set estimated_cost = 0", "truncate payments",
            "update events set type = ''", "delete from events", "truncate events",
            "update topup_requests set credits = 9", "delete from topup_requests",
            "update variant_migrations set to_version = 9", "delete from variant_migrations",
            "delete from webhook_deliveries", "delete from webhook_endpoints",
            "update webhook_progress set lease = null",
            "delete from environment_events",
            "update ledger_feed set last_sequences = first_sequences", "delete from ledger_feed",
        ])
    func ledgerIsAppendOnly(statement: String) async throws {
        try await withDatabase { connection, configuration in
            let environments = try await TwoEnvironments(connection, configuration)
            try await connection.script("drop trigger entries_append_only on entries")
            let refused = try await environments.acting(as: .ledger) { try await $0.refusal(of: statement) }
            #expect(refused == "42501")
        }
    }

    @Test("the ledger can change the attempts of a delivery only after its end user was erased")
    func attemptsStay() async throws {
        try await withDatabase { connection, configuration in
            let environments = try await TwoEnvironments(connection, configuration)
            try await connection.script("delete from erasures where environment_id = 2")
            let change = "update webhook_deliveries set attempts = '[]' where environment_id ="
            let (erased, present) = try await environments.acting(as: .ledger) {
                (try await $0.refusal(of: "\(change) 1"), try await $0.refusal(of: "\(change) 2"))
            }
            #expect(erased == nil)
            #expect(present == "23000")
        }
    }

    @Test("the ledger can delete malformed commands only")
    func decidedCommandsStay() async throws {
        try await withDatabase { connection, configuration in
            let environments = try await TwoEnvironments(connection, configuration)
            for forgotten in ["status = 400", "status = 402, remembered_until = now() + interval '1 day'"] {
                try await connection.script(
                    """
                    create temporary table kept as select * from commands where environment_id = 2;
                    update commands set \(forgotten) where environment_id = 2
                    """)
                try await environments.acting(as: .ledger) { try await $0.script("delete from commands") }
                #expect(try await connection.texts("select environment_id::text from commands") == ["1"])
                try await connection.script("insert into commands select * from kept; drop table kept")
            }
        }
    }
}
