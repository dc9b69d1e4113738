package import Postgres

/// The ledger workers that are alive. The shards are divided among them.
///
/// A worker is alive while its session holds the advisory lock of its number, which ends with its process, and while it
/// was seen within the last 10 seconds, which it is not when it is frozen.
package enum WorkerRegistry {
    /// "qs" as a number: the first half of every worker's advisory lock.
    private static let lockClass: Int32 = 0x7173

    /// The settings of a registry session. A commit need not wait for the disk, because a membership that is lost in a
    /// crash of the server is made again.
    package static let sessionSettings = "set synchronous_commit = off"

    /// A ledger worker that is alive.
    package struct Member: Hashable, Sendable {
        package let number: Int32
        /// The newest revision of the message format that the worker reads.
        package let revision: Int32

        package init(number: Int32, revision: Int32) {
            self.number = number
            self.revision = revision
        }
    }

    /// Registers this process as a member, for as long as the session lasts.
    ///
    /// - Parameter revision: The newest revision of the message format that the worker reads.
    /// - Returns: Its number, which is higher than that of every earlier member.
    package static func register(revision: Int32, on connection: PostgresConnection) async throws -> Int32 {
        let result = try await connection.run([
            PostgresQuery("delete from ledger_workers where seen_at < clock_timestamp() - interval '1 hour'"),
            PostgresQuery(
                """
                with worker as (insert into ledger_workers (revision) values ($2) returning worker_number)
                select worker_number, pg_try_advisory_lock($1, worker_number) from worker
                """, [.int32(lockClass), .int32(revision)]),
        ])
        guard let row = result.last?.first else { throw StorageError.missingRow("the number of a ledger worker") }
        return try row.int32(0)
    }

    /// Records that a member is still at work.
    ///
    /// - Returns: All members that are alive, by their numbers. This one is missing when it no longer counts as alive.
    package static func beat(_ number: Int32, on connection: PostgresConnection) async throws -> [Member] {
        let results = try await connection.run([
            PostgresQuery(
                "update ledger_workers set seen_at = clock_timestamp() where worker_number = $1", [.int32(number)]),
            PostgresQuery(
                """
                select w.worker_number, w.revision
                from ledger_workers w
                join pg_locks l on l.locktype = 'advisory' and l.classid = $1::integer::oid
                    and l.objid = w.worker_number::oid and l.objsubid = 2 and l.granted
                    and l.database = (select oid from pg_database where datname = current_database())
                where w.seen_at > clock_timestamp() - interval '10 seconds'
                order by w.worker_number
                """, [.int32(lockClass)]),
        ])
        return try results[1].map { Member(number: try $0.int32(0), revision: try $0.int32(1)) }
    }

    /// Removes a member, so that the others need not wait until its absence is noticed.
    package static func leave(_ number: Int32, on connection: PostgresConnection) async throws {
        _ = try await connection.run(
            PostgresQuery("delete from ledger_workers where worker_number = $1", [.int32(number)]))
    }
}
