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
let failpointSettings: [SwiftSetting] =
    settings + [
        Context.environment["QUOTASTACK_FAILPOINTS"] == nil
            ? .define("FAILPOINTS", .when(configuration: .debug)) : .define("FAILPOINTS")
    ]

let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let histogram = Target.Dependency.product(name: "Histogram", package: "hdrhistogram-swift")

let package = Package(
    name: "quotastack",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "quotastack", targets: ["QuotaStackCLI"]),
        .executable(name: "quotastack-api", targets: ["APINode"]),
        .executable(name: "quotastack-entitlements", targets: ["EntitlementNode"]),
        .executable(name: "quotastack-ledger", targets: ["LedgerNode"]),
        .executable(name: "quotastack-scheduler", targets: ["SchedulerNode"]),
        .executable(name: "quotastack-torture", targets: ["Torture"]),
    ],
    dependencies: [
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: []),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0", traits: []),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // Drivers: one thread owns one C handle.
        .systemLibrary(name: "CPostgres", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CRabbitMQ", pkgConfig: "librabbitmq", providers: [.apt(["librabbitmq-dev"])]),
        .target(name: "CHandleThread"),
        .target(name: "HandleThread", dependencies: ["CHandleThread"], swiftSettings: settings),
        .target(name: "Postgres", dependencies: ["CPostgres", "HandleThread", logging], swiftSettings: settings),
        .target(name: "Failpoints", swiftSettings: failpointSettings),
        .target(
            name: "RabbitMQ", dependencies: ["CRabbitMQ", "Failpoints", "HandleThread", logging],
            swiftSettings: settings),

        // Domain: values in, values out; no input or output, no clock, no randomness.
        .target(name: "Credits", swiftSettings: settings),
        .target(name: "JSON", swiftSettings: settings),
        .target(name: "Metering", dependencies: ["Credits", "JSON"], swiftSettings: settings),
        .target(name: "Ledger", dependencies: ["Credits", "JSON", "Metering", crypto], swiftSettings: settings),
        .target(
            name: "Representations", dependencies: ["Credits", "JSON", "Ledger", "Metering"],
            swiftSettings: settings),

        // Adapters.
        .target(
            name: "LoadGenerator",
            dependencies: [
                "JSON", histogram, nioCore, nioHTTP1, nioPosix,
            ], swiftSettings: settings),
        .target(
            name: "Messaging", dependencies: ["Credits", "Ledger", "Metering", "RabbitMQ"], swiftSettings: settings),
        .target(
            name: "Storage",
            dependencies: [
                "Credits", "Failpoints", "Ledger", "Messaging", "Metering", "Postgres", "Representations", logging,
            ],
            swiftSettings: settings),
        .target(
            name: "Ingest",
            dependencies: [
                "Credits", "JSON", crypto, logging, nioCore, nioHTTP1,
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
            ], swiftSettings: settings),
        .target(
            name: "Migrations", dependencies: ["Storage"], path: "Migrations",
            resources: [
                .embedInCode("0001_ledger.sql"), .embedInCode("0001_ledger.after.sql"),
                .embedInCode("0002_access.sql"),
                .embedInCode("0003_roles.sql"), .embedInCode("0003_roles.after.sql"),
                .embedInCode("0004_ledger_workers.sql"),
                .embedInCode("0005_suspects.sql"),
                .embedInCode("0006_audit.sql"),
                .embedInCode("0007_prices.sql"),
                .embedInCode("0008_catalogue.sql"), .embedInCode("0008_catalogue.after.sql"),
                .embedInCode("0009_complete_ledger.sql"),
            ],
            swiftSettings: settings),
        .target(
            name: "Runtime",
            dependencies: [
                "Failpoints", "Postgres", "RabbitMQ", logging,
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "SystemPackage", package: "swift-system"),
            ], swiftSettings: settings),
        .target(
            name: "Replica",
            dependencies: [
                "Credits", "Failpoints", "Ledger", "Messaging", "Metering", "Postgres", "Runtime", "Storage", lifecycle,
                logging,
            ], swiftSettings: settings),

        // Roles.
        .target(
            name: "LedgerWorker",
            dependencies: [
                "Credits", "Failpoints", "JSON", "Ledger", "Messaging", "Metering", "Postgres", "RabbitMQ",
                "Representations",
                "Runtime", "Storage", crypto, lifecycle, logging,
            ], swiftSettings: settings),
        .target(
            name: "Scheduler",
            dependencies: [
                "Credits", "Failpoints", "Ledger", "Messaging", "Postgres", "RabbitMQ", "Runtime", "Storage", lifecycle,
                logging,
            ], swiftSettings: settings),
        .target(
            name: "API",
            dependencies: [
                "Credits", "Failpoints", "JSON", "Ledger", "Messaging", "Metering", "Postgres", "RabbitMQ", "Replica",
                "Representations", "Runtime", "Storage", crypto, lifecycle, logging, nioCore, nioSSL,
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HummingbirdTLS", package: "hummingbird"),
            ], swiftSettings: settings),

        // What is wrong with an installation.
        .target(
            name: "Doctor",
            dependencies: [
                "JSON", "Messaging", "Postgres", "RabbitMQ", "Runtime", "Storage", logging, nioCore,
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
            ], swiftSettings: settings),

        // Executables: which roles a process has.
        .target(
            name: "Nodes",
            dependencies: [
                "API", "Failpoints", "LedgerWorker", "Messaging", "Migrations", "Postgres", "RabbitMQ", "Replica",
                "Runtime", "Scheduler", "Storage", lifecycle, logging, nioCore, nioPosix, signals,
            ], swiftSettings: settings),
        .executableTarget(name: "APINode", dependencies: ["Nodes", arguments], swiftSettings: settings),
        .executableTarget(name: "EntitlementNode", dependencies: ["Nodes", arguments], swiftSettings: settings),
        .executableTarget(name: "LedgerNode", dependencies: ["Nodes", arguments], swiftSettings: settings),
        .executableTarget(name: "SchedulerNode", dependencies: ["Nodes", arguments], swiftSettings: settings),
        .executableTarget(
            name: "QuotaStackCLI",
            dependencies: [
                "API", "Doctor", "Failpoints", "Ingest", "JSON", "Ledger", "LoadGenerator", "Messaging", "Migrations",
                "Nodes",
                "Postgres",
                "Runtime",
                "Storage", arguments, logging, nioCore, nioHTTP1,
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
            ], swiftSettings: settings),

        // What tests share: numbers that are the same on every machine.
        .target(name: "SeededRandom", path: "Tests/SeededRandom", swiftSettings: settings),

        // A PostgreSQL database for one test.
        .target(
            name: "TestDatabases", dependencies: ["Migrations", "Postgres", "Storage", logging],
            path: "Tests/TestDatabases", swiftSettings: settings),

        // A server that gets as far as its certificate, for those that ought to be refused.
        .target(
            name: "TLSEndpoint", dependencies: [nioCore, nioPosix, nioSSL], path: "Tests/TLSEndpoint",
            swiftSettings: settings),
        // What tests and the torture share: the written rules as a model, and programs that run beside.
        .target(name: "LedgerModel", dependencies: ["Credits"], path: "Tests/LedgerModel", swiftSettings: settings),
        .target(name: "TCPProxy", path: "Tests/TCPProxy", swiftSettings: settings),
        .target(name: "ChildProcesses", path: "Tests/ChildProcesses", swiftSettings: settings),
        .executableTarget(
            name: "Torture",
            dependencies: [
                "ChildProcesses", "Credits", "JSON", "LedgerModel", "Postgres", "SeededRandom", crypto, logging,
                nioCore, nioHTTP1,
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: settings),

        // Tests: the pure core by tables and seeded runs, the adapters on real servers, the whole over HTTP.
        .testTarget(
            name: "AcceptanceTests",
            dependencies: [
                "API", "APINode", "ChildProcesses", "Credits", "EntitlementNode", "JSON", "LedgerModel", "LedgerNode",
                "Messaging", "Postgres", "QuotaStackCLI", "RabbitMQ", "Replica", "Runtime", "SchedulerNode",
                "SeededRandom", "Storage", "TCPProxy", logging, nioCore, nioHTTP1, nioSSL,
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
            ], exclude: ["Recorded/answers.txt", "Recorded/requests.txt"], swiftSettings: settings),
        .testTarget(
            name: "APITests",
            dependencies: ["API", "Credits", "JSON", "Ledger", "Messaging", "Metering", "Representations"],
            swiftSettings: settings),
        .testTarget(name: "DoctorTests", dependencies: ["Doctor", "JSON", "Storage"], swiftSettings: settings),
        .testTarget(name: "CreditsTests", dependencies: ["Credits"], swiftSettings: settings),
        .testTarget(name: "JSONTests", dependencies: ["JSON"], swiftSettings: settings),
        .testTarget(
            name: "MeteringTests", dependencies: ["Credits", "JSON", "Metering", "SeededRandom"],
            swiftSettings: settings),
        .testTarget(
            name: "LedgerTests",
            dependencies: ["Credits", "Ledger", "LedgerModel", "Metering", "SeededRandom", crypto],
            swiftSettings: settings),
        .testTarget(
            name: "IngestTests",
            dependencies: ["Credits", "Ingest", "JSON", logging, nioCore, nioHTTP1, nioPosix],
            swiftSettings: settings),
        .testTarget(
            name: "LedgerWorkerTests",
            dependencies: [
                "Credits", "JSON", "Ledger", "LedgerWorker", "Messaging", "Metering", "Postgres", "RabbitMQ",
                "Representations", "Runtime", "SeededRandom", "Storage", "TestDatabases",
            ], swiftSettings: settings),
        .testTarget(
            name: "LoadGeneratorTests", dependencies: ["JSON", "LoadGenerator", nioCore, nioPosix],
            swiftSettings: settings),
        .testTarget(
            name: "MessagingTests", dependencies: ["Credits", "Ledger", "Messaging", "Metering"],
            swiftSettings: settings),
        .testTarget(
            name: "StorageTests",
            dependencies: [
                "Credits", "Ledger", "Messaging", "Metering", "Migrations", "Postgres", "Replica", "Representations",
                "Runtime", "SeededRandom", "Storage", "TestDatabases", logging,
            ], swiftSettings: settings),
        .testTarget(name: "TidyTests", swiftSettings: settings),
        .testTarget(name: "PostgresTests", dependencies: ["Postgres", "TLSEndpoint"], swiftSettings: settings),
        .testTarget(
            name: "RabbitMQTests", dependencies: ["RabbitMQ", "TCPProxy", "TLSEndpoint", logging],
            swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
