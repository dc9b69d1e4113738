import CPostgres
import HandleThread

/// Connects and logs in without blocking, at one host after another. It belongs to a handle's owner and stays on its thread.
struct Handshake {
    enum Progress {
        case underWay
        /// The connection is another one from now on: the handshake goes on at the next host.
        case moved
        case done
        case failed(PostgresError)
    }

    /// Belongs to the caller of `init`, which must free it also after `advance` has failed. `advance` frees those that it
    /// replaces.
    private(set) var connection: OpaquePointer
    private(set) var deadline: UInt64
    private(set) var wantsToWrite = true
    private let hosts: HostOrder
    private let limit: UInt64
    private var attempts: ArraySlice<(host: Int, parameters: [(keyword: String, value: String)])>
    private var host: Int

    /// Looks up the server's name, which may block, and begins to connect. If it throws, no connection is left to free.
    init(_ configuration: PostgresConfiguration, replication: Bool) throws(PostgresError) {
        let all = configuration.connectionAttempts(replication: replication)
        hosts = configuration.hostOrder
        attempts = hosts.indices(all.count).map { ($0, all[$0]) }[...]
        limit = Self.limit(of: configuration, hosts: all.count)
        deadline = monotonicNanoseconds() + limit
        let started = try Self.startNext(&attempts)
        (connection, host) = (started.connection, started.host)
    }

    /// The time for one host.
    private static func limit(of configuration: PostgresConfiguration, hosts: Int) -> UInt64 {
        let whole = nanoseconds(configuration.connectLimit)
        return hosts == 1 ? whole : max(whole / UInt64(hosts), 1_000_000_000)
    }

    /// Begins to connect to the first host that does not fail at once.
    private static func startNext(
        _ attempts: inout ArraySlice<(host: Int, parameters: [(keyword: String, value: String)])>
    ) throws(PostgresError) -> (connection: OpaquePointer, host: Int) {
        var latest = PostgresError(.connection(message: "the URL names no host", outcomeUnknown: false))
        while let attempt = attempts.popFirst() {
            guard let connection = startConnecting(attempt.parameters) else {
                throw PostgresError(.connection(message: "out of memory", outcomeUnknown: false))
            }
            if PQstatus(connection) != CONNECTION_BAD { return (connection, attempt.host) }
            latest = connectionError(connection)
            PQfinish(connection)
        }
        throw latest
    }

    /// Continues when the descriptor is ready or the deadline has passed.
    mutating func advance(readable: Bool, writable: Bool) -> Progress {
        if wantsToWrite ? writable : readable {
            switch PQconnectPoll(connection) {
            case PGRES_POLLING_OK:
                hosts.succeeded(host)
                return .done
            case PGRES_POLLING_FAILED: return move(after: connectionError(connection))
            case PGRES_POLLING_READING: wantsToWrite = false
            default: wantsToWrite = true
            }
        }
        guard monotonicNanoseconds() >= deadline else { return .underWay }
        return move(after: PostgresError(.timeout(outcomeUnknown: false)))
    }

    /// Goes on at the next host. The error of the last host is the error of the handshake.
    private mutating func move(after error: PostgresError) -> Progress {
        guard !attempts.isEmpty else { return .failed(error) }
        do throws(PostgresError) {
            let started = try Self.startNext(&attempts)
            PQfinish(connection)
            (connection, host) = (started.connection, started.host)
            wantsToWrite = true
            deadline = monotonicNanoseconds() + limit
            return .moved
        } catch {
            return .failed(error)
        }
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
