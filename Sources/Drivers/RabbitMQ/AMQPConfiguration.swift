/// The addresses of the broker's nodes, the login, and the limits for waiting.
///
/// The description, the reflection and the errors never contain the password.
package struct AMQPConfiguration: Sendable {
    /// How the connection is encrypted, for `amqps`.
    package struct TLS: Sendable, Equatable {
        /// A PEM file with the certificate authorities to trust. The default is the system's bundle.
        package var authoritiesFile = "/etc/ssl/certs/ca-certificates.crt"

        /// Whether the certificate and the host name of the broker are verified.
        package var verifiesPeer = true

        /// PEM files of the client's certificate and its key; nil for none.
        package var certificateFile: String?
        package var keyFile: String?
    }

    /// One node of the broker.
    package struct Endpoint: Sendable, Hashable, CustomStringConvertible {
        package let host: String
        package let port: UInt16

        package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
    }

    /// The nodes of the broker, at least one, in the order of the URL.
    package let endpoints: [Endpoint]
    package let virtualHost: String
    package let user: String
    let password: Secret

    /// Nil for plain `amqp`.
    package let tls: TLS?

    /// The heartbeat interval proposed to the broker, in seconds; 0 means none. A peer that is silent for two intervals
    /// counts as lost.
    package var heartbeatSeconds: UInt16 = 10

    /// The limit of each step of connecting (the TCP connection, the handshake) and later of every request with an
    /// answer. Several nodes share it while connecting, and each has at least a second.
    package var connectTimeout: Duration = .seconds(5)

    /// The name that `rabbitmqctl list_connections client_properties` shows.
    package var connectionName = "quotastack"

    /// Reads `amqp://` or `amqps://user:password@host:port/virtualhost?parameters`. Several nodes of a cluster are separated by
    /// commas, as in `host1:5672,host2:5672`; each attempt to connect goes to the next one.
    ///
    /// User, password and virtual host are percent-decoded. Without a user the login is `guest` with the password
    /// `guest`; a user without a password has an empty one. The default port is 5672 (5671 with TLS), the default
    /// virtual host `/`. Parameters: `heartbeat` (seconds), `connection_timeout` (milliseconds), and with `amqps` also
    /// `cacertfile`, `certfile`, `keyfile` and `verify` (`verify_peer`, which is the default, or `verify_none`).
    ///
    /// - Throws: `AMQPConfigurationError`. Its message names the part that is wrong and never quotes the URL.
    package init(url: String) throws {
        guard let scheme = url.range(ofFirst: "://") else {
            throw AMQPConfigurationError("the broker URL must start with amqp:// or amqps://")
        }
        let encrypted: Bool
        switch url[..<scheme.lowerBound].lowercased() {
        case "amqp": encrypted = false
        case "amqps": encrypted = true
        default: throw AMQPConfigurationError("the broker URL must start with amqp:// or amqps://")
        }
        var rest = url[scheme.upperBound...]
        var query = Substring()
        if let mark = rest.firstIndex(of: "?") {
            query = rest[rest.index(after: mark)...]
            rest = rest[..<mark]
        }
        var path = Substring()
        if let slash = rest.firstIndex(of: "/") {
            path = rest[rest.index(after: slash)...]
            rest = rest[..<slash]
        }
        var user = "guest"
        var password = "guest"
        if let at = rest.lastIndex(of: "@") {
            let userInfo = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            user = try percentDecoded(userInfo[0], part: "user")
            password = userInfo.count > 1 ? try percentDecoded(userInfo[1], part: "password") : ""
            rest = rest[rest.index(after: at)...]
        }
        endpoints = try rest.split(separator: ",", omittingEmptySubsequences: false).map {
            try Self.endpoint($0, defaultPort: encrypted ? 5671 : 5672)
        }
        let virtualHost = try percentDecoded(path, part: "virtual host")
        self.virtualHost = virtualHost.isEmpty ? "/" : virtualHost
        self.user = user
        self.password = Secret(password)
        var tls = TLS()
        for pair in query.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let value = parts.count > 1 ? try percentDecoded(parts[1], part: "query") : ""
            switch (String(parts[0]), encrypted) {
            case ("heartbeat", _):
                guard let seconds = UInt16(value) else {
                    throw AMQPConfigurationError("heartbeat must be a number of seconds from 0 to 65535")
                }
                heartbeatSeconds = seconds
            case ("connection_timeout", _):
                guard let milliseconds = UInt32(value), milliseconds > 0 else {
                    throw AMQPConfigurationError("connection_timeout must be a number of milliseconds above 0")
                }
                connectTimeout = .milliseconds(Int64(milliseconds))
            case ("cacertfile", true): tls.authoritiesFile = value
            case ("certfile", true): tls.certificateFile = value
            case ("keyfile", true): tls.keyFile = value
            case ("verify", true):
                guard value == "verify_peer" || value == "verify_none" else {
                    throw AMQPConfigurationError("verify must be verify_peer or verify_none")
                }
                tls.verifiesPeer = value == "verify_peer"
            default: throw AMQPConfigurationError("the broker URL has a parameter that its scheme does not know")
            }
        }
        guard (tls.certificateFile == nil) == (tls.keyFile == nil) else {
            throw AMQPConfigurationError("certfile and keyfile must be set together")
        }
        self.tls = encrypted ? tls : nil
        for part in [user, password, self.virtualHost] + endpoints.map(\.host) where part.utf8.contains(0) {
            throw AMQPConfigurationError("the broker URL contains a zero byte")
        }
    }

    private static func endpoint(_ text: Substring, defaultPort: UInt16) throws -> Endpoint {
        var host = text
        var port = Substring()
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else {
                throw AMQPConfigurationError("the IPv6 address in the broker URL has no closing bracket")
            }
            host = text[text.index(after: text.startIndex)..<end]
            port = text[text.index(after: end)...]
        } else if let colon = text.firstIndex(of: ":") {
            host = text[..<colon]
            port = text[colon...]
        }
        guard !host.isEmpty else { throw AMQPConfigurationError("the broker URL has no host") }
        if port.isEmpty { return Endpoint(host: String(host), port: defaultPort) }
        guard port.first == ":", let number = UInt16(port.dropFirst()), number > 0 else {
            throw AMQPConfigurationError("the port in the broker URL must be a number from 1 to 65535")
        }
        return Endpoint(host: try percentDecoded(host, part: "host"), port: number)
    }
}

extension AMQPConfiguration {
    /// The limit of each step of connecting to one of the nodes.
    var limitPerEndpoint: Duration {
        endpoints.count == 1 ? connectTimeout : max(connectTimeout / endpoints.count, .seconds(1))
    }

    /// A configuration for each node alone, in the order of the URL.
    package var eachEndpoint: [AMQPConfiguration] { endpoints.map { AMQPConfiguration(self, at: $0) } }

    private init(_ other: AMQPConfiguration, at endpoint: Endpoint) {
        endpoints = [endpoint]
        virtualHost = other.virtualHost
        user = other.user
        password = other.password
        tls = other.tls
        heartbeatSeconds = other.heartbeatSeconds
        connectTimeout = other.limitPerEndpoint
        connectionName = other.connectionName
    }
}

extension AMQPConfiguration: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String {
        let nodes = endpoints.map(\.description).joined(separator: ",")
        return "\(tls == nil ? "amqp" : "amqps")://\(user):***@\(nodes) virtual host \(virtualHost)"
    }

    package var debugDescription: String { description }

    package var customMirror: Mirror { Mirror(self, children: ["endpoint": description]) }
}

/// A broker URL that cannot be used. The description is a sentence without secrets.
package struct AMQPConfigurationError: Error, CustomStringConvertible, Sendable {
    package let description: String

    init(_ description: String) { self.description = description }
}

/// Text that neither `print` nor `dump` shows.
struct Secret: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    let text: String

    init(_ text: String) { self.text = text }

    var description: String { "***" }
    var debugDescription: String { "***" }
    var customMirror: Mirror { Mirror(self, children: EmptyCollection<Mirror.Child>()) }
}

private func percentDecoded(_ text: Substring, part: String) throws -> String {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
        if byte != UInt8(ascii: "%") {
            bytes.append(byte)
            continue
        }
        guard let high = rest.popFirst().flatMap(hexValue), let low = rest.popFirst().flatMap(hexValue) else {
            throw AMQPConfigurationError("the \(part) in the broker URL has an unfinished percent escape")
        }
        bytes.append(high << 4 | low)
    }
    guard let decoded = String(validating: bytes, as: UTF8.self) else {
        throw AMQPConfigurationError("the \(part) in the broker URL is not UTF-8")
    }
    return decoded
}

private func hexValue(_ digit: UInt8) -> UInt8? {
    Character(Unicode.Scalar(digit)).hexDigitValue.map(UInt8.init)
}

extension String {
    fileprivate func range(ofFirst text: String) -> Range<String.Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}
