package import Postgres

/// The facts about a PostgreSQL server that every login may read, for the doctor.
package struct ServerFacts: Hashable, Sendable {
    package struct Role: Hashable, Sendable {
        package var role: DatabaseRole
        package var exists: Bool
        /// Whether the login is a member of the role.
        package var isGranted: Bool

        package init(role: DatabaseRole, exists: Bool, isGranted: Bool) {
            self.role = role
            self.exists = exists
            self.isGranted = isGranted
        }
    }

    /// A replication slot of this database, or a physical slot.
    package struct Slot: Hashable, Sendable {
        package var name: String
        package var isActive: Bool
        /// The WAL that the server keeps for the slot, in bytes; nil when it keeps none any more, and on a standby.
        package var keptBytes: Int64?
        /// The WAL that the slot's reader has not confirmed yet, in bytes; nil for a physical slot, and on a standby.
        package var lagBytes: Int64?
        /// PostgreSQL's `wal_status`: `reserved`, `extended`, `unreserved` or `lost`.
        package var walStatus: String?

        package init(name: String, isActive: Bool, keptBytes: Int64?, lagBytes: Int64?, walStatus: String?) {
            self.name = name
            self.isActive = isActive
            self.keptBytes = keptBytes
            self.lagBytes = lagBytes
            self.walStatus = walStatus
        }
    }

    /// `server_version_num`: 150004 is 15.4.
    package var versionNumber: Int32
    package var login: String
    package var isStandby: Bool
    /// The settings that the doctor checks, by name, in PostgreSQL's spelling.
    package var settings: [String: String]
    package var connections: Int64
    package var roles: [Role]
    package var slots: [Slot]
    /// The standbys that take part in commits; nil when the login may not see them.
    package var synchronousStandbys: Int64?

    package init(
        versionNumber: Int32, login: String, isStandby: Bool, settings: [String: String], connections: Int64,
        roles: [Role], slots: [Slot], synchronousStandbys: Int64? = nil
    ) {
        self.versionNumber = versionNumber
        self.login = login
        self.isStandby = isStandby
        self.settings = settings
        self.connections = connections
        self.roles = roles
        self.slots = slots
        self.synchronousStandbys = synchronousStandbys
    }

    package static func read(on connection: PostgresConnection) async throws -> ServerFacts {
        let results = try await connection.run([
            PostgresQuery(
                """
                select current_setting('server_version_num')::integer, session_user::text, pg_is_in_recovery(),
                    (select count(*) from pg_stat_activity where backend_type = 'client backend'),
                    case when pg_has_role(session_user, 'pg_read_all_stats', 'member')
                        then (select count(*) from pg_stat_replication where sync_state in ('sync', 'quorum')) end
                """),
            PostgresQuery(
                """
                select s.name, current_setting(s.name) from unnest($1::text[]) as s (name)
                """,
                [
                    .texts([
                        "wal_level", "max_slot_wal_keep_size", "max_connections", "max_replication_slots", "fsync",
                        "full_page_writes", "synchronous_commit", "data_checksums", "synchronous_standby_names",
                        "wal_sender_timeout",
                    ])
                ]),
            PostgresQuery(
                """
                select n.name, r.oid is not null, coalesce(pg_has_role(session_user, r.oid, 'member'), false)
                from unnest($1::text[]) with ordinality as n (name, position)
                left join pg_roles r on r.rolname = n.name
                order by n.position
                """, [.texts(DatabaseRole.allCases.map(\.rawValue))]),
            PostgresQuery(
                """
                select slot_name::text, active,
                    case when pg_is_in_recovery() then null
                        else pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint end,
                    case when pg_is_in_recovery() then null
                        else pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint end,
                    wal_status
                from pg_replication_slots
                where database = current_database() or database is null
                order by slot_name
                """),
        ])
        guard let row = results[0].first else { throw StorageError.missingRow("the server's version") }
        var settings: [String: String] = [:]
        for setting in results[1] { settings[try setting.text(0)] = try setting.text(1) }
        return ServerFacts(
            versionNumber: try row.int32(0), login: try row.text(1), isStandby: try row.bool(2), settings: settings,
            connections: try row.int64(3),
            roles: try results[2].compactMap { role in
                guard let name = DatabaseRole(rawValue: try role.text(0)) else { return nil }
                return Role(role: name, exists: try role.bool(1), isGranted: try role.bool(2))
            },
            slots: try results[3].map { slot in
                Slot(
                    name: try slot.text(0), isActive: try slot.bool(1), keptBytes: try slot.int64OrNil(2),
                    lagBytes: try slot.int64OrNil(3), walStatus: try slot.textOrNil(4))
            }, synchronousStandbys: try row.int64OrNil(4))
    }
}

/// The facts that only the operator's role may read: the installation's own tables, and open transactions.
package struct OperationFacts: Hashable, Sendable {
    package struct Transaction: Hashable, Sendable {
        package var processID: Int32
        package var application: String
        package var seconds: Int64

        package init(processID: Int32, application: String, seconds: Int64) {
            self.processID = processID
            self.application = application
            self.seconds = seconds
        }
    }

    package struct Parked: Hashable, Sendable {
        package var count: Int64
        package var newestError: String
        package var newestID: Int64

        package init(count: Int64, newestError: String, newestID: Int64) {
            self.count = count
            self.newestError = newestError
            self.newestID = newestID
        }
    }

    /// Transactions that have been open for more than a minute, the oldest first, ten at most.
    package var longTransactions: [Transaction]
    /// False when the role lacks `pg_read_all_stats`: transactions of other roles are then missing from the list.
    package var seesAllTransactions: Bool
    /// Ledger workers that were seen in the last 10 seconds.
    package var workers: Int64
    /// Whether a scheduler holds the lock of the active scheduler.
    package var hasScheduler: Bool
    package var parked: Parked?

    package init(
        longTransactions: [Transaction], seesAllTransactions: Bool, workers: Int64, hasScheduler: Bool, parked: Parked?
    ) {
        self.longTransactions = longTransactions
        self.seesAllTransactions = seesAllTransactions
        self.workers = workers
        self.hasScheduler = hasScheduler
        self.parked = parked
    }

    /// - Parameter connection: In the operator's role.
    package static func read(on connection: PostgresConnection) async throws -> OperationFacts {
        let results = try await connection.run([
            PostgresQuery(
                """
                select pid, coalesce(application_name, ''), extract(epoch from clock_timestamp() - xact_start)::bigint
                from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
                    and xact_start < clock_timestamp() - interval '1 minute'
                order by xact_start limit 10
                """),
            PostgresQuery("select pg_has_role('pg_read_all_stats', 'usage')"),
            PostgresQuery(
                """
                select count(*) from ledger_workers where seen_at > clock_timestamp() - interval '10 seconds'
                """),
            PostgresQuery(
                """
                select (select count(*) from parked_commands), error, parked_id
                from parked_commands order by parked_id desc limit 1
                """),
            PostgresQuery(
                """
                select exists (
                    select from pg_locks
                    where locktype = 'advisory' and objsubid = 1 and granted
                        and classid = ($1::bigint >> 32)::oid and objid = ($1::bigint & 4294967295)::oid
                        and database = (select oid from pg_database where datname = current_database()))
                """, [.int64(DueAccounts.lockNumber)]),
        ])
        guard let visibility = results[1].first, let workers = results[2].first, let scheduler = results[4].first else {
            throw StorageError.missingRow("a count")
        }
        return OperationFacts(
            longTransactions: try results[0].map { row in
                Transaction(processID: try row.int32(0), application: try row.text(1), seconds: try row.int64(2))
            },
            seesAllTransactions: try visibility.bool(0), workers: try workers.int64(0),
            hasScheduler: try scheduler.bool(0),
            parked: try results[3].first.map { row in
                Parked(count: try row.int64(0), newestError: try row.text(1), newestID: try row.int64(2))
            })
    }

    /// The number of accounts that were due more than a minute ago, counted up to 10,000.
    ///
    /// - Throws: `PostgresError` when the count takes longer than the limit. The connection is then closed.
    package static func overdueAccounts(
        within limit: Duration, on connection: PostgresConnection
    ) async throws -> Int64 {
        let result = try await connection.run(
            PostgresQuery(
                """
                select count(*) from (
                    select from accounts
                    where due_at is not null and due_at < statement_timestamp() - interval '1 minute'
                    limit 10000) as overdue
                """), within: limit)
        guard let row = result.first else { throw StorageError.missingRow("a count") }
        return try row.int64(0)
    }
}
