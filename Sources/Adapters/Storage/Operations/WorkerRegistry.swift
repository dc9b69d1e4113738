package import Postgres

/// The ledger workers that are alive, among whom the shards are divided.
///
/// A worker is alive while its session holds the lock of its number, which ends with its process, and while it has
/// been seen lately, which ends when it is frozen.
package enum WorkerRegistry {
    /// "qs" as a number: the first half of every worker's advisory lock.
    private static let lockClass: Int32 = 0x7173

    /// What a session of the registry needs. A membership that is lost with the server is made again; it need not wait
    /// for the disk.
    package static let sessionSettings = "set synchronous_commit = off"

    /// A ledger worker that is alive.
    package struct Member: Hashable, Sendable {
        package let number: Int32
        /// The newest revision of the message format that it reads.
        package let revision: Int32

        package init(number: Int32, revision: Int32) {
            self.number = number
            self.revision = revision
        }
    }

    /// Makes a member of the session's process.
    ///
    /// - Parameter revision: The newest revision of the message format that it reads.
    /// - Returns: Its number, higher than that of every member before.
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

    /// Says that a member is still at work.
    ///
    /// - Returns: All members by their numbers; without this one when it was given up.
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

    /// Takes a member out, so that the others need not wait to notice.
    package static func leave(_ number: Int32, on connection: PostgresConnection) async throws {
        _ = try await connection.run(
            PostgresQuery("delete from ledger_workers where worker_number = $1", [.int32(number)]))
    }
}
