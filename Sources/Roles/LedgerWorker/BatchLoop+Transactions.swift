import CoreMetrics
import Logging
import Postgres
import Runtime
import Storage

/// The loop was told to stop while it waited for the database.
struct LoopClosed: Error {}

/// The worker took so long between reading and writing that the server has ended the transaction.
struct TransactionTimedOut: Error, CustomStringConvertible {
    let error: PostgresError

    var description: String { "the transaction took too long: \(error)" }
}

extension BatchLoop {
    /// Runs a transaction, again and again, until it succeeds or the server rejects its contents.
    ///
    /// It runs again without limit after a lost connection, a lost race or a deadlock, and while the server lacks
    /// resources or is being stopped: the commands exist only in their queue, and they do not cause these errors. A
    /// repetition is safe, because the transaction looks its commands up before it decides them.
    ///
    /// After a failure that is no race, the transactions of the batch run on the event loops, with the priority of all other
    /// commands.
    ///
    /// - Parameter attempts: How often the transaction may be ended because it takes too long. Its commands can be the
    ///   cause of that, or a frozen worker.
    /// - Throws: `LoopClosed`, the server's error about the transaction itself, or the last error about its time.
    func repeating<Value: Sendable>(
        attempts: Int = .max, _ transaction: (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        var attempt = 0
        var timeouts = 0
        while true {
            let connection = try await connected()
            do {
                // On a busy machine, a thread for long work may be too slow for the server's limits.
                return try await withTaskExecutorPreference(hurries ? EventLoopTasks.shared : nil) {
                    try await transaction(connection)
                }
            } catch let error as PostgresError {
                if !error.isRace { hurries = true }
                if error.isReadOnly { drop(connection) } else { await rollBack(connection) }
                guard error.isNoFaultOfTheTransaction || error.isTimeout else { throw error }
                if error.isTimeout {
                    timeouts += 1
                    guard timeouts < attempts else { throw error }
                }
                metrics.repeatedTransactions.increment()
                attempt += 1
                if !error.isRace { logger.warning("a transaction failed and is run again: \(error)") }
                let wait = error.isRace ? Int.random(in: 0...min(50, 5 * attempt)) : 100
                guard await pause(.milliseconds(wait)) else { throw LoopClosed() }
            } catch let error as TransactionTimedOut {
                hurries = true
                await rollBack(connection)
                timeouts += 1
                guard timeouts < attempts else { throw error }
                metrics.repeatedTransactions.increment()
                logger.warning("a transaction is run again: \(error)")
            } catch {
                await rollBack(connection)
                throw error
            }
        }
    }

    /// Waits for a time.
    ///
    /// - Returns: False when the loop was closed or its task cancelled.
    func pause(_ duration: Duration) async -> Bool {
        do {
            try await Task.sleep(for: duration)
        } catch {
            return false
        }
        return !inbox.isClosed
    }

    private func rollBack(_ connection: PostgresConnection) async {
        do {
            _ = try await connection.run(PostgresQuery("rollback"))
        } catch {
            drop(connection)
        }
    }

    private func drop(_ connection: PostgresConnection) {
        connection.close()
        self.connection = nil
    }

    /// Returns the lane's connection. Opens a new one when there is no usable one, and tries every 500 ms until the
    /// loop is closed.
    private func connected() async throws -> PostgresConnection {
        if let connection, connection.isUsable { return connection }
        let retry = Retry(
            pause: .milliseconds(500), logger: logger, level: .error,
            failure: "PostgreSQL cannot be reached; commands wait in the queue")
        do {
            let fresh = try await retry.untilSuccess(mayRepeat: pause) {
                let fresh = try await PostgresConnection.connect(database, logger: logger)
                try await fresh.script(LedgerStore.sessionSettings)
                return fresh
            }
            connection = fresh
            return fresh
        } catch {
            throw LoopClosed()
        }
    }
}

extension PostgresError {
    /// Whether another transaction came first: a deadlock, a serialization failure, or a row of the same command or
    /// payment that another transaction has inserted.
    fileprivate var isRace: Bool {
        isSerializationFailure || constraint == "commands_pkey" || constraint == "payments_pkey"
    }

    /// Whether the server has ended the transaction or a statement because it took too long.
    fileprivate var isTimeout: Bool { sqlState == "25P03" || sqlState == "57014" }

    /// Whether the same transaction may succeed when it is repeated, for a reason that does not lie in its commands.
    /// SQLSTATE classes 08, 53, 57 and 58 are connection failures, missing resources, intervention of operators and
    /// system errors. A server that takes no writes was the primary a moment ago, or is about to become it. A lock is held by
    /// another transaction, such as one whose commit waits for a standby (55P03). An error without an SQLSTATE is a lost
    /// connection, apart from errors of decoding and of the request itself.
    fileprivate var isNoFaultOfTheTransaction: Bool {
        guard let sqlState else {
            if case .decoding = kind { return false }
            if case .invalidRequest = kind { return false }
            return true
        }
        if isRace || isReadOnly || sqlState == "55P03" { return true }
        return !isTimeout && ["08", "53", "57", "58"].contains(sqlState.prefix(2))
    }
}
