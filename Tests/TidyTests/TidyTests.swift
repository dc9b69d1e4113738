import Foundation
import Testing

/// The repository's own rules, held by a test.
@Suite("Tidy")
struct TidyTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardized

    @Test("nothing but the agreed folders and files stands at the top level")
    func topLevel() throws {
        let allowed: Set = [
            "Package.swift", "Sources", "Tests", "Migrations", "ops", "README.md", "LICENSE", "CHANGELOG.md",
            "CONTRIBUTING.md", "SECURITY.md", "Package.resolved",
        ]
        let entries = try FileManager.default.contentsOfDirectory(atPath: Self.root.path)
        #expect(Set(entries.filter { !$0.hasPrefix(".") }).subtracting(allowed) == [])
    }

    @Test("SQL is in Storage, in Migrations and in the drivers' own session commands")
    func sqlIsInStorage() throws {
        let pattern = try Regex(#"\"{3}\s*\n\s*(select|insert|update|delete|copy) "#)
        // Peers have SQL of their own, and the torture reads the books behind the product's back.
        let exceptions = [
            "Sources/Adapters/Storage/", "Sources/Tools/LoadGenerator/Peers/",
            "Sources/Tools/Torture/Checks/Books.swift",
        ]
        for (path, text) in try sources() where !exceptions.contains(where: { path.hasPrefix($0) }) {
            #expect(text.firstMatch(of: pattern) == nil, "\(path) has SQL")
        }
    }

    @Test("the API comes to the database through TenantReads only, which sets the environment")
    func readsAreOfATenant() throws {
        for (path, text) in try sources() where path.hasPrefix("Sources/Roles/API/") {
            #expect(!text.contains("PostgresPool"), "\(path)")
            #expect(!text.contains("PostgresConnection.connect"), "\(path)")
        }
    }

    @Test("the pure core imports nothing that does input or output")
    func purity() throws {
        let forbidden = ["Foundation", "Glibc", "Dispatch", "NIO", "Logging", "Postgres", "RabbitMQ", "Storage"]
        for module in ["Credits", "JSON", "Metering", "Ledger", "Answers"] {
            for (path, text) in try sources() where path.hasPrefix("Sources/Core/\(module)/") {
                for name in forbidden {
                    #expect(
                        text.firstMatch(of: try Regex("(?m)^(internal |package )?import \(name)")) == nil,
                        "\(path) imports \(name)")
                }
                #expect(!text.contains(" async "), "\(path) is asynchronous")
                #expect(text.firstMatch(of: /\.random\(|Clock\.now|Date\(\)/) == nil, "\(path) asks for chance or time")
            }
        }
    }

    @Test("no source has what the style rules out")
    func style() throws {
        let rules: [(String, String)] = [
            (#"try!"#, "try!"), (#"(?m)^public |^ +public "#, "public"),
            (#"FIX"# + #"ME|TO"# + #"DO|XX"# + #"X"#, "a note to self"),
            (#"fatalError\("#, "fatalError"),
        ]
        for (path, text) in try sources() {
            for (pattern, name) in rules {
                #expect(text.firstMatch(of: try Regex(pattern)) == nil, "\(path) has \(name)")
            }
            if !path.hasPrefix("Sources/Programs/QuotaStackCLI/") {
                #expect(text.firstMatch(of: /(?m)^\s*print\(/) == nil, "\(path) prints")
            }
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false).count
            #expect(lines <= 600, "\(path) has \(lines) lines")
        }
    }

    @Test("every test function is a test, and none sleeps")
    func testsAreTests() throws {
        for (path, text) in try files(below: "Tests") {
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            for (index, line) in lines.enumerated() where line.contains(/^\s+func test[A-Z]/) {
                #expect(
                    lines[max(0, index - 4)..<index].contains { $0.contains("@Test") },
                    "\(path): \(line.trimmingCharacters(in: .whitespaces)) never runs")
            }
            if path != "Tests/TidyTests/TidyTests.swift", path != "Tests/AcceptanceTests/Harness/Polling.swift" {
                #expect(!text.contains("Task" + ".sleep"), "\(path) sleeps")
            }
        }
    }

    @Test("no file names a path of somebody's machine")
    func noPrivatePaths() throws {
        for folder in ["Sources", "Tests", "Migrations", "ops"] {
            for (path, text) in try files(
                below: folder, endings: [".swift", ".sql", ".sh", "up", "down", "test", "bench"])
            {
                #expect(
                    text.firstMatch(of: /(^|[^A-Za-z0-9._-])\/(home|Users|root|work)\//) == nil
                        || path.contains("ops/"), "\(path)")
            }
        }
    }

    private func sources() throws -> [(path: String, text: String)] {
        try files(below: "Sources")
    }

    private func files(below folder: String, endings: [String] = [".swift"]) throws -> [(path: String, text: String)] {
        let base = Self.root.appending(path: folder)
        let paths = try #require(FileManager.default.enumerator(atPath: base.path)).compactMap { $0 as? String }
        let found = try paths.filter { path in endings.contains { path.hasSuffix($0) } }.compactMap {
            path -> (String, String)? in
            let file = base.appending(path: path)
            guard try file.resourceValues(forKeys: [.isRegularFileKey]).isRegularFile == true else { return nil }
            return ("\(folder)/\(path)", try String(contentsOf: file, encoding: .utf8))
        }
        #expect(!found.isEmpty)
        return found
    }
}
