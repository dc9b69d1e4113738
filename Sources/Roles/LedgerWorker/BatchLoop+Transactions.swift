import CoreMetrics
import Logging
import Postgres
import Runtime
import Storage

/// The loop was told to stop while it waited for the database.
struct LoopClosed: Error {}

extension BatchLoop {
    /// Runs a transaction until it has an outcome.
    ///
    /// It is run again, for as long as it takes, after a lost connection, a lost race or a deadlock, and while the server
    /// lacks resources or is stopped by its operators: the commands are in the queue and nowhere else, and none of that
    /// is their fault. Running it again is safe, since it looks its commands up first.
    ///
    /// - Throws: `LoopClosed`, or what the server has against the transaction itself.
    func repeating<Value: Sendable>(
        _ transaction: (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        var attempt = 0
        while true {
            let connection = try await connected()
            do {
                return try await transaction(connection)
            } catch let error as PostgresError {
                await rollBack(connection)
                guard error.isNoFaultOfTheTransaction else { throw error }
                metrics.repeatedTransactions.increment()
                attempt += 1
                if !error.isRace { logger.warning("a transaction failed and is run again: \(error)") }
                let wait = error.isRace ? Int.random(in: 0...min(50, 5 * attempt)) : 100
                guard await pause(.milliseconds(wait)) else { throw LoopClosed() }
            } catch {
                await rollBack(connection)
                throw error
            }
        }
    }

    /// Waits a little.
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
            connection.close()
            self.connection = nil
        }
    }

    /// The connection, made anew if need be, tried every half second until it is there or the loop closes.
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
    /// Another transaction was quicker: a deadlock, a serialization failure, or the same idempotency key or payment
    /// elsewhere.
    fileprivate var isRace: Bool {
        isSerializationFailure || constraint == "commands_pkey" || constraint == "payments_pkey"
    }

    /// Whether the same transaction may go well the next time: everything but the server's verdict on its contents.
    /// Classes 08, 53, 57 and 58 are connections, resources, operators and the system beneath; 25P03 is a worker that was
    /// away for too long.
    fileprivate var isNoFaultOfTheTransaction: Bool {
        guard let sqlState else {
            if case .decoding = kind { return false }
            if case .invalidRequest = kind { return false }
            return true
        }
        return isRace || sqlState == "25P03" || ["08", "53", "57", "58"].contains(sqlState.prefix(2))
    }
}
