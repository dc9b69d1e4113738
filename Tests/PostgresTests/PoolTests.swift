import Postgres
import Testing

@Suite("The pool", .timeLimit(.minutes(5)))
struct PoolTests {
    private func withPool(
        size: Int, _ body: @Sendable (PostgresPool) async throws -> Void
    ) async throws {
        let pool = PostgresPool(configuration: try testConfiguration(), size: size, longSize: size)
        let result: Result<Void, any Error>
        do {
            result = .success(try await body(pool))
        } catch {
            result = .failure(error)
        }
        await pool.close()
        try result.get()
    }

    private func backend(_ connection: PostgresConnection) async throws -> Int64 {
        try await connection.integer("SELECT pg_backend_pid()")
    }

    @Test("The pool lends as many connections as its size at most, and every task is served")
    func bound() async throws {
        try await withPool(size: 3) { pool in
            let counts = Shared((now: 0, most: 0, served: 0))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<60 {
                    group.addTask {
                        try await pool.withConnection { connection in
                            counts.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1), $0.served + 1) }
                            _ = try await connection.integer("SELECT 1")
                            counts.withLock { $0.now -= 1 }
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(counts.withLock { $0.served } == 60)
            #expect((1...3).contains(counts.withLock { $0.most }))
            #expect((1...3).contains(pool.statistics.open))
            #expect(pool.statistics.idle == pool.statistics.open)
        }
    }

    @Test("Waiting tasks are served in the order of arrival")
    func firstComeFirstServed() async throws {
        try await withPool(size: 1) { pool in
            let order = Shared<[Int]>([])
            let tasks = try await pool.withConnection { _ in
                var tasks: [Task<Void, any Error>] = []
                for number in 0..<5 {
                    tasks.append(
                        Task { try await pool.withConnection { _ in order.withLock { $0.append(number) } } })
                    try await eventually { pool.statistics.waiting == number + 1 }
                }
                return tasks
            }
            for task in tasks { try await task.value }
            #expect(order.withLock { $0 } == [0, 1, 2, 3, 4])
        }
    }

    @Test("A task that waits longer than the limit gets the error that the pool is exhausted")
    func waitLimit() async throws {
        try await withPool(size: 1) { pool in
            try await pool.withConnection { _ in
                let hasty = PoolClaim(
                    owner: 1, isLong: false,
                    share: PoolShare(
                        atOnce: 1, longAtOnce: 1, waiting: 1, patience: .milliseconds(50), longPatience: .zero))
                let error = try await postgresError { try await pool.withConnection(hasty) { _ in } }
                #expect(error.kind == .poolExhausted)
                #expect(pool.statistics.waiting == 0)
            }
            try await pool.withConnection { _ in }
        }
    }

    @Test("A task that finds as many waiting as may wait is refused at once, and its owner's limits bind no other")
    func full() async throws {
        try await withPool(size: 2) { pool in
            let share = PoolShare(
                atOnce: 1, longAtOnce: 1, waiting: 1, patience: .seconds(30), longPatience: .seconds(30))
            let (greedy, modest) = (
                PoolClaim(owner: 1, isLong: false, share: share), PoolClaim(owner: 2, isLong: false, share: share)
            )
            let waiting = try await pool.withConnection(greedy) { _ in
                let waiting = Task { try await pool.withConnection(greedy) { _ in } }
                try await eventually { pool.statistics.waiting == 1 }
                let error = try await postgresError { try await pool.withConnection(greedy) { _ in } }
                #expect(error.kind == .lineFull)
                #expect(try await pool.withConnection(modest) { try await $0.integer("SELECT 7") } == 7)
                return waiting
            }
            try await waiting.value
        }
    }

    @Test("A waiting task that is cancelled leaves the queue")
    func cancellation() async throws {
        try await withPool(size: 1) { pool in
            try await pool.withConnection { _ in
                let waiting = Task { try await pool.withConnection { _ in } }
                try await eventually { pool.statistics.waiting == 1 }
                waiting.cancel()
                await #expect(throws: CancellationError.self) { try await waiting.value }
                #expect(pool.statistics.waiting == 0)
            }
            let late = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                try await pool.withConnection { _ in }
            }
            await #expect(throws: CancellationError.self) { try await late.value }
        }
    }

    @Test("A transaction that was left open is rolled back before the connection is lent again")
    func rollsBack() async throws {
        struct Refused: Error {}
        try await withPool(size: 1) { pool in
            let first = try await pool.withConnection { connection in
                try await connection.script("CREATE TEMP TABLE t (n bigint)")
                return try await backend(connection)
            }
            await #expect(throws: Refused.self) {
                try await pool.withConnection { connection in
                    _ = try await connection.run([PostgresQuery("BEGIN"), PostgresQuery("INSERT INTO t VALUES (1)")])
                    throw Refused()
                }
            }
            // The same holds for a transaction that has failed already.
            await #expect(throws: PostgresError.self) {
                try await pool.withConnection { connection in
                    _ = try await connection.run([PostgresQuery("BEGIN"), PostgresQuery("SELECT 1/0")])
                }
            }
            let (again, count) = try await pool.withConnection { connection in
                (try await backend(connection), try await connection.integer("SELECT count(*) FROM t"))
            }
            #expect(again == first)
            #expect(count == 0)
        }
    }

    @Test("A connection that was killed while idle or lent is replaced")
    func replacesLostConnections() async throws {
        try await withPool(size: 1) { pool in
            let first = try await pool.withConnection { try await backend($0) }
            try await withConnection { other in
                _ = try await other.integer("SELECT pg_terminate_backend($1::int)::int", [.int64(first)])
            }
            // The pool may learn of the loss only with the first request. Then that request fails and the next one is
            // served.
            let second = Shared<Int64>(first)
            try await eventually {
                guard let found = try? await pool.withConnection({ try await backend($0) }) else { return false }
                second.withLock { $0 = found }
                return true
            }
            #expect(second.withLock { $0 } != first)
            let error = try await postgresError {
                try await pool.withConnection { connection in
                    _ = try await connection.run(
                        PostgresQuery("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(60)"))
                }
            }
            #expect(error.isConnectionLoss)
            let third = try await pool.withConnection { try await backend($0) }
            #expect(third != second.withLock { $0 })
            #expect(pool.statistics.open == 1)
        }
    }

    @Test("A server that cannot be reached is reported as such each time, and takes no place in the pool")
    func unreachable() async throws {
        let configuration = try PostgresConfiguration(url: "postgres://anna@127.0.0.1:1/db")
        let pool = PostgresPool(configuration: configuration, size: 1, longSize: 1)
        for _ in 0..<3 {
            let error = try await postgresError { try await pool.withConnection { _ in } }
            #expect(error.isConnectionLoss)
        }
        #expect(pool.statistics.open == 0)
        await pool.close()
    }

    @Test("Closing waits for lent connections, fails waiting tasks and refuses new ones")
    func closing() async throws {
        let pool = PostgresPool(configuration: try testConfiguration(), size: 1, longSize: 1)
        let (closing, waiting) = try await pool.withConnection { connection in
            let waiting = Task { try await pool.withConnection { _ in } }
            try await eventually { pool.statistics.waiting == 1 }
            let closing = Task { await pool.close() }
            let error = try await postgresError { try await waiting.value }
            #expect(error.kind == .closed)
            #expect(try await connection.integer("SELECT 1") == 1)
            return (closing, waiting)
        }
        _ = waiting
        await closing.value
        #expect(pool.statistics.open == 0)
        let error = try await postgresError { try await pool.withConnection { _ in } }
        #expect(error.kind == .closed)
    }
}
