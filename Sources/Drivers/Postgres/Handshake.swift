import CPostgres
import HandleThread

/// Connects and logs in without blocking. It belongs to a handle's owner and stays on its thread.
struct Handshake {
    enum Progress {
        case underWay
        case done
        case failed(PostgresError)
    }

    /// Belongs to the caller of `init`, which must free it also after `advance` has failed.
    let connection: OpaquePointer
    let deadline: UInt64
    private(set) var wantsToWrite = true

    /// Looks up the server's name, which may block, and begins to connect. If it throws, no connection is left to free.
    init(_ configuration: PostgresConfiguration, replication: Bool) throws(PostgresError) {
        deadline = monotonicNanoseconds() + nanoseconds(configuration.connectLimit)
        let parameters = configuration.connectionParameters(replication: replication)
        guard let connection = startConnecting(parameters) else {
            throw PostgresError(.connection(message: "out of memory", outcomeUnknown: false))
        }
        guard PQstatus(connection) != CONNECTION_BAD else {
            let error = connectionError(connection)
            PQfinish(connection)
            throw error
        }
        self.connection = connection
    }

    /// Continues when the descriptor is ready or the deadline has passed.
    mutating func advance(readable: Bool, writable: Bool) -> Progress {
        if wantsToWrite ? writable : readable {
            switch PQconnectPoll(connection) {
            case PGRES_POLLING_OK: return .done
            case PGRES_POLLING_FAILED: return .failed(connectionError(connection))
            case PGRES_POLLING_READING: wantsToWrite = false
            default: wantsToWrite = true
            }
        }
        return monotonicNanoseconds() >= deadline ? .failed(PostgresError(.timeout(outcomeUnknown: false))) : .underWay
    }
}

/// libpq's message about a failed login. It names host, user and database, never the password. After the login libpq's
/// messages are not used, because they would quote earlier errors of the server with their details.
private func connectionError(_ connection: OpaquePointer) -> PostgresError {
    var message = String(cString: PQerrorMessage(connection))
    while message.last?.isNewline == true { message.removeLast() }
    return PostgresError(.connection(message: message, outcomeUnknown: false))
}

private func startConnecting(_ parameters: [(keyword: String, value: String)]) -> OpaquePointer? {
    withCStrings(parameters.map(\.keyword)) { keywords in
        withCStrings(parameters.map(\.value)) { values in
            PQconnectStartParams(keywords, values, 0)
        }
    }
}

/// Lends the strings as a null-terminated array of C strings.
private func withCStrings<Result>(
    _ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Result
) -> Result {
    var bytes: [CChar] = []
    var offsets: [Int] = []
    for string in strings {
        offsets.append(bytes.count)
        bytes.append(contentsOf: string.utf8.map { CChar(bitPattern: $0) })
        bytes.append(0)
    }
    bytes.append(0)
    return bytes.withUnsafeBufferPointer { bytes in
        var pointers: [UnsafePointer<CChar>?] = offsets.map { offset in bytes.baseAddress.map { $0 + offset } }
        pointers.append(nil)
        return pointers.withUnsafeBufferPointer { pointers in
            guard let base = pointers.baseAddress else { preconditionFailure("an array with elements has a base") }
            return body(base)
        }
    }
}

func nanoseconds(_ duration: Duration) -> UInt64 {
    let (seconds, attoseconds) = duration.components
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    // The limit of 100 years leaves room for adding the result to an instant.
    return UInt64(min(seconds, 3_155_760_000)) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
}
