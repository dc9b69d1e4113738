import CPostgres
import Logging

/// What the server said about a failure, read before the result is freed.
struct ServerError {
    let error: PostgresError
    /// The server ends the connection after a message of this severity.
    let isFatal: Bool
    /// The remembered statement is gone or no longer fits its tables, so it has to be prepared again.
    let invalidatesStatement: Bool

    init(_ result: OpaquePointer, queryIndex: Int?) {
        let sqlState = quotastack_error_sqlstate(result).map { String(cString: $0) }
        let message = quotastack_error_message(result).map { String(cString: $0) } ?? ""
        let severity = quotastack_error_severity(result).map { String(cString: $0) }
        let function = quotastack_error_function(result).map { String(cString: $0) }
        error = PostgresError(
            .server(
                sqlState: sqlState ?? "", message: message,
                constraint: quotastack_error_constraint(result).map { String(cString: $0) },
                table: quotastack_error_table(result).map { String(cString: $0) }),
            queryIndex: queryIndex)
        // libpq makes up results without a code when the connection is gone.
        isFatal = sqlState == nil || severity == "FATAL" || severity == "PANIC"
        invalidatesStatement = sqlState == "26000" || function == "RevalidateCachedQuery"
    }

    /// Why the connection ended, in the server's words if it had any.
    var farewell: String? {
        guard let sqlState = error.sqlState, !sqlState.isEmpty, case .server(_, let message, _, _) = error.kind else {
            return nil
        }
        return "\(message) (SQLSTATE \(sqlState))"
    }
}

/// Where libpq's notices go. The connection keeps an unretained pointer to it, so its owner outlives the connection.
final class NoticeLog {
    private let logger: Logger?

    init(_ logger: Logger?) {
        self.logger = logger
    }

    /// Without a receiver libpq would write to the standard error stream.
    func receive(from connection: OpaquePointer) {
        PQsetNoticeReceiver(
            connection,
            { argument, result in
                guard let argument, let result else { return }
                let log = Unmanaged<NoticeLog>.fromOpaque(argument).takeUnretainedValue()
                guard let logger = log.logger, logger.logLevel <= .debug else { return }
                logger.debug(
                    "PostgreSQL notice",
                    metadata: [
                        "message": "\(quotastack_error_message(result).map { String(cString: $0) } ?? "")",
                        "sqlstate": "\(quotastack_error_sqlstate(result).map { String(cString: $0) } ?? "")",
                    ])
            }, Unmanaged.passUnretained(self).toOpaque())
    }
}
