import HandleThread

/// An error of the PostgreSQL driver or the server.
///
/// The description never contains bound values or passwords. Of a server's message it shows only the primary line, and
/// not even that for the class of errors in which PostgreSQL quotes the offending value.
package struct PostgresError: Error, CustomStringConvertible, Sendable {
    package enum Kind: Sendable, Equatable {
        /// The connection could not be made or was lost. `outcomeUnknown` is true when the request had been sent: it
        /// may have been carried out or not, and only the data can tell.
        case connection(message: String, outcomeUnknown: Bool)
        /// The server refused the request. `message` is its primary message, which may quote a value. `description`
        /// leaves such a message out.
        case server(sqlState: String, message: String, constraint: String?, table: String?)
        /// The deadline of the request passed. If the request had been sent, the connection is closed as well.
        case timeout(outcomeUnknown: Bool)
        /// The connection or the pool was closed by its user before the request was sent.
        case closed
        /// The caller has waited in vain for a connection of the pool.
        case poolExhausted
        /// As many callers of the same owner wait for a connection of the pool as may wait.
        case lineFull
        /// The received bytes do not have the expected form.
        case decoding(String)
        /// The driver cannot carry out the request: a bad URL, too many parameters, a call out of order. Such a request
        /// never left the process, except for an unsupported COPY statement, which also closes the connection.
        case invalidRequest(String)
    }

    package let kind: Kind

    /// The index of the failed query in the array given to `run`; nil when the error belongs to no single query.
    package let queryIndex: Int?

    package init(_ kind: Kind, queryIndex: Int? = nil) {
        self.kind = kind
        self.queryIndex = queryIndex
    }

    /// The failure of a connection for which the system has no descriptor or no thread. Nothing was sent.
    init(_ error: HandleThreadError) {
        self.init(.connection(message: error.description, outcomeUnknown: false))
    }

    /// The server's error code, five characters; nil for an error that the server did not report.
    package var sqlState: String? {
        if case .server(let sqlState, _, _, _) = kind { sqlState } else { nil }
    }

    /// The name of the violated constraint.
    package var constraint: String? {
        if case .server(_, _, let constraint, _) = kind { constraint } else { nil }
    }

    /// True when the request may have been carried out although it failed. Check the data before repeating it.
    package var outcomeIsUnknown: Bool {
        switch kind {
        case .connection(_, let unknown), .timeout(let unknown): unknown
        case .server, .closed, .poolExhausted, .lineFull, .decoding, .invalidRequest: false
        }
    }

    /// The SQLSTATE of a write that a standby, a server without writes, or a read-only transaction refuses.
    static let readOnly = "25006"

    /// Whether the server, or the transaction, takes no writes. A standby that a client has reached by mistake says this.
    package var isReadOnly: Bool { sqlState == Self.readOnly }

    /// The state of the server that an error shows.
    package enum Condition: Sendable {
        /// The server cannot be reached, or refuses connections.
        case away
        /// The server is there, but the statement ran into its time limit or found no room.
        case busy
        /// The request itself failed.
        case answering
    }

    /// The state of the server that the error shows. A request whose answer did not come at all counts as `away`.
    package var condition: Condition {
        switch kind {
        case .connection, .timeout, .closed: .away
        case .poolExhausted, .lineFull: .busy
        case .decoding, .invalidRequest: .answering
        case .server(let sqlState, _, _, _):
            // 57014 is a statement's time limit, 55P03 a lock's; class 53 is a lack of memory, disk space or
            // connections; 57P01 to 57P05 end sessions.
            if sqlState == "57014" || sqlState == "55P03" || sqlState.hasPrefix("53") {
                .busy
            } else if sqlState.hasPrefix("57P") || sqlState.hasPrefix("08") || sqlState == Self.readOnly {
                .away
            } else {
                .answering
            }
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
            text += Self.quotesValues(sqlState, message) ? "invalid data" : message
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
            return "No connection of the PostgreSQL pool became free in time."
        case .lineFull:
            return "Too many callers wait for a connection of the PostgreSQL pool."
        case .decoding(let message):
            return "The data received from PostgreSQL cannot be decoded: \(message)"
        case .invalidRequest(let message):
            return message
        }
    }

    /// Messages of class 22 (data exceptions) quote the value: `invalid input syntax … "4711"`. The one about a snapshot
    /// quotes its identifier, which is no data, and says that the snapshot belongs to another server.
    private static func quotesValues(_ sqlState: String, _ message: String) -> Bool {
        sqlState.hasPrefix("22") && !(sqlState == "22023" && message.hasPrefix("invalid snapshot identifier"))
    }
}
