// swift-tools-version:6.2
import PackageDescription

/// Every target is held to the same rules: no implicit re-export of imports, explicit existentials, and no warning
/// survives a build.
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

/// Failpoints are part of debug builds, and of a release build that is made for a torture run.
let failpoints: SwiftSetting =
    Context.environment["QUOTASTACK_FAILPOINTS"] == nil
    ? .define("FAILPOINTS", .when(configuration: .debug)) : .define("FAILPOINTS")

/// The layers of Sources, from the bottom up. A module imports modules of its own layer and of those before it:
/// `TidyTests` holds that, and Sources/README.md explains it.
enum Layer: String {
    /// Clients over C libraries: one thread owns one C handle.
    case drivers = "Drivers"
    /// Values in, values out: no input or output, no clock, no randomness.
    case core = "Core"
    /// The database, the broker and the process's surroundings.
    case adapters = "Adapters"
    /// The work that a process of an installation does.
    case roles = "Roles"
    /// The executables.
    case programs = "Programs"
    /// Programs and libraries beside an installation: they load it, measure it, examine it and break it.
    case tools = "Tools"
    /// Code that several test targets share.
    case testSupport = "TestSupport"
}

/// A library module: `Sources/<layer>/<name>`.
func module(
    _ layer: Layer, _ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = [],
    settings extra: [SwiftSetting] = [], plugins: [Target.PluginUsage] = []
) -> Target {
    .target(
        name: name, dependencies: dependencies, path: "Sources/\(layer.rawValue)/\(name)", exclude: exclude,
        swiftSettings: settings + extra, plugins: plugins)
}

/// An executable: `Sources/<layer>/<name>`.
func program(_ layer: Layer, _ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(
        name: name, dependencies: dependencies, path: "Sources/\(layer.rawValue)/\(name)", swiftSettings: settings)
}

/// The tests of a module, in a folder of its name with `Tests` behind it.
func tests(_ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []) -> Target {
    .testTarget(
        name: "\(name)Tests", dependencies: dependencies, path: "Tests/\(name)Tests", exclude: exclude,
        swiftSettings: settings)
}

/// A C library of the system, with the Debian package that has its headers.
func system(_ name: String, pkgConfig: String, apt: String) -> Target {
    .systemLibrary(
        name: name, path: "Sources/Drivers/\(name)", pkgConfig: pkgConfig, providers: [.apt([apt])])
}

func product(_ name: String, _ package: String) -> Target.Dependency { .product(name: name, package: package) }

let arguments = product("ArgumentParser", "swift-argument-parser")
let asyncHTTPClient = product("AsyncHTTPClient", "async-http-client")
let configuration = product("Configuration", "swift-configuration")
let crypto = product("Crypto", "swift-crypto")
let histogram = product("Histogram", "hdrhistogram-swift")
let httpTypes = product("HTTPTypes", "swift-http-types")
let hummingbird = product("Hummingbird", "hummingbird")
let lifecycle = product("ServiceLifecycle", "swift-service-lifecycle")
let logging = product("Logging", "swift-log")
let metrics = product("CoreMetrics", "swift-metrics")
let nioCore = product("NIOCore", "swift-nio")
let nioHTTP1 = product("NIOHTTP1", "swift-nio")
let nioPosix = product("NIOPosix", "swift-nio")
let nioSSL = product("NIOSSL", "swift-nio-ssl")
let signals = product("UnixSignals", "swift-service-lifecycle")
let systemPackage = product("SystemPackage", "swift-system")

let package = Package(
    name: "quotastack",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "quotastack", targets: ["QuotaStackCLI"]),
        .executable(name: "quotastack-api", targets: ["NodeProgram"]),
        .executable(name: "quotastack-entitlements", targets: ["NodeProgram"]),
        .executable(name: "quotastack-ledger", targets: ["NodeProgram"]),
        .executable(name: "quotastack-scheduler", targets: ["NodeProgram"]),
        .executable(name: "quotastack-webhooks", targets: ["NodeProgram"]),
        .executable(name: "quotastack-torture", targets: ["Torture"]),
    ],
    dependencies: [
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: []),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0", traits: []),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        system("CMarkdown", pkgConfig: "libcmark-gfm", apt: "libcmark-gfm-extensions-dev"),
        system("CPostgres", pkgConfig: "libpq", apt: "libpq-dev"),
        system("CRabbitMQ", pkgConfig: "librabbitmq", apt: "librabbitmq-dev"),
        system("CZlib", pkgConfig: "zlib", apt: "zlib1g-dev"),
        .target(name: "CHandleThread", path: "Sources/Drivers/CHandleThread"),
        .target(name: "CProcess", path: "Sources/Drivers/CProcess"),
        module(.drivers, "Compression", ["CZlib"]),
        module(.drivers, "Failpoints", settings: [failpoints]),
        module(.drivers, "HandleThread", ["CHandleThread"]),
        module(.drivers, "Markdown", ["CMarkdown"]),
        module(.drivers, "Postgres", ["CPostgres", "HandleThread", logging]),
        module(.drivers, "RabbitMQ", ["CRabbitMQ", "Failpoints", "HandleThread", logging]),

        module(.core, "Credits"),
        module(.core, "JSON"),
        module(.core, "Metering", ["Credits", "JSON"]),
        module(.core, "Catalogue", ["Credits", "JSON", "Metering"]),
        module(
            .core, "Ledger", ["Catalogue", "Credits", "JSON", "Metering", crypto],
            exclude: ["RULES.md", "Events/EVENTS.md"]),
        module(.core, "Webhooks", ["Catalogue", "Credits", "JSON", crypto]),
        module(.core, "Commands", ["Catalogue", "Credits", "Ledger", "Metering", "Webhooks", crypto]),
        module(.core, "Answers", ["Catalogue", "Commands", "Credits", "JSON", "Ledger", "Metering", "Webhooks"]),

        module(
            .adapters, "Runtime",
            [
                "CProcess", "Credits", "Failpoints", "Postgres", "RabbitMQ", "Webhooks", configuration, logging,
                metrics, nioCore, nioPosix,
                systemPackage,
            ]),
        module(
            .adapters, "Messaging",
            ["Catalogue", "Commands", "Credits", "Ledger", "Metering", "RabbitMQ", "Webhooks"]),
        module(
            .adapters, "Storage",
            [
                "Catalogue", "Commands", "Credits", "Failpoints", "JSON", "Ledger", "Metering", "Postgres", "Webhooks",
                logging,
            ]),
        module(
            .adapters, "Docs", ["JSON", "Markdown", crypto], exclude: ["Pages"], plugins: ["EmbedFilesPlugin"]),
        module(.adapters, "MCP", ["Credits", "Docs", "JSON"]),
        module(.adapters, "Migrations", ["Storage"], plugins: ["EmbedFilesPlugin"]),
        module(
            .adapters, "Replica",
            [
                "Catalogue", "Commands", "Credits", "Failpoints", "Ledger", "Metering", "Postgres", "Runtime",
                "Storage",
                lifecycle, logging, metrics,
            ]),

        module(
            .roles, "LedgerWorker",
            [
                "Answers", "Catalogue", "Commands", "Credits", "Failpoints", "JSON", "Ledger", "Messaging", "Metering",
                "Postgres", "RabbitMQ", "Runtime", "Storage", "Webhooks", crypto, lifecycle, logging, metrics,
            ]),
        module(
            .roles, "Scheduler",
            [
                "Commands", "Credits", "Failpoints", "Ledger", "Messaging", "Postgres", "RabbitMQ", "Runtime",
                "Storage", lifecycle, logging, metrics,
            ]),
        module(
            .roles, "API",
            [
                "Answers", "Catalogue", "Commands", "Compression", "Credits", "Docs", "Failpoints", "JSON", "Ledger",
                "MCP",
                "Messaging", "Metering", "Postgres", "RabbitMQ", "Replica", "Runtime", "Storage", "Webhooks", crypto,
                httpTypes,
                hummingbird, lifecycle, logging, metrics, nioCore, nioHTTP1, nioPosix, nioSSL,
            ]),

        module(
            .roles, "WebhookWorker",
            [
                "Answers", "Catalogue", "Credits", "Failpoints", "JSON", "Postgres", "Runtime", "Storage", "Webhooks",
                asyncHTTPClient, lifecycle, logging, metrics, nioCore, nioHTTP1, nioPosix,
            ]),

        module(.tools, "ChildProcesses"),
        module(
            .tools, "Doctor",
            [
                "JSON", "Messaging", "Postgres", "RabbitMQ", "Runtime", "Storage", asyncHTTPClient, logging, nioCore,
            ]),
        program(.tools, "EmbedFiles", []),
        .plugin(
            name: "EmbedFilesPlugin", capability: .buildTool(), dependencies: ["EmbedFiles"],
            path: "Sources/Tools/EmbedFilesPlugin"),
        module(.tools, "Ingest", ["Credits", "JSON", asyncHTTPClient, crypto, logging, nioCore, nioHTTP1]),
        module(.tools, "LoadGenerator", ["ChildProcesses", "JSON", histogram, nioCore, nioHTTP1, nioPosix]),
        program(
            .tools, "Torture",
            [
                "ChildProcesses", "Credits", "JSON", "LedgerModel", "Postgres", "SeededRandom", "WebhookReceiver",
                arguments, asyncHTTPClient, crypto, logging, nioCore, nioHTTP1,
            ]),

        module(
            .programs, "Nodes",
            [
                "API", "Failpoints", "LedgerWorker", "Messaging", "Migrations", "Postgres", "RabbitMQ", "Replica",
                "Runtime", "Scheduler", "Storage", "WebhookWorker", "Webhooks", lifecycle, logging, metrics, nioCore,
                nioPosix,
                signals,
            ]),
        program(.programs, "NodeProgram", ["Nodes", arguments]),
        program(
            .programs, "QuotaStackCLI",
            [
                "API", "ChildProcesses", "Credits", "Docs", "Doctor", "Failpoints", "Ingest", "JSON", "Ledger",
                "LoadGenerator", "MCP",
                "Messaging",
                "Migrations", "Nodes", "Postgres", "Runtime", "Storage", "Webhooks", arguments, asyncHTTPClient,
                logging,
                nioCore, nioHTTP1, nioPosix,
            ]),

        module(.testSupport, "Arazzo", ["JSON"]),
        module(.testSupport, "LedgerModel", ["Credits"]),
        module(.testSupport, "OpenAPI", ["JSON"]),
        module(.testSupport, "OldEntries", ["Credits", "Ledger"]),
        module(.testSupport, "SeededRandom"),
        module(.testSupport, "Deflation", ["CZlib"]),
        module(.testSupport, "TCPProxy"),
        module(.testSupport, "TLSEndpoint", [nioCore, nioPosix, nioSSL]),
        module(
            .testSupport, "TestBooks",
            ["Catalogue", "Commands", "Credits", "Ledger", "Metering", "Postgres", "SeededRandom", "Storage"]),
        module(.testSupport, "TestDatabases", ["Migrations", "Postgres", "Storage", "Turns", logging]),
        module(.testSupport, "Turns"),
        module(.testSupport, "WebhookReceiver", [nioCore, nioHTTP1, nioPosix]),

        tests("Compression", ["Compression", "Deflation"]),
        tests("Credits", ["Credits"]),
        tests("HandleThread", ["HandleThread"]),
        tests("JSON", ["JSON"]),
        tests("Metering", ["Catalogue", "Credits", "JSON", "Metering", "SeededRandom"]),
        tests("Catalogue", ["Catalogue", "Credits", "JSON", "LedgerModel", "Metering"]),
        tests(
            "Ledger",
            ["Catalogue", "Credits", "JSON", "Ledger", "LedgerModel", "Metering", "OldEntries", "SeededRandom", crypto]),
        tests("Postgres", ["Postgres", "SeededRandom", "TLSEndpoint", "TCPProxy"]),
        tests("RabbitMQ", ["RabbitMQ", "TCPProxy", "TLSEndpoint", logging]),
        tests(
            "Messaging", ["Catalogue", "Commands", "Credits", "Ledger", "Messaging", "Metering", "Webhooks"],
            exclude: ["Recorded/messages.txt"]),
        tests("Runtime", ["Runtime", logging, metrics]),
        tests(
            "Storage",
            [
                "Answers", "Catalogue", "Commands", "Credits", "Ledger", "Metering", "Migrations", "OldEntries",
                "Postgres", "SeededRandom", "Storage", "TestBooks", "TestDatabases", "Webhooks", logging,
            ]),
        tests(
            "Replica",
            [
                "Catalogue", "Commands", "Credits", "Ledger", "Metering", "Postgres", "Replica", "Runtime",
                "SeededRandom", "Storage", "TestBooks", "TestDatabases",
            ]),
        tests(
            "LedgerWorker",
            [
                "Answers", "Catalogue", "Commands", "Credits", "JSON", "Ledger", "LedgerWorker", "Messaging",
                "Metering",
                "Postgres", "RabbitMQ", "Runtime", "SeededRandom", "Storage", "TestDatabases",
            ]),
        tests(
            "API",
            [
                "API", "Answers", "Catalogue", "Commands", "Credits", "JSON", "Ledger", "Messaging", "Metering",
                "Postgres", nioCore,
            ]),
        tests("Webhooks", ["Catalogue", "Credits", "JSON", "Webhooks"]),
        tests(
            "WebhookWorker",
            ["Credits", "Postgres", "Runtime", "Storage", "WebhookReceiver", "WebhookWorker", "Webhooks"]),
        tests("Docs", ["Answers", "Catalogue", "Docs", "MCP", "Markdown", "Runtime", "Webhooks"]),
        tests("MCP", ["Credits", "Docs", "JSON", "MCP"]),
        tests("Doctor", ["Doctor", "JSON", "Storage"]),
        tests("Ingest", ["Credits", "Ingest", "JSON", logging, nioCore, nioHTTP1, nioPosix]),
        tests("ChildProcesses", ["ChildProcesses"]),
        tests("LoadGenerator", ["ChildProcesses", "JSON", "LoadGenerator", nioCore, nioPosix]),
        tests(
            "Acceptance",
            [
                "API", "Arazzo", "Catalogue", "ChildProcesses", "Commands", "Credits", "Deflation", "Docs", "JSON",
                "Ledger",
                "LedgerModel", "MCP",
                "Messaging", "NodeProgram", "OpenAPI", "Postgres",
                "QuotaStackCLI", "RabbitMQ", "Replica", "Runtime", "SeededRandom", "Storage", "TCPProxy", "Turns",
                "WebhookReceiver", "Webhooks",
                asyncHTTPClient, crypto, logging, nioCore, nioHTTP1, nioSSL,
            ],
            exclude: [
                "Docs/node.d.ts", "Recorded/answers.txt", "Recorded/export-version-1.ndjson", "Recorded/requests.txt",
            ]),
        tests("Tidy"),
    ],
    swiftLanguageModes: [.v6]
)
