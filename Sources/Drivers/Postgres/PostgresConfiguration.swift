import CPostgres

/// Where the server is and how to log in.
///
/// Made from a URL in libpq's form; every parameter that libpq knows may follow the question mark. The description
/// shows host, port, database and user, never the password.
package struct PostgresConfiguration: Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    /// What `pg_stat_activity` shows; `application_name` in the URL wins over the default "quotastack".
    package var applicationName: String

    /// The role that a session has from its first statement on, and again after RESET ROLE; nil for the login's own.
    /// The login must be a member of it. A replication connection keeps the login's, whose REPLICATION it needs.
    package var role: String?

    /// How long connecting may take. A name that has to be looked up first is not covered: the resolver has its own.
    package var connectLimit: Duration = .seconds(5)

    /// How long `run` waits when it is not told otherwise; nil waits for ever.
    package var runLimit: Duration? = .seconds(30)

    private var parameters: [String: String]

    /// - Parameter url: `postgres://user:password@host:port/database?sslmode=verify-full`; reserved characters in its
    ///   parts are percent-encoded.
    /// - Throws: `PostgresError` of kind `invalidRequest`. Its sentence does not repeat the URL with its password.
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

    /// A reserved character in a password that was not percent-encoded moves the rest of the password into another
    /// part, and from there into descriptions; libpq would notice it when connecting, or not at all.
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

    /// The same server and user, another database.
    package func database(_ name: String) -> PostgresConfiguration {
        var copy = self
        copy.parameters["dbname"] = name
        return copy
    }

    /// Where the server is, as a name or an address; a socket's folder begins with a slash.
    package var host: String { parameters["host"] ?? parameters["hostaddr"] ?? "localhost" }

    /// Whether only the right server, by certificate and name, is talked to.
    package var verifiesServer: Bool { parameters["sslmode"] == "verify-full" }

    package var description: String {
        let user = parameters["user"].map { "\($0)@" } ?? ""
        let port = parameters["port"].map { ":\($0)" } ?? ""
        return "postgres://\(user)\(host)\(port)/\(parameters["dbname"] ?? "")"
    }

    package var debugDescription: String { description }

    /// `dump` and string interpolation of enclosing types see nothing but the description.
    package var customMirror: Mirror { Mirror(self, children: ["url": description]) }

    /// The keywords and values for libpq: the URL's, and this driver's where the URL is silent.
    ///
    /// A peer that has gone is noticed by keepalives (idle) and `tcp_user_timeout` (while sending); a backend whose
    /// client has gone notices it by `client_connection_check_interval`, so that an abandoned statement ends too.
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
            if let role { options.append("-c role=\(Self.escapedOption(role))") }
            all["options"] = options.joined(separator: " ")
        }
        return all.map { ($0.key, $0.value) }
    }

    /// In `options` a space ends a value and a backslash takes a character literally.
    private static func escapedOption(_ value: String) -> String {
        String(value.flatMap { $0 == " " || $0 == "\\" ? ["\\", $0] : [$0] })
    }
}
