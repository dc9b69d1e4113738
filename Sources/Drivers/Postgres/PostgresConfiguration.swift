import CPostgres
import Synchronization

/// The address of a server and the login.
///
/// It is read from a URL in libpq's form, whose query may set every parameter that libpq knows. The description shows
/// host, port, database and user, never the password.
///
/// The URL may name several hosts, as `host1:5432,host2:5432`, of which connections take the first that accepts writes. The
/// copies of a configuration try the host first that accepted their latest connection.
package struct PostgresConfiguration: Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    /// The name in `pg_stat_activity`. `application_name` in the URL replaces the default "quotastack".
    package var applicationName: String

    /// The role that a session has from its first statement on, and again after RESET ROLE; nil keeps the login's own.
    /// The login must be a member of the role. A replication connection ignores it, because it needs the login's
    /// REPLICATION attribute.
    package var role: String?
    /// Settings of the server that a session has from its first statement on, such as `jit`. A replication connection ignores
    /// them.
    package var settings: [String: String] = [:]

    /// The longest time that connecting may take. Several hosts share it, because a host can accept a connection and then
    /// stay silent; each has at least a second. The look-up of a host name is not covered: the resolver has its own limit.
    package var connectLimit: Duration = .seconds(5)

    /// Whether a server will do that accepts no writes, such as a standby. `target_session_attrs` in the URL precedes this.
    package var takesAnyServer = false

    /// The default limit of `run`; nil means no limit.
    package var runLimit: Duration? = .seconds(30)

    private var parameters: [String: String]
    let hostOrder = HostOrder()

    /// - Parameter url: `postgres://user:password@host:port/database?sslmode=verify-full`; reserved characters in its
    ///   parts are percent-encoded.
    /// - Throws: `PostgresError` of kind `invalidRequest`. Its message does not repeat the URL, which has the password.
    package init(url: String) throws {
        guard url.hasPrefix("postgres://") || url.hasPrefix("postgresql://") else {
            throw PostgresError(.invalidRequest("A PostgreSQL URL begins with postgres:// or postgresql://."))
        }
        var message: UnsafeMutablePointer<CChar>?
        guard let options = PQconninfoParse(url, &message) else {
            PQfreemem(message)
            throw PostgresError(
                .invalidRequest("The PostgreSQL URL cannot be read: it has a malformed part or an unknown parameter."))
        }
        defer { PQconninfoFree(options) }
        var parameters: [String: String] = [:]
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val {
                parameters[String(cString: keyword)] = String(cString: value)
            }
            option += 1
        }
        try Self.checkParts(parameters)
        applicationName = parameters["application_name"] ?? "quotastack"
        self.parameters = parameters
    }

    /// A reserved character in a password that is not percent-encoded moves the rest of the password into another part
    /// of the URL, and from there into descriptions. libpq would notice that only when connecting, or not at all.
    private static func checkParts(_ parameters: [String: String]) throws {
        let ports = parameters["port"]?.split(separator: ",") ?? []
        let moved = [parameters["host"], parameters["dbname"]].contains { $0?.contains("@") == true }
        guard ports.allSatisfy({ (UInt16($0) ?? 0) > 0 }), !moved else {
            throw PostgresError(
                .invalidRequest(
                    "The PostgreSQL URL cannot be read: its port is not a number, or a reserved character in the user "
                        + "or password is not percent-encoded."))
        }
        let counts = ["host", "hostaddr", "port"].compactMap {
            parameters[$0]?.split(separator: ",", omittingEmptySubsequences: false).count
        }
        guard counts.allSatisfy({ $0 == 1 || $0 == counts.max() }) else {
            throw PostgresError(
                .invalidRequest("The PostgreSQL URL names other numbers of ports or addresses than of hosts."))
        }
    }

    /// The same configuration with another database.
    package func database(_ name: String) -> PostgresConfiguration {
        var copy = self
        copy.parameters["dbname"] = name
        return copy
    }

    /// The server's host name or address, or those of several servers, separated by commas. The folder of a Unix socket
    /// begins with a slash.
    package var host: String { parameters["host"] ?? parameters["hostaddr"] ?? "localhost" }

    /// A configuration for each host alone, in the order of the URL.
    package var eachHost: [PostgresConfiguration] {
        connectionAttempts(replication: false).map { attempt in
            var copy = self
            for keyword in ["host", "hostaddr", "port"] {
                copy.parameters[keyword] = attempt.first { $0.keyword == keyword }?.value
            }
            return copy
        }
    }

    /// Whether the connection verifies the server's certificate and name.
    package var verifiesServer: Bool { parameters["sslmode"] == "verify-full" }

    package var description: String {
        let user = parameters["user"].map { "\($0)@" } ?? ""
        let port = parameters["port"].map { ":\($0)" } ?? ""
        return "postgres://\(user)\(host)\(port)/\(parameters["dbname"] ?? "")"
    }

    package var debugDescription: String { description }

    /// Limits `dump` and the string interpolation of enclosing types to the description.
    package var customMirror: Mirror { Mirror(self, children: ["url": description]) }

    /// The keywords and values for libpq: those of the URL, and this driver's defaults for those that the URL does not
    /// set.
    ///
    /// Keepalives (while idle) and `tcp_user_timeout` (while sending) detect a lost server.
    /// `client_connection_check_interval` lets the server detect a lost client, so that an abandoned statement ends
    /// too.
    func connectionParameters(replication: Bool) -> [(keyword: String, value: String)] {
        var all = parameters
        for (keyword, value) in [
            "gssencmode": "disable", "keepalives": "1", "keepalives_idle": "10", "keepalives_interval": "5",
            "keepalives_count": "3", "tcp_user_timeout": "15000",
        ] where all[keyword] == nil {
            all[keyword] = value
        }
        // Without this a session that reaches a standby, or a primary that was replaced, refuses every write.
        if all["target_session_attrs"] == nil, !takesAnyServer { all["target_session_attrs"] = "read-write" }
        all["application_name"] = applicationName
        all["client_encoding"] = "UTF8"
        if replication {
            all["replication"] = "database"
        } else {
            var options = ["-c client_connection_check_interval=2000"]
            if let given = all["options"] { options.append(given) }
            for (name, value) in settings { options.append("-c \(name)=\(Self.escapedOption(value))") }
            if let role { options.append("-c role=\(Self.escapedOption(role))") }
            all["options"] = options.joined(separator: " ")
        }
        return all.map { ($0.key, $0.value) }
    }

    /// The parameters of each host alone, in the order of the URL.
    func connectionAttempts(replication: Bool) -> [[(keyword: String, value: String)]] {
        let all = connectionParameters(replication: replication)
        let perHost = ["host", "hostaddr", "port"]
        let lists = all.filter { perHost.contains($0.keyword) }.map {
            ($0.keyword, $0.value.split(separator: ",", omittingEmptySubsequences: false).map(String.init))
        }
        let count = lists.map(\.1.count).max() ?? 1
        return (0..<count).map { index in
            all.filter { !perHost.contains($0.keyword) }
                + lists.map { keyword, values in (keyword, values.count == 1 ? values[0] : values[index]) }
        }
    }

    /// In `options` a space ends a value, and a backslash makes the next character literal.
    private static func escapedOption(_ value: String) -> String {
        String(value.flatMap { $0 == " " || $0 == "\\" ? ["\\", $0] : [$0] })
    }
}

/// The host of several that accepted the latest connection, from which the next one starts. Thread-safe.
final class HostOrder: Sendable {
    private let latest = Atomic<Int>(0)

    /// The indices of the hosts, in the order in which they are tried.
    func indices(_ count: Int) -> [Int] {
        let first = latest.load(ordering: .relaxed)
        return (0..<count).map { (first + $0) % count }
    }

    func succeeded(_ index: Int) { latest.store(index, ordering: .relaxed) }
}
