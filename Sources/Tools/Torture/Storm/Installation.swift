import ChildProcesses
import Credits
import Glibc
import JSON
import LedgerModel

/// A fresh installation on private servers: its processes and two tenants.
final class Installation: Sendable {
    static let queuePrefix = "torture."
    /// The time that a mutation may wait for its effect. It is short, so that outages cause many answers of 202.
    static let commandWaitMilliseconds = 2_000
    /// The number of processes of each role. Nodes that may be killed have another one beside them.
    typealias Size = [(role: Node.Role, count: Int)]
    static let redundant: Size = [(.ledger, 3), (.api, 2), (.entitlements, 2), (.scheduler, 2), (.webhooks, 2)]
    static let pairs: Size = [(.ledger, 2), (.api, 2), (.entitlements, 2), (.scheduler, 2), (.webhooks, 2)]
    static let smallest: Size = [(.ledger, 1), (.api, 1), (.scheduler, 1)]

    let fleet: Fleet
    let http = HTTPCaller()
    /// The URL of the superuser, from whom row-level security hides nothing.
    let booksURL: String
    let logFolder: String
    /// Values that must not appear in a log.
    let secrets: Set<String>
    let environments: [Environment]
    /// The commands that created the tenants and their catalogues.
    let setUpCommands: Set<Bits128>
    /// The key that creates tenants.
    let rootKey: String
    /// The folder of the executables.
    let programs: String
    private let variables: [String: String]

    /// Migrates, starts all processes, and creates the tenants with their catalogues.
    ///
    /// - Parameter programsBefore: The folder of an earlier release's executables, which the processes start with; nil starts
    ///   them with those of this release.
    /// - settings: Further environment variables of all processes.
    init(
        size: Size, home: String, script: String, programs: String, programsBefore: String?, databaseURL: String,
        booksURL: String, amqpURL: String, settings: [String: String] = [:]
    ) async throws {
        self.booksURL = booksURL
        self.programs = programs
        logFolder = "\(home)/log"
        rootKey = try await Self.output([programs + "/quotastack", "key", "root"], [:], logFolder)
        let webhookKey = try await Self.output([programs + "/quotastack", "key", "root"], [:], logFolder)
        var variables = [
            "PATH": environmentVariable("PATH") ?? "/usr/bin:/bin", "LANG": "C.UTF-8", "DATABASE_URL": databaseURL,
            "AMQP_URL": amqpURL, "QUOTASTACK_QUEUE_PREFIX": Self.queuePrefix, "QUOTASTACK_SHARDS": "4",
            "QUOTASTACK_COMMAND_WAIT_MS": "\(Self.commandWaitMilliseconds)", "SWIFT_BACKTRACE": "enable=no",
            "QUOTASTACK_WEBHOOK_KEY": webhookKey, "QUOTASTACK_WEBHOOK_ALLOW": "127.0.0.0/8",
        ]
        variables.merge(settings) { $1 }
        self.variables = variables
        let firstPrograms = programsBefore ?? programs
        _ = try await Self.output([firstPrograms + "/quotastack", "migrate"], variables, logFolder)
        var nodes: [Node] = []
        for (role, count) in size {
            variables["QUOTASTACK_ROOT_KEY"] = role == .api ? rootKey : nil
            variables["AMQP_URL"] = [.entitlements, .webhooks].contains(role) ? nil : amqpURL
            for number in 1...count {
                nodes.append(
                    Node(
                        role: role, number: number, port: try LoopbackPorts.next(),
                        programs: firstPrograms, environment: variables, logFolder: logFolder))
            }
        }
        fleet = Fleet(
            nodes: nodes, postgres: Server(name: .postgres, home: home, script: script),
            rabbitmq: Server(name: .rabbitmq, home: home, script: script))
        for node in nodes { try await fleet.start(node) }
        try await fleet.waitUntilReady(http)
        var setUp = SetUp(fleet: fleet, http: http, rootKey: rootKey, booksURL: booksURL)
        environments = try await setUp.makeEnvironments()
        setUpCommands = setUp.commands
        secrets = Set(
            [rootKey, webhookKey, Self.password(databaseURL), Self.password(booksURL), Self.password(amqpURL)]
                + environments.map(\.apiKey))
    }

    /// Brings the schema to this release, and declares missing queues.
    func migrate() async throws {
        _ = try await Self.output([programs + "/quotastack", "migrate"], variables, logFolder)
    }

    /// Starts all processes again with a known bug. Nothing happens without one.
    func give(_ knownBug: String?) async throws {
        guard let knownBug else { return }
        for node in fleet.nodes {
            node.order("QUOTASTACK_BUG", knownBug)
            await node.kill()
            try await fleet.start(node)
        }
        try await fleet.waitUntilReady(http)
    }

    /// Checks the books with `quotastack verify`.
    func verify(_ violations: Violations) async throws {
        let result = try await ChildProcess.run(
            [programs + "/quotastack", "verify"], environment: variables, logPath: logFolder + "/verify.log")
        if result.status != 0 || !result.output.contains("The books are clean") || result.output.contains("parked") {
            violations.add("quotastack verify: \(result.output.prefix(2_000))")
        }
    }

    /// Exports the ledger of every environment, and verifies each export on its own.
    ///
    /// - Returns: The number of exported lines.
    func verifyExports(_ violations: Violations) async throws -> Int {
        var lines = 0
        for environment in environments {
            let result = await http.send(
                "GET", fleet.apiNodes[environment.number % 2], "/v1/ledger/export", key: environment.apiKey,
                limit: .seconds(300), largest: 1 << 30)
            guard case .answered(let answer) = result, answer.status == 200 else {
                violations.add("the export of environment \(environment.number): \(result.summary)")
                continue
            }
            let path = "\(logFolder)/export-\(environment.number).ndjson"
            defer { _ = unlink(path) }
            try writeFile(path, answer.bytes)
            let verdict = try await ChildProcess.run(
                [programs + "/quotastack", "verify", "--export", path], environment: variables,
                logPath: logFolder + "/verify.log")
            if verdict.status != 0 || !verdict.output.contains("The export is whole") {
                violations.add(
                    "quotastack verify --export of environment \(environment.number): \(verdict.output.prefix(2_000))")
            }
            lines += answer.bytes.count { $0 == UInt8(ascii: "\n") }
        }
        return lines
    }

    private static func output(
        _ command: [String], _ environment: [String: String], _ logFolder: String
    ) async throws -> String {
        let result = try await ChildProcess.run(command, environment: environment, logPath: logFolder + "/command.out")
        guard result.status == 0 else {
            throw TortureError("\(command.joined(separator: " ")) ended with status \(result.status): \(result.output)")
        }
        return String(result.output.prefix { $0 != "\n" })
    }

    private static func password(_ url: String) -> String {
        let user = url.drop { $0 != "@" }.isEmpty ? "" : url.prefix { $0 != "@" }
        return String(user.split(separator: ":").last ?? "")
    }
}

/// Creates the tenants of an installation and their catalogues.
private struct SetUp {
    let fleet: Fleet
    let http: HTTPCaller
    let rootKey: String
    let booksURL: String
    var commands: Set<Bits128> = []
    private var number = 0

    init(fleet: Fleet, http: HTTPCaller, rootKey: String, booksURL: String) {
        self.fleet = fleet
        self.http = http
        self.rootKey = rootKey
        self.booksURL = booksURL
    }

    mutating func makeEnvironments() async throws -> [Environment] {
        var keys: [(tenant: Bits128, kind: String, key: String)] = []
        for name in ["Acme", "Globex"] {
            let answer = try await call("/v1/admin/tenants", .members([("name", .string(name))]), key: rootKey)
            guard let tenant = answer["id"]?.text.flatMap({ PublicID(.tenant, parsing: $0) }) else {
                throw TortureError("a new tenant has no id: \(answer)")
            }
            for kind in ["live", "test"] {
                guard let key = answer["api_keys"]?[kind]?.text else {
                    throw TortureError("a new tenant has no \(kind) key")
                }
                keys.append((tenant.bits, kind, key))
            }
        }
        let known = try await Books.environments(booksURL)
        var environments: [Environment] = []
        for (tenant, kind, key) in keys {
            guard let found = known.first(where: { $0.tenant == tenant && $0.kind == kind }) else {
                throw TortureError("the database lacks a tenant that was created")
            }
            let unitCost: Int64 = [3, 5, 7, 11][environments.count]
            let catalogue = try await sell(
                Market.catalogue(unitCost: unitCost, number: environments.count), key, found.identifier)
            environments.append(
                Environment(
                    number: environments.count, identifier: found.identifier, apiKey: key, catalogue: catalogue))
        }
        return environments
    }

    /// Creates the model's catalogue in the installation.
    private mutating func sell(
        _ catalogue: ModelCatalogue, _ key: String, _ environment: Int32
    ) async throws -> ModelCatalogue {
        for (feature, content) in catalogue.features.sorted(by: { $0.key < $1.key }) {
            let named: [(String, JSONValue?)] = [
                ("key", .string(feature)), ("name", .string(feature)), ("type", .string(content.kind.rawValue)),
                ("quota", content.quota?.json),
            ]
            _ = try await call("/v1/features", .members(named), key: key, environment: environment)
            for (from, price) in content.prices {
                let rule: [(String, JSONValue?)] = [
                    ("feature_key", .string(feature)), ("effective_from", .string(from.description)),
                ]
                _ = try await call(
                    "/v1/metering-rules", .members(rule + price.members), key: key, environment: environment)
            }
        }
        for (name, package) in catalogue.packages.sorted(by: { $0.key < $1.key }) {
            var duration: JSONValue?
            if case .after(_, let seconds) = package.expiry { duration = .string("PT\(seconds)S") }
            let members: [(String, JSONValue?)] = [
                ("key", .string(name)), ("name", .string(name)), ("credits", .integer(package.credits)),
                ("price", .integer(package.price)), ("currency", .string("EUR")), ("expires_after", duration),
                ("priority", package.priority.map { .integer($0) }),
            ]
            _ = try await call("/v1/topup-packages", .members(members), key: key, environment: environment)
        }
        try await sellPlans(catalogue, key, environment)
        let config: [(String, JSONValue?)] = [
            ("overage_policy", catalogue.policy.map { .string($0.rawValue) }),
            ("overage_limit", catalogue.overageLimit.map { .integer($0) }),
            ("default_plan_variant_id", catalogue.defaultVariant.map { .string(Market.key($0)) }),
            ("fallback_variant_id", catalogue.fallbackVariant.map { .string(Market.key($0)) }),
            ("timezone", catalogue.zone == .utc ? nil : .string("Europe/Berlin")),
            ("record_event_types", catalogue.eventTypes.map { .array($0.sorted().map { .string($0) }) }),
        ]
        _ = try await call("/v1/config", .members(config), method: "PATCH", key: key, environment: environment)
        return catalogue
    }

    /// Creates a plan for each variant, and the variant's own prices. Variants without a fallback come first.
    private mutating func sellPlans(_ catalogue: ModelCatalogue, _ key: String, _ environment: Int32) async throws {
        let variants = catalogue.variants.sorted {
            ($0.value.fallback == nil ? 0 : 1, $0.key) < ($1.value.fallback == nil ? 0 : 1, $1.key)
        }
        for (number, variant) in variants {
            let name: [(String, JSONValue?)] = [
                ("key", .string(Market.key(number))), ("name", .string("plan \(number)")),
            ]
            _ = try await call(
                "/v1/plans", .members(name + [("slot", .string(variant.slot))]), key: key, environment: environment)
            _ = try await call(
                "/v1/plans/\(Market.key(number))/variants", .members(name + variant.members), key: key,
                environment: environment)
            for (feature, prices) in variant.prices {
                for (from, price) in prices {
                    let rule: [(String, JSONValue?)] = [
                        ("feature_key", .string(feature)), ("plan_variant_id", .string(Market.key(number))),
                        ("effective_from", .string(from.description)),
                    ]
                    _ = try await call(
                        "/v1/metering-rules", .members(rule + price.members), key: key, environment: environment)
                }
            }
        }
    }

    private mutating func call(
        _ path: String, _ body: JSONValue, method: String = "POST", key: String, environment: Int32 = 0
    ) async throws -> JSONValue {
        number += 1
        let name = "set-up-\(number)"
        commands.insert(commandIdentifier(environment: environment, key: name))
        let result = await http.send(
            method, fleet.apiNodes[0], path, key: key, body: body.bytes, headers: [("Idempotency-Key", name)])
        guard case .answered(let answer) = result, [200, 201].contains(answer.status) else {
            throw TortureError("\(method) \(path): \(result)")
        }
        return answer.json
    }
}
