import CPostgres

/// The address of a server and the login.
///
/// It is read from a URL in libpq's form, whose query may set every parameter that libpq knows. The description shows
/// host, port, database and user, never the password.
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

    /// The longest time that connecting may take. The look-up of a host name is not covered: the resolver has its own
    /// limit.
    package var connectLimit: Duration = .seconds(5)

    /// The default limit of `run`; nil means no limit.
    package var runLimit: Duration? = .seconds(30)

    private var parameters: [String: String]

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
    }

    /// The same configuration with another database.
    package func database(_ name: String) -> PostgresConfiguration {
        var copy = self
        copy.parameters["dbname"] = name
        return copy
    }

    /// The server's host name or address. The folder of a Unix socket begins with a slash.
    package var host: String { parameters["host"] ?? parameters["hostaddr"] ?? "localhost" }

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

    /// In `options` a space ends a value, and a backslash makes the next character literal.
    private static func escapedOption(_ value: String) -> String {
        String(value.flatMap { $0 == " " || $0 == "\\" ? ["\\", $0] : [$0] })
    }
}
