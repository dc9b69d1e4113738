import Postgres
import RabbitMQ
package import Runtime

extension Finding {
    /// Findings about the settings of a process: the name and the source of each setting that is set, never a secret.
    package static func about(_ settings: Settings) -> [Finding] {
        let set = settings.values.filter { $0.origin != .standard }
        var findings = set.map { value -> Finding in
            let place =
                switch value.origin {
                case .environment, .standard: "the environment"
                case .file(let path): path
                }
            return ok(.configuration, "\(value.key.name)\(shown(value, settings)) from \(place)")
        }
        let others = settings.values.filter { $0.origin == .standard && $0.shown != nil }.map(\.key.name)
        if !others.isEmpty { findings.append(ok(.configuration, "by default: \(others.joined(separator: ", "))")) }
        return findings + [database(settings), broker(settings), identity(settings)].compactMap { $0 }
    }

    /// The value of a setting as a finding shows it. A secret URL is shown as its parts without the password.
    private static func shown(_ value: Settings.Value, _ settings: Settings) -> String {
        switch value.key.name {
        case "DATABASE_URL": (try? settings.postgres()).map { " (\($0))" } ?? ""
        case "AMQP_URL": (try? settings.amqp()).map { " (\($0))" } ?? ""
        default: value.shown.map { "=\($0)" } ?? ""
        }
    }

    private static func database(_ settings: Settings) -> Finding? {
        do {
            let postgres = try settings.postgres()
            guard !postgres.verifiesServer, !postgres.eachHost.allSatisfy({ isLoopback($0.host) }) else { return nil }
            return warning(
                .configuration,
                "the connection to PostgreSQL at \(postgres.host) can be intercepted, as its server is not verified",
                remedy: "Add sslmode=verify-full and sslrootcert=… to DATABASE_URL.")
        } catch {
            return problem(.configuration, "\(error)", remedy: "See quotastack config.")
        }
    }

    private static func broker(_ settings: Settings) -> Finding? {
        do {
            let amqp = try settings.amqp()
            let hosts = amqp.endpoints.map(\.host)
            guard amqp.tls?.verifiesPeer != true, !hosts.allSatisfy(isLoopback) else { return nil }
            return warning(
                .configuration,
                "the connection to RabbitMQ at \(hosts.joined(separator: ",")) can be intercepted, as its server is not verified",
                remedy: "Use amqps:// with cacertfile=… in AMQP_URL.")
        } catch {
            return problem(.configuration, "\(error)", remedy: "See quotastack config.")
        }
    }

    private static func identity(_ settings: Settings) -> Finding? {
        do {
            guard try settings.tlsFiles() == nil, !isLoopback(settings.host) else { return nil }
            return warning(
                .configuration, "nodes with these settings serve plain HTTP on \(settings.host)",
                remedy:
                    "Set QUOTASTACK_TLS_CERTIFICATE and QUOTASTACK_TLS_KEY, or put a TLS proxy in front.")
        } catch {
            return problem(.configuration, "\(error)", remedy: "Set both variables or neither.")
        }
    }
}
