package import Catalogue
package import Commands
package import Credits
import Ledger
package import Postgres

/// The jobs that move the subscriptions of variants.
///
/// The command of a job inserts its row. One ledger worker of the installation, the one whose session holds an advisory
/// lock, works on the jobs: it finds a page of subscriptions and stores it with the job (`nextPage`), sends their commands,
/// waits until all are decided, and stores the outcomes with the place that the job has reached (`finishPage`).
///
/// Invariants:
/// - A page is stored before its commands are sent. After a crash the same commands are sent again, with the same ids, and
///   their decisions are counted once.
/// - The places of pages ascend, so no subscription is in two pages of a job.
package enum VariantMigrationStore {
    /// The settings of a session that works on jobs. A frozen process must not keep the others from working: the server ends
    /// a session that is silent, and the lock ends with it. Counting the subscriptions of a variant is the longest
    /// statement.
    package static let sessionSettings = """
        set enable_hashjoin = off; set enable_mergejoin = off; set enable_seqscan = off; set jit = off;
        set statement_timeout = '60s'; set idle_session_timeout = '5s'; set tcp_user_timeout = '10s'
        """

    /// The subscriptions whose commands are under way at once, in the whole installation.
    package static let subscriptionsPerPage = 200

    /// The subscriptions that the command of a job counts at most. Others wait for it, so a larger number is counted later.
    static let countedAtOnce: Int64 = 10_000

    // MARK: - The command, inside the catalogue worker's transaction

    /// The running job of a variant.
    package static func running(
        of variantID: PublicID, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> VariantMigration? {
        let result = try await connection.run(
            PostgresQuery(findRunning, [.id(environmentID), .bits(variantID.bits)]))
        return try VariantMigrationRow.all(result).first?.migration
    }

    private static let findRunning = VariantMigrationRow.select(
        where: "t.environment_id = $1 and t.variant_id = $2 and t.finished_at is null")

    /// Inserts a job.
    ///
    /// - Returns: The job with the number of its subscriptions. It is nil when there are many, which are then counted in the
    ///   background.
    package static func insert(
        _ new: VariantMigration, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> VariantMigration {
        var migration = new
        let found = try await count(
            migration, environmentID: environmentID, upTo: countedAtOnce + 1, on: connection)
        migration.total = found > countedAtOnce ? nil : found
        _ = try await connection.run(
            PostgresQuery(
                """
                insert into variant_migrations (environment_id, migration_id, variant_id, to_variant_id, to_version,
                    effective, proration, total, created_at)
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                """,
                [
                    .id(environmentID), .bits(migration.id.bits), .bits(migration.variantID.bits),
                    .bits(migration.target.id.bits), .int32(migration.target.version),
                    .text(migration.timing.rawValue), .text(migration.proration.rawValue),
                    .optional(migration.total), .instant(migration.createdAt),
                ]))
        return migration
    }

    private static func count(
        _ migration: VariantMigration, environmentID: EnvironmentID, upTo limit: Int64,
        on connection: PostgresConnection
    ) async throws -> Int64 {
        let result = try await connection.run(
            PostgresQuery(
                countStatement, variants(migration.variantID, migration.target, environmentID) + [.int64(limit)]))
        guard let row = result.first else { throw StorageError.missingRow("the number of subscriptions") }
        return try row.int64(0)
    }

    static let countStatement: PostgresStatement = """
        select count(*) from (
            select from subscriptions s
            where s.environment_id = $1 and s.variant_id = $2 and s.ended_at is null
                and ($2 <> $3 or s.variant_version < $4)
            limit $5) as found
        """

    /// The first four parameters of the statements that find the subscriptions of a job.
    private static func variants(
        _ variantID: PublicID, _ target: VariantReference, _ environmentID: EnvironmentID
    ) -> [PostgresValue] {
        [.id(environmentID), .bits(variantID.bits), .bits(target.id.bits), .int32(target.version)]
    }

    // MARK: - Reading

    package static func find(
        _ id: PublicID, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> VariantMigration? {
        let result = try await connection.run(PostgresQuery(findStatement, [.id(environmentID), .bits(id.bits)]))
        return try VariantMigrationRow.all(result).first?.migration
    }

    private static let findStatement = VariantMigrationRow.select(
        where: "t.environment_id = $1 and t.migration_id = $2")

    /// The live subscriptions that a job would find, counted by version and status as they were last written. It costs a
    /// walk over all live subscriptions of the variant.
    package static func inUse(
        _ variantID: PublicID, movingTo target: VariantReference, environmentID: EnvironmentID,
        on connection: PostgresConnection
    ) async throws -> [SubscriptionsInUse] {
        let result = try await connection.run(
            PostgresQuery(inUseStatement, variants(variantID, target, environmentID)))
        return try result.map { row in
            var fields = RowFields(row)
            return SubscriptionsInUse(
                version: try fields.int32(), status: try fields.parsed("status") { SubscriptionStatus(rawValue: $0) },
                count: try fields.int64())
        }
    }

    static let inUseStatement: PostgresStatement = """
        select s.variant_version, s.status, count(*)
        from subscriptions s
        where s.environment_id = $1 and s.variant_id = $2 and s.ended_at is null
            and ($2 <> $3 or s.variant_version < $4)
        group by s.variant_version, s.status
        """

    // MARK: - Working

    /// "quotamig" as a number: the advisory lock of the process that works on the jobs.
    static let lockNumber: Int64 = 0x7175_6F74_616D_6967

    /// Tries to become the process that works on the jobs, which the session stays as long as it lasts.
    package static func tryToLead(on connection: PostgresConnection) async throws -> Bool {
        let result = try await connection.run(
            PostgresQuery("select pg_try_advisory_lock($1)", [.int64(lockNumber)]))
        guard let row = result.first else { throw StorageError.missingRow("a lock") }
        return try row.bool(0)
    }

    /// The job whose turn it is in the next environment; nil behind the last environment. Costs one look into an index.
    ///
    /// - Parameter environment: The environment that had its turn last; nil begins with the first one.
    package static func next(
        after environment: EnvironmentID?, on connection: PostgresConnection
    ) async throws -> VariantMigrationRow? {
        let result = try await connection.run(PostgresQuery(findNext, [.int32(environment?.rawValue ?? .min)]))
        return try VariantMigrationRow.all(result).first
    }

    static let findNext = VariantMigrationRow.select(
        where: "t.environment_id > $1 and t.finished_at is null order by t.environment_id, t.turn_at limit 1")

    /// Counts the subscriptions of a job, unless they are counted.
    package static func count(_ job: VariantMigrationRow, on connection: PostgresConnection) async throws {
        guard job.migration.total == nil else { return }
        let total = try await count(
            job.migration, environmentID: job.environmentID, upTo: .max, on: connection)
        _ = try await connection.run(
            PostgresQuery(
                "update variant_migrations set total = $3 where environment_id = $1 and migration_id = $2",
                key(job) + [.int64(total)]))
    }

    /// The subscriptions whose commands are to be sent next: those of the stored page, or else the next ones, which are
    /// stored as the page.
    ///
    /// - Returns: Empty when the job has moved all.
    package static func nextPage(
        of job: VariantMigrationRow, upTo limit: Int = subscriptionsPerPage, on connection: PostgresConnection
    ) async throws -> [SubscriptionPlace] {
        guard job.page.isEmpty else { return job.page }
        let found = try await connection.run(
            PostgresQuery(
                findPage,
                variants(job.migration.variantID, job.migration.target, job.environmentID) + [
                    .int64(job.after?.accountID.rawValue ?? 0), .int32(job.after?.number ?? 0), .int64(Int64(limit)),
                ]))
        let page = try found.map { row in
            var fields = RowFields(row)
            return SubscriptionPlace(accountID: try fields.accountID(), number: try fields.int32())
        }
        guard !page.isEmpty else { return [] }
        _ = try await connection.run(
            PostgresQuery(
                """
                update variant_migrations set page_accounts = $3, page_numbers = $4
                where environment_id = $1 and migration_id = $2
                """,
                key(job) + [.int64s(page.map(\.accountID.rawValue)), .int32s(page.map(\.number))]))
        return page
    }

    static let findPage: PostgresStatement = """
        select s.account_id, s.number
        from subscriptions s
        where s.environment_id = $1 and s.variant_id = $2 and s.ended_at is null
            and ($2 <> $3 or s.variant_version < $4) and (s.account_id, s.number) > ($5, $6)
        order by s.account_id, s.number
        limit $7
        """

    /// The subscriptions with the present ids of their end users, of which an erasure changes one.
    package static func endUsers(
        of places: [SubscriptionPlace], environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> [MigratingSubscription] {
        let result = try await connection.run(
            PostgresQuery(
                """
                select p.account_id, p.number, a.end_user_id
                from unnest($2::bigint[], $3::integer[]) as p (account_id, number)
                join accounts a on a.environment_id = $1 and a.account_id = p.account_id
                """,
                [.id(environmentID), .int64s(places.map(\.accountID.rawValue)), .int32s(places.map(\.number))]))
        return try result.map { row in
            var fields = RowFields(row)
            let place = SubscriptionPlace(accountID: try fields.accountID(), number: try fields.int32())
            return MigratingSubscription(place: place, endUserID: try fields.endUserID())
        }
    }

    /// Stores the outcomes of a page. The job's other turns come after those of the environment's other jobs.
    package static func finishPage(
        _ page: [SubscriptionPlace], of job: VariantMigrationRow, _ outcomes: VariantMigration.Progress,
        on connection: PostgresConnection
    ) async throws {
        guard let last = page.max() else { return }
        _ = try await connection.run(
            PostgresQuery(
                """
                update variant_migrations
                set moved = moved + $3, skipped = skipped + $4, failed = failed + $5, after_account = $6,
                    after_number = $7, page_accounts = '{}', page_numbers = '{}', turn_at = clock_timestamp()
                where environment_id = $1 and migration_id = $2
                """,
                key(job) + [
                    .int64(outcomes.moved), .int64(outcomes.skipped), .int64(outcomes.failed),
                    .id(last.accountID), .int32(last.number),
                ]))
    }

    /// Ends a job. Subscriptions that ended before their turn are not counted any more.
    package static func finish(_ job: VariantMigrationRow, on connection: PostgresConnection) async throws {
        _ = try await connection.run(
            PostgresQuery(
                """
                update variant_migrations set finished_at = clock_timestamp(), total = moved + skipped + failed
                where environment_id = $1 and migration_id = $2
                """, key(job)))
    }

    /// Gives a job whose page failed its next turn after the others of its environment.
    package static func postpone(_ job: VariantMigrationRow, on connection: PostgresConnection) async throws {
        _ = try await connection.run(
            PostgresQuery(
                """
                update variant_migrations set turn_at = clock_timestamp()
                where environment_id = $1 and migration_id = $2
                """, key(job)))
    }

    private static func key(_ job: VariantMigrationRow) -> [PostgresValue] {
        [.id(job.environmentID), .bits(job.migration.id.bits)]
    }
}

extension VariantStore {
    /// Some versions of a variant.
    package static func versions(
        _ numbers: [Int32], of variantID: PublicID, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> [PlanVariant] {
        let result = try await connection.run(
            PostgresQuery(versionsStatement, [.id(environmentID), .bits(variantID.bits), .int32s(numbers)]))
        return try VariantRow.all(result).map(\.item)
    }

    private static let versionsStatement = VariantRow.select(
        where: "t.environment_id = $1 and t.variant_id = $2 and t.version = any($3::integer[])")
}
