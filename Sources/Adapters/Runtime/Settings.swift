import CProcess
import Configuration
import Failpoints
import Glibc
package import Postgres
package import RabbitMQ
import SystemPackage
package import Webhooks

/// Everything that can be configured, read once at the start.
///
/// A value comes from the process's environment, else from the file that `QUOTASTACK_CONFIG` names (lines of
/// `KEY=VALUE`), else it is the default in `keys`. A secret can also be in a file of its own, which the setting with
/// `_FILE` behind the secret's name names. The nodes read the environment nowhere else; the command-line client and the
/// test programs also have variables of their own.
package struct Settings: Sendable {
    /// One configurable value, as documentation and `quotastack config` show it.
    package struct Key: Sendable {
        package let name: String
        package let defaultValue: String?
        package let isSecret: Bool
        package let help: String

        /// The setting that names a file with the secret; nil for a key that is no secret.
        package var fileName: String? { isSecret ? "\(name)_FILE" : nil }
    }

    /// A key's value in this process, and where it came from.
    package struct Value: Sendable {
        package enum Origin: Hashable, Sendable {
            case environment
            /// The file that `QUOTASTACK_CONFIG` names, or the file of a secret.
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
            help:
                "PostgreSQL 15 or later with wal_level=logical: postgres://user:password@host:port/database. Of several servers, host1:port,host2:port, connections go to the one that takes writes."
        ),
        Key(
            name: "AMQP_URL", defaultValue: nil, isSecret: true,
            help:
                "RabbitMQ 3.10 or later: amqp://user:password@host:port/vhost, or amqps://. The nodes of a cluster are separated by commas: host1:port,host2:port."
        ),
        Key(
            name: "QUOTASTACK_ROOT_KEY", defaultValue: nil, isSecret: true,
            help:
                "The installation's root key (quotastack key root makes one). The API needs it."
        ),
        Key(
            name: "QUOTASTACK_SECRET_KEY", defaultValue: nil, isSecret: true,
            help:
                "At least 32 characters, the same on every API node: new API keys are derived from it. Without it the root key takes its place; whoever rolls the root key states the old one here."
        ),
        Key(
            name: "QUOTASTACK_WEBHOOK_KEY", defaultValue: nil, isSecret: true,
            help:
                "At least 32 characters, the same on every API node and webhook worker: the signing secrets of webhook endpoints are encrypted with it. Make one with openssl rand -hex 32."
        ),
        Key(
            name: "QUOTASTACK_WEBHOOK_ALLOW", defaultValue: "", isSecret: false,
            help:
                "Networks that webhooks may be delivered to although they are not public, on any port, separated by commas: 127.0.0.0/8,::1/128."
        ),
        Key(
            name: "QUOTASTACK_WEBHOOK_RETENTION_DAYS", defaultValue: "30", isSecret: false,
            help: "Days for which finished webhook deliveries and their attempts are kept."),
        Key(
            name: "QUOTASTACK_HOST", defaultValue: "127.0.0.1", isSecret: false,
            help: "Address that the node listens on."),
        Key(
            name: "QUOTASTACK_PORT", defaultValue: "8080", isSecret: false,
            help:
                "Port that the node listens on; without it quotastack-ledger takes 8081, quotastack-entitlements 8082, quotastack-scheduler 8083, quotastack-webhooks 8084."
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
            name: "QUOTASTACK_QUEUE_MEMBERS", defaultValue: "3", isSecret: false,
            help:
                "Number of RabbitMQ nodes that keep each queue which migrate creates; all nodes when there are fewer. Existing queues keep theirs: rabbitmq-queues grow adds members."
        ),
        Key(
            name: "QUOTASTACK_COMMAND_WAIT_MS", defaultValue: "10000", isSecret: false,
            help: "Milliseconds that a mutation waits for its effect before it is answered with 202."),
        Key(
            name: "QUOTASTACK_READ_CONNECTIONS", defaultValue: "8", isSecret: false,
            help:
                "Number of PostgreSQL connections of an API node for lists and past answers; one environment has at most half of them. Six more serve exports, readiness and mutations."
        ),
        Key(
            name: "QUOTASTACK_MAX_CONNECTIONS", defaultValue: nil, isSecret: false,
            help:
                "Number of HTTP connections that may be open at once; without it 8192, or what the limit of file descriptors (ulimit -Hn) leaves."
        ),
        Key(
            name: "QUOTASTACK_MAX_CONNECTIONS_PER_ADDRESS", defaultValue: nil, isSecret: false,
            help:
                "Number of them from one address (IPv6: from one /64 network); without it a quarter. Behind a proxy all clients have the proxy's address: set both to the same number."
        ),
        Key(
            name: "QUOTASTACK_IDLE_SECONDS", defaultValue: "75", isSecret: false,
            help:
                "Seconds after which a connection without a request is closed. A load balancer in front must close its idle connections earlier."
        ),
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
    package let queueMembers: Int
    package let commandWait: Duration
    package let readConnections: Int
    /// Nil when it is not set.
    package let maximumConnections: Int?
    /// Nil when it is not set.
    package let maximumConnectionsPerAddress: Int?
    package let idleTimeout: Duration
    /// The targets that webhooks may be delivered to.
    package let webhookTargets: TargetRules
    package let webhookRetentionDays: Int
    package let logLevel: String
    private let failpoint: String?
    private let knownBug: String?
    private let databaseURL: String?
    private let amqpURL: String?
    private let rootKeyText: String?
    private let secretKeyText: String?
    private let webhookKeyText: String?
    private let tlsCertificate: String?
    private let tlsKey: String?

    /// Reads the settings. From then on the process holds secrets, so it forbids core dumps and other processes of its user
    /// to look into it before it reads.
    ///
    /// - Parameter defaultPort: The port of a node for which none is configured.
    /// - Throws: `SettingsError` that names the value that cannot be used.
    package static func load(defaultPort: Int = 8080) async throws -> Settings {
        guard quotastack_forbid_dumps() == 0 else {
            throw SettingsError("the kernel does not let this process forbid dumps of its memory: error \(errno)")
        }
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
        func configured(_ name: String, isSecret: Bool = false) -> String? {
            config.string(
                forKey: ConfigKey(name.lowercased().split(separator: "_").joined(separator: ".")), isSecret: isSecret)
        }
        func text(_ name: String) -> String? {
            if let value = configured(name) { return value }
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
        var secrets: [String: Secret] = [:]
        for key in Self.keys {
            guard let fileName = key.fileName else { continue }
            secrets[key.name] = try Secret(
                key.name, stated: configured(key.name, isSecret: true), path: configured(fileName))
        }
        func optionalNumber(_ name: String, in range: ClosedRange<Int>) throws -> Int? {
            (text(name) ?? "").isEmpty ? nil : try number(name, in: range)
        }
        values = Self.keys.map { key in
            let origin: Value.Origin
            if let path = secrets[key.name]?.path {
                origin = .file(path)
            } else if getenv(key.name) != nil {
                origin = .environment
            } else if configured(key.name, isSecret: key.isSecret) != nil {
                origin = .file(file)
            } else {
                origin = .standard
            }
            return Value(key: key, origin: origin, shown: key.isSecret ? nil : text(key.name))
        }
        databaseURL = secrets["DATABASE_URL"]?.text
        amqpURL = secrets["AMQP_URL"]?.text
        rootKeyText = secrets["QUOTASTACK_ROOT_KEY"]?.text
        secretKeyText = secrets["QUOTASTACK_SECRET_KEY"]?.text
        webhookKeyText = secrets["QUOTASTACK_WEBHOOK_KEY"]?.text
        webhookTargets = try Self.webhookTargets(text("QUOTASTACK_WEBHOOK_ALLOW") ?? "")
        webhookRetentionDays = try number("QUOTASTACK_WEBHOOK_RETENTION_DAYS", in: 1...3_650)
        host = text("QUOTASTACK_HOST") ?? ""
        tlsCertificate = text("QUOTASTACK_TLS_CERTIFICATE")
        tlsKey = text("QUOTASTACK_TLS_KEY")
        port = try number("QUOTASTACK_PORT", in: 1...65_535)
        queuePrefix = text("QUOTASTACK_QUEUE_PREFIX") ?? ""
        shardCount = Int32(try number("QUOTASTACK_SHARDS", in: 1...256))
        queueMembers = try number("QUOTASTACK_QUEUE_MEMBERS", in: 1...255)
        commandWait = .milliseconds(try number("QUOTASTACK_COMMAND_WAIT_MS", in: 100...60_000))
        readConnections = try number("QUOTASTACK_READ_CONNECTIONS", in: 1...256)
        maximumConnections = try optionalNumber("QUOTASTACK_MAX_CONNECTIONS", in: 1...1_000_000)
        maximumConnectionsPerAddress = try optionalNumber("QUOTASTACK_MAX_CONNECTIONS_PER_ADDRESS", in: 1...1_000_000)
        idleTimeout = .seconds(try number("QUOTASTACK_IDLE_SECONDS", in: 1...3_600))
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

    /// The key under which the secrets of webhook endpoints are sealed; nil when there is none.
    package func webhookKey() throws -> String? {
        guard let webhookKeyText else { return nil }
        guard webhookKeyText.utf8.count >= 32 else {
            throw SettingsError(
                "QUOTASTACK_WEBHOOK_KEY is shorter than 32 characters; make one with openssl rand -hex 32")
        }
        return webhookKeyText
    }

    private static func webhookTargets(_ text: String) throws -> TargetRules {
        let names = text.split(separator: ",").map { $0.filter { $0 != " " } }.filter { !$0.isEmpty }
        return TargetRules(
            allowed: try names.map { name in
                guard let network = IPNetwork(name) else {
                    throw SettingsError(
                        "QUOTASTACK_WEBHOOK_ALLOW has \"\(name)\", which is no network such as 10.1.0.0/16 or ::1/128")
                }
                return network
            })
    }

    /// The key that new API keys are derived from; nil when the root key takes its place.
    package func secretKey() throws -> String? {
        guard let secretKeyText else { return nil }
        guard secretKeyText.utf8.count >= 32 else {
            throw SettingsError(
                "QUOTASTACK_SECRET_KEY is shorter than 32 characters; make one with openssl rand -hex 32")
        }
        return secretKeyText
    }
}

/// A configured value that cannot be used.
package struct SettingsError: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}
