import CPostgres
import Logging

/// A server's error, copied from its result before the result is freed.
struct ServerError {
    let error: PostgresError
    /// Whether the server ends the connection after this error.
    let isFatal: Bool
    /// Whether the prepared statement is gone or no longer fits its tables, so that it must be prepared again.
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
        // libpq itself creates results without a code when the connection is gone.
        isFatal = sqlState == nil || severity == "FATAL" || severity == "PANIC"
        invalidatesStatement = sqlState == "26000" || function == "RevalidateCachedQuery"
    }

    /// The server's reason for the end of the connection; nil when the server gave none.
    var farewell: String? {
        guard let sqlState = error.sqlState, !sqlState.isEmpty, case .server(_, let message, _, _) = error.kind else {
            return nil
        }
        return "\(message) (SQLSTATE \(sqlState))"
    }
}

/// Writes libpq's notices to the log. The connection keeps an unretained pointer to this object, so the object must
/// outlive the connection.
final class NoticeLog {
    private let logger: Logger?

    init(_ logger: Logger?) {
        self.logger = logger
    }

    /// Registers with libpq, which would otherwise write notices to standard error.
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
