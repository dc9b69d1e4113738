/// What went wrong between this process and PostgreSQL.
///
/// Bound values and passwords are never part of the description: of a server's message only the primary line is kept,
/// and even that is withheld for the classes of errors in which PostgreSQL quotes the offending value.
package struct PostgresError: Error, CustomStringConvertible, Sendable {
    package enum Kind: Sendable, Equatable {
        /// The connection could not be made or was lost. `outcomeUnknown` is true when the request had been sent:
        /// it may have been carried out or not, and only a look at the data can tell.
        case connection(message: String, outcomeUnknown: Bool)
        /// The server refused the request. `message` is its primary message, which may quote a value; `description`
        /// does not.
        case server(sqlState: String, message: String, constraint: String?, table: String?)
        /// The deadline of the request passed. When it had been sent the connection is closed with it.
        case timeout(outcomeUnknown: Bool)
        /// The connection or the pool was closed by its user before the request was sent.
        case closed
        /// No connection of the pool became free within the wait limit.
        case poolExhausted
        /// The bytes received are not of the form that was asked for.
        case decoding(String)
        /// The request could not be sent as it stands (a bad URL, too many parameters); it never left the process.
        case invalidRequest(String)
    }

    package let kind: Kind

    /// The position in the array given to `run` of the query that failed, where the server said so.
    package let queryIndex: Int?

    package init(_ kind: Kind, queryIndex: Int? = nil) {
        self.kind = kind
        self.queryIndex = queryIndex
    }

    /// The five characters of the server's error code.
    package var sqlState: String? {
        if case .server(let sqlState, _, _, _) = kind { sqlState } else { nil }
    }

    /// The name of the violated constraint.
    package var constraint: String? {
        if case .server(_, _, let constraint, _) = kind { constraint } else { nil }
    }

    /// True when the request may have been carried out although it failed: never repeat it blindly.
    package var outcomeIsUnknown: Bool {
        switch kind {
        case .connection(_, let unknown), .timeout(let unknown): unknown
        case .server, .closed, .poolExhausted, .decoding, .invalidRequest: false
        }
    }

    /// True for serialization failures and deadlocks: the whole transaction may be repeated.
    package var isSerializationFailure: Bool {
        sqlState == "40001" || sqlState == "40P01"
    }

    package var description: String {
        let place = queryIndex.map { " (query \($0))" } ?? ""
        switch kind {
        case .connection(let message, let outcomeUnknown):
            return "The connection to PostgreSQL failed: \(message)"
                + (outcomeUnknown ? "; whether the request was carried out is unknown" : "")
        case .server(let sqlState, let message, let constraint, let table):
            var text = "PostgreSQL refused the request\(place): "
            text += Self.quotesValues(sqlState) ? "invalid data" : message
            text += " (SQLSTATE \(sqlState)"
            if let constraint { text += ", constraint \(constraint)" }
            if let table { text += ", table \(table)" }
            return text + ")"
        case .timeout(let outcomeUnknown):
            return "PostgreSQL did not answer in time"
                + (outcomeUnknown ? "; whether the request was carried out is unknown" : "; the request was not sent")
        case .closed:
            return "The connection to PostgreSQL was closed before the request was sent."
        case .poolExhausted:
            return "No PostgreSQL connection became free in time."
        case .decoding(let message):
            return "The data received from PostgreSQL cannot be decoded: \(message)"
        case .invalidRequest(let message):
            return message
        }
    }

    /// Class 22 (data exceptions) puts the value itself into the primary message: `invalid input syntax … "4711"`.
    private static func quotesValues(_ sqlState: String) -> Bool {
        sqlState.hasPrefix("22")
    }
}
