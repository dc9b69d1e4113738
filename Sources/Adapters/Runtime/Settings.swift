import Configuration
import Failpoints
import Glibc
package import Postgres
package import RabbitMQ
import SystemPackage

/// Everything that can be configured, read once at the start.
///
/// A value comes from the process's environment, else from the file that `QUOTASTACK_CONFIG` names (lines of
/// `KEY=VALUE`), else it is the default in `keys`. The nodes read the environment nowhere else; the command-line client
/// and the test programs also have variables of their own.
package struct Settings: Sendable {
    /// One configurable value, as documentation and `quotastack config` show it.
    package struct Key: Sendable {
        package let name: String
        package let defaultValue: String?
        package let isSecret: Bool
        package let help: String
    }

    /// A key's value in this process, and where it came from.
    package struct Value: Sendable {
        package enum Origin: Hashable, Sendable {
            case environment
            /// The file that `QUOTASTACK_CONFIG` names.
            case file(String)
            /// Not set: the value is the default.
            case standard
        }

        package let key: Key
        package let origin: Origin
        /// Nil for a secret, and for a key without a value.
        package let shown: String?
    }

    package static let keys: [Key] = [
        Key(
            name: "DATABASE_URL", defaultValue: nil, isSecret: true,
            help: "PostgreSQL 15 or later with wal_level=logical: postgres://user:password@host:port/database."),
        Key(
            name: "AMQP_URL", defaultValue: nil, isSecret: true,
            help: "RabbitMQ 3.10 or later: amqp://user:password@host:port/vhost, or amqps://."),
        Key(
            name: "QUOTASTACK_ROOT_KEY", defaultValue: nil, isSecret: true,
            help:
                "The installation's root key (quotastack key root makes one). The API needs it; keys are derived from it."
        ),
        Key(
            name: "QUOTASTACK_HOST", defaultValue: "127.0.0.1", isSecret: false,
            help: "Address that the node listens on."),
        Key(
            name: "QUOTASTACK_PORT", defaultValue: "8080", isSecret: false,
            help:
                "Port that the node listens on; without it quotastack-ledger takes 8081, quotastack-entitlements 8082, quotastack-scheduler 8083."
        ),
        Key(
            name: "QUOTASTACK_TLS_CERTIFICATE", defaultValue: nil, isSecret: false,
            help: "PEM file of the node's certificate and its chain. With it the node speaks HTTPS."),
        Key(
            name: "QUOTASTACK_TLS_KEY", defaultValue: nil, isSecret: false,
            help: "PEM file of the certificate's key, without a passphrase."),
        Key(
            name: "QUOTASTACK_QUEUE_PREFIX", defaultValue: "", isSecret: false,
            help: "Prefix of every queue's name, so that installations can share a broker."),
        Key(
            name: "QUOTASTACK_SHARDS", defaultValue: "4", isSecret: false,
            help: "Number of ledger queues of a new installation; fixed by its first migrate."),
        Key(
            name: "QUOTASTACK_COMMAND_WAIT_MS", defaultValue: "10000", isSecret: false,
            help: "Milliseconds that a mutation waits for its effect before it is answered with 202."),
        Key(
            name: "QUOTASTACK_READ_CONNECTIONS", defaultValue: "8", isSecret: false,
            help: "Number of PostgreSQL connections of an API node for lists and past answers."),
        Key(
            name: "QUOTASTACK_LOG_LEVEL", defaultValue: "info", isSecret: false,
            help: "Log level: trace, debug, info, notice, warning, error or critical."),
    ]

    /// All keys, in the order of `keys`.
    package let values: [Value]
    package let host: String
    package let port: Int
    package let queuePrefix: String
    package let shardCount: Int32
    package let commandWait: Duration
    package let readConnections: Int
    package let logLevel: String
    private let failpoint: String?
    private let knownBug: String?
    private let databaseURL: String?
    private let amqpURL: String?
    private let rootKeyText: String?
    private let tlsCertificate: String?
    private let tlsKey: String?

    /// - Parameter defaultPort: The port of a node for which none is configured.
    /// - Throws: `SettingsError` that names the value that cannot be used.
    package static func load(defaultPort: Int = 8080) async throws -> Settings {
        var providers: [any ConfigProvider] = [EnvironmentVariablesProvider()]
        let path = getenv("QUOTASTACK_CONFIG").map { String(cString: $0) } ?? ""
        if !path.isEmpty {
            do {
                providers.append(try await EnvironmentVariablesProvider(environmentFilePath: FilePath(path)))
            } catch {
                throw SettingsError("QUOTASTACK_CONFIG names \(path), which cannot be read: \(error)")
            }
        }
        return try Settings(ConfigReader(providers: providers), file: path, defaultPort: defaultPort)
    }

    private init(_ config: ConfigReader, file: String, defaultPort: Int) throws {
        func text(_ name: String, isSecret: Bool = false) -> String? {
            let key = name.lowercased().split(separator: "_").joined(separator: ".")
            if let value = config.string(forKey: ConfigKey(key), isSecret: isSecret) { return value }
            if name == "QUOTASTACK_PORT" { return "\(defaultPort)" }
            return Self.keys.first { $0.name == name }?.defaultValue
        }
        func number(_ name: String, in range: ClosedRange<Int>) throws -> Int {
            guard let value = Int(text(name) ?? ""), range.contains(value) else {
                throw SettingsError(
                    "\(name) must be a whole number from \(range.lowerBound) to \(range.upperBound), not \"\(text(name) ?? "")\""
                )
            }
            return value
        }
        values = Self.keys.map { key in
            let origin: Value.Origin
            let configured = config.string(
                forKey: ConfigKey(key.name.lowercased().split(separator: "_").joined(separator: ".")),
                isSecret: key.isSecret)
            if getenv(key.name) != nil {
                origin = .environment
            } else if configured != nil {
                origin = .file(file)
            } else {
                origin = .standard
            }
            return Value(key: key, origin: origin, shown: key.isSecret ? nil : text(key.name))
        }
        databaseURL = text("DATABASE_URL", isSecret: true)
        amqpURL = text("AMQP_URL", isSecret: true)
        rootKeyText = text("QUOTASTACK_ROOT_KEY", isSecret: true)
        host = text("QUOTASTACK_HOST") ?? ""
        tlsCertificate = text("QUOTASTACK_TLS_CERTIFICATE")
        tlsKey = text("QUOTASTACK_TLS_KEY")
        port = try number("QUOTASTACK_PORT", in: 1...65_535)
        queuePrefix = text("QUOTASTACK_QUEUE_PREFIX") ?? ""
        shardCount = Int32(try number("QUOTASTACK_SHARDS", in: 1...256))
        commandWait = .milliseconds(try number("QUOTASTACK_COMMAND_WAIT_MS", in: 100...60_000))
        readConnections = try number("QUOTASTACK_READ_CONNECTIONS", in: 1...256)
        logLevel = text("QUOTASTACK_LOG_LEVEL") ?? ""
        failpoint = text("QUOTASTACK_FAIL")
        knownBug = text("QUOTASTACK_BUG")
    }

    package func postgres() throws -> PostgresConfiguration {
        guard let databaseURL else { throw SettingsError("DATABASE_URL is not set; `quotastack config` describes it") }
        return try PostgresConfiguration(url: databaseURL)
    }

    package func amqp() throws -> AMQPConfiguration {
        guard let amqpURL else { throw SettingsError("AMQP_URL is not set; `quotastack config` describes it") }
        return try AMQPConfiguration(url: amqpURL)
    }

    /// The PEM files with which a node serves HTTPS; nil for plain HTTP.
    package func tlsFiles() throws -> (certificate: String, key: String)? {
        switch (tlsCertificate ?? "", tlsKey ?? "") {
        case ("", ""): return nil
        case ("", _), (_, ""):
            throw SettingsError("QUOTASTACK_TLS_CERTIFICATE and QUOTASTACK_TLS_KEY go together: set both or none")
        case (let certificate, let key): return (certificate, key)
        }
    }

    /// Activates the failpoint and the known bug that this process was given. Only tests set these variables, so
    /// they are not in `keys`.
    package func armFailpoints() throws {
        if let failpoint { try Failpoint.arm(failpoint) }
        if let knownBug { try KnownBug.activate(knownBug) }
    }

    package func rootKey() throws -> String {
        guard let rootKeyText else {
            throw SettingsError("QUOTASTACK_ROOT_KEY is not set; `quotastack key root` makes one")
        }
        return rootKeyText
    }
}

/// A configured value that cannot be used.
package struct SettingsError: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}
