import Credits
import Ledger
import Messaging
import Postgres
import Replica
import Runtime
import Storage
import TestDatabases
import Testing

@Suite("Replica")
struct ReplicaTests {
    @Test(
        "a replica holds every account as it was written: settings, counters, blocks and the jobs under way",
        arguments: 1...4)
    func follows(seed: UInt64) async throws {
        try await withDatabase { connection, configuration in
            var books = try await RandomBooks(try await Books(connection), seed: seed)
            for _ in 0..<25 { try await books.batch() }
            let replica = Replica(postgres: configuration, metrics: Metrics(), logger: quietLogger)
            let running = Task { try await replica.run() }
            let followed: Result<Void, any Error>
            do {
                // First what its snapshot brought, then what the log brings.
                try await expectSame(books, in: replica)
                for _ in 0..<30 {
                    try await books.batch()
                    try await expectSame(books, in: replica)
                }
                followed = .success(())
            } catch {
                followed = .failure(error)
            }
            running.cancel()
            _ = await running.result
            try await slotsAreGone(connection)
            try followed.get()
        }
    }

    /// A database cannot be dropped while the server has not noticed that nobody follows it any more.
    private func slotsAreGone(_ connection: PostgresConnection) async throws {
        for _ in 0..<600 {
            let slots = try await connection.texts(
                "select slot_name::text from pg_replication_slots where database = current_database()")
            if slots.isEmpty { return }
            try await connection.script("select pg_sleep(0.05)")
        }
    }

    private func expectSame(_ books: RandomBooks, in replica: Replica) async throws {
        for (name, known) in books.remembered {
            let account = known.account
            let isThere = await replica.reaches(
                .account(account.id, revision: account.revision), by: .now + .seconds(60))
            try #require(isThere)
            let held = try #require(replica.account(books.key(name)))
            let expected = Account(
                id: account.id, environmentID: account.environmentID, endUserID: name, version: account.version,
                revision: account.revision, balance: account.balance, reserved: account.reserved,
                overage: account.overage, lifetimeGranted: account.lifetimeGranted, blockCount: held.blockCount,
                lastHash: .zero, advancedTo: Instant(microseconds: .min), blocksInBurnOrder: account.blocks,
                reservationCount: account.reservationCount,
                reservations: account.reservations.map { $0.withoutMetadata }, settings: account.settings,
                counters: account.counters)
            #expect(held == expected)
        }
    }
}

extension Reservation {
    fileprivate var withoutMetadata: Reservation {
        Reservation(
            number: number, featureKey: featureKey, estimate: estimate, ruleID: ruleID, estimatedCost: estimatedCost,
            status: status, holds: holds, uncovered: uncovered, watermark: watermark, charged: charged,
            expiresAt: expiresAt, createdAt: createdAt, finishedAt: finishedAt, windows: windows, metadata: nil)
    }
}
