import ChildProcesses
import Credits
import JSON
import LedgerModel

/// A fresh installation on private servers: two API nodes, two entitlement nodes, three ledger workers, and two tenants.
final class Installation: Sendable {
    static let queuePrefix = "torture."
    /// How long a mutation may wait for its effect: short, so that outages make many 202.
    static let commandWaitMilliseconds = 2_000
    private static let counts: [(role: Node.Role, count: Int)] = [
        (.ledger, 3), (.api, 2), (.entitlements, 2), (.scheduler, 2),
    ]

    let fleet: Fleet
    let http = HTTPCaller()
    /// As the superuser, from whom row-level security hides nothing.
    let booksURL: String
    let logFolder: String
    /// What must not be seen in a log.
    let secrets: Set<String>
    let environments: [Environment]
    /// The commands that made the catalogue.
    let setUpCommands: Set<Bits128>
    private let programs: String
    private let variables: [String: String]

    /// Migrates, starts all processes, and makes the tenants with their catalogues.
    init(
        home: String, script: String, programs: String, databaseURL: String, booksURL: String, amqpURL: String
    ) async throws {
        self.booksURL = booksURL
        self.programs = programs
        logFolder = "\(home)/log"
        let rootKey = try await Self.output([programs + "/quotastack", "key", "root"], [:], logFolder)
        var variables = [
            "PATH": environmentVariable("PATH") ?? "/usr/bin:/bin", "LANG": "C.UTF-8", "DATABASE_URL": databaseURL,
            "AMQP_URL": amqpURL, "QUOTASTACK_QUEUE_PREFIX": Self.queuePrefix, "QUOTASTACK_SHARDS": "4",
            "QUOTASTACK_COMMAND_WAIT_MS": "\(Self.commandWaitMilliseconds)", "SWIFT_BACKTRACE": "enable=no",
        ]
        self.variables = variables
        _ = try await Self.output([programs + "/quotastack", "migrate"], variables, logFolder)
        let ports = FreePorts()
        var nodes: [Node] = []
        for (role, count) in Self.counts {
            variables["QUOTASTACK_ROOT_KEY"] = role == .api ? rootKey : nil
            variables["AMQP_URL"] = role == .entitlements ? nil : amqpURL
            for number in 1...count {
                nodes.append(
                    Node(
                        role: role, number: number, port: try ports.next(),
                        program: "\(programs)/quotastack-\(role.rawValue)", environment: variables,
                        logFolder: logFolder))
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
            [rootKey, Self.password(databaseURL), Self.password(booksURL), Self.password(amqpURL)]
                + environments.map(\.apiKey))
    }

    /// Declares what queues are missing, among other things.
    func migrate() async throws {
        _ = try await Self.output([programs + "/quotastack", "migrate"], variables, logFolder)
    }

    /// Checks the books with the product's own command.
    func verify(_ violations: Violations) async throws {
        let result = try await ChildProcess.run(
            [programs + "/quotastack", "verify"], environment: variables, logPath: logFolder + "/verify.log")
        if result.status != 0 || !result.output.contains("The books are clean") || result.output.contains("parked") {
            violations.add("quotastack verify: \(result.output.prefix(2_000))")
        }
    }

    private static func output(
        _ command: [String], _ environment: [String: String], _ logFolder: String
    ) async throws -> String {
        let result = try await ChildProcess.run(command, environment: environment, logPath: logFolder + "/command.out")
        guard result.status == 0 else {
            throw TortureError("\(command.joined(separator: " ")) ended with \(result.status): \(result.output)")
        }
        return String(result.output.prefix { $0 != "\n" })
    }

    private static func password(_ url: String) -> String {
        let user = url.drop { $0 != "@" }.isEmpty ? "" : url.prefix { $0 != "@" }
        return String(user.split(separator: ":").last ?? "")
    }
}

/// Makes the tenants of an installation and what they sell.
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
                throw TortureError("the database does not know a tenant that was made")
            }
            environments.append(
                Environment(
                    number: environments.count, identifier: found.identifier, apiKey: key,
                    features: try await sell(key, found.identifier, unitCost: [3, 5, 7, 11][environments.count])))
        }
        return environments
    }

    /// Puts the same catalogue into the installation and into the model.
    private mutating func sell(
        _ key: String, _ environment: Int32, unitCost: Int64
    ) async throws -> [String: ModelLedger.Feature] {
        let start = Instant(microseconds: 0)
        let prices: [(feature: String, model: [(String, JSONValue?)], price: ModelPrice)] = [
            (
                "calls", [("model", .string("per_unit")), ("unit_cost", .integer(unitCost))],
                .perUnit(unitCost, per: 1)
            ),
            (
                "tokens",
                [
                    ("model", .string("per_unit")), ("unit_cost", .integer(unitCost)), ("per_units", .integer(1_000)),
                ], .perUnit(unitCost, per: 1_000)
            ),
            ("flat", [("model", .string("flat")), ("amount", .integer(20 + unitCost))], .flat(20 + unitCost)),
        ]
        var features: [String: ModelLedger.Feature] = [:]
        for (feature, model, price) in prices {
            let named: [(String, JSONValue?)] = [
                ("key", .string(feature)), ("name", .string(feature)), ("type", .string("metered")),
            ]
            _ = try await call("/v1/features", .members(named), key: key, environment: environment)
            let rule: [(String, JSONValue?)] = [
                ("feature_key", .string(feature)), ("effective_from", .string(start.description)),
            ]
            _ = try await call("/v1/metering-rules", .members(rule + model), key: key, environment: environment)
            features[feature] = ModelLedger.Feature(prices: [(from: start, price: price)])
        }
        return features
    }

    private mutating func call(
        _ path: String, _ body: JSONValue, key: String, environment: Int32 = 0
    ) async throws -> JSONValue {
        number += 1
        let name = "set-up-\(number)"
        commands.insert(commandIdentifier(environment: environment, key: name))
        let result = await http.send(
            "POST", fleet.apiNodes[0], path, key: key, body: body.bytes, headers: [("Idempotency-Key", name)])
        guard case .answered(let answer) = result, answer.status == 201 else {
            throw TortureError("POST \(path): \(result)")
        }
        return answer.json
    }
}
