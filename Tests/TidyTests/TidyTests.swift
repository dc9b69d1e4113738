import Foundation
import Testing

/// The repository's own rules, enforced by tests.
@Suite("Tidy")
struct TidyTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardized

    @Test("nothing but the agreed folders and files is at the top level")
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
        // Peers have their own SQL, and the torture reads the tables without the product.
        let exceptions = [
            "Sources/Adapters/Storage/", "Sources/Tools/LoadGenerator/Peers/",
            "Sources/Tools/Torture/Checks/Books", "Sources/TestSupport/",
        ]
        for (path, text) in try sources() where !exceptions.contains(where: { path.hasPrefix($0) }) {
            #expect(text.firstMatch(of: pattern) == nil, "\(path) has SQL")
        }
    }

    @Test("the API reads the database through TenantReads only, which sets the environment")
    func readsAreOfATenant() throws {
        for (path, text) in try sources() where path.hasPrefix("Sources/Roles/API/") {
            #expect(!text.contains("PostgresPool"), "\(path)")
            #expect(!text.contains("PostgresConnection.connect"), "\(path)")
        }
    }

    @Test("a module imports only modules of its own layer and of those below, and a role imports no other role")
    func layers() throws {
        let mayImport: [String: Set] = [
            "Drivers": ["Drivers"],
            "Core": ["Core"],
            "Adapters": ["Drivers", "Core", "Adapters"],
            "Roles": ["Drivers", "Core", "Adapters"],
            "Programs": ["Drivers", "Core", "Adapters", "Roles", "Programs", "Tools"],
            "Tools": ["Drivers", "Core", "Adapters", "Tools", "TestSupport"],
            "TestSupport": ["Drivers", "Core", "Adapters", "TestSupport"],
        ]
        let sources = try sources()
        let modules = Dictionary(
            sources.map { source in
                let parts = source.path.split(separator: "/").map(String.init)
                return (parts[2], parts[1])
            }
        ) { first, _ in first }
        #expect(Set(modules.values) == Set(mayImport.keys))
        for (path, text) in sources {
            let parts = path.split(separator: "/").map(String.init)
            for name in imports(text) where name != parts[2] {
                guard let layer = modules[name] else { continue }
                #expect(mayImport[parts[1], default: []].contains(layer), "\(path) imports \(name)")
            }
        }
    }

    // A module that is imported but not declared builds when chance compiles it first, and fails in another clone.
    @Test("every module of the package that a target imports is declared as its dependency")
    func importsAreDeclared() throws {
        let package = try String(contentsOf: Self.root.appending(path: "Package.swift"), encoding: .utf8)
        let calls = package.matches(
            of: /\b(module|program|tests)\(\s*(?:\.\w+,\s*)?"(\w+)"(?:,\s*\[([^\]]*)\])?/)
        var declared: [String: Set<String>] = [:]
        for call in calls {
            let names = (call.3 ?? "").matches(of: /"(\w+)"/).map { String($0.1) }
            declared["\(call.2)\(call.1 == "tests" ? "Tests" : "")", default: []].formUnion(names)
        }
        let modules = Set(declared.keys).union(["CHandleThread", "CPostgres", "CRabbitMQ"])
        #expect(declared["Metering"] == ["Credits", "JSON"])
        for (path, text) in try sources() + files(below: "Tests") {
            let parts = path.split(separator: "/").map(String.init)
            let name = parts[0] == "Tests" ? parts[1] : parts[2]
            let missing = imports(text).intersection(modules).subtracting([name]).subtracting(
                declared[name, default: []])
            #expect(missing == [], "\(path) imports what Package.swift does not declare for \(name)")
        }
    }

    @Test("Storage, Migrations and Replica do not depend on messages, answers or the broker")
    func storageIsAlone() throws {
        let folders = ["Storage", "Migrations", "Replica"].map { "Sources/Adapters/\($0)/" }
        for (path, text) in try sources() where folders.contains(where: { path.hasPrefix($0) }) {
            #expect(imports(text).isDisjoint(with: ["Messaging", "Answers", "RabbitMQ", "CRabbitMQ"]), "\(path)")
        }
    }

    @Test("the core does no input or output, and uses neither the clock nor randomness")
    func purity() throws {
        let forbidden: Set = ["Foundation", "FoundationEssentials", "Glibc", "Dispatch", "Logging", "Synchronization"]
        for (path, text) in try sources() where path.hasPrefix("Sources/Core/") {
            #expect(imports(text).isDisjoint(with: forbidden), "\(path)")
            #expect(!text.contains(" async "), "\(path) is asynchronous")
            #expect(
                text.firstMatch(of: /\.random\(|Clock\.now|Date\(\)/) == nil, "\(path) uses the clock or randomness")
        }
    }

    @Test("no source contains what the style forbids")
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
            if path != "Tests/TidyTests/TidyTests.swift" {
                #expect(!text.contains("Task" + ".sleep"), "\(path) sleeps")
            }
        }
    }

    @Test("every declaration is used, and not only by tests")
    func everythingIsUsed() throws {
        /// Names that a library calls: requirements of protocols, entry points.
        let calledByLibraries: Set = [
            "decrement", "recordNanoseconds", "preferDisplayUnit", "makeCounter", "makeMeter", "makeRecorder",
            "makeTimer",
            "destroyCounter", "destroyMeter", "destroyRecorder", "destroyTimer", "underestimatedCount", "handle",
            "createBuildCommands", "handlerAdded", "handlerRemoved", "errorCaught", "channelInactive",
            "handleScheduledCallback", "channelReadComplete", "makeAsyncIterator",
            "NodeProgram", "QuotaStackCommand", "TortureCommand", "EmbedFiles", "EmbedFilesPlugin",
        ]
        var occurrences: [Substring: Int] = [:]
        var declared: [Substring: String] = [:]
        let keywords: Set<Substring> = ["func", "var", "let", "struct", "class", "enum", "actor", "protocol"]
        let sources = try sources().filter { !$0.path.hasPrefix("Sources/TestSupport/") }
        for (path, text) in sources {
            for line in text.split(separator: "\n") where !line.drop(while: { $0 == " " }).hasPrefix("//") {
                var last: Substring = ""
                for word in line.split(whereSeparator: { !$0.isLetter && !$0.isNumber && $0 != "_" }) {
                    occurrences[word, default: 0] += 1
                    if keywords.contains(last), word.first?.isNumber == false { declared[word] = path }
                    last = word
                }
            }
        }
        for (name, path) in declared where occurrences[name] == 1 && !calledByLibraries.contains(String(name)) {
            Issue.record("\(path): \(name) is unused, except perhaps by a test")
        }
    }

    @Test("the folder is the only list of migrations")
    func migrationsAreAFolder() throws {
        let names = try files(below: "Migrations", endings: [".sql"]).map { path, _ in
            path.split(separator: "/").last.map { String($0.dropLast(".sql".count)) } ?? ""
        }
        #expect(names.count >= 10)
        let package = try String(contentsOf: Self.root.appending(path: "Package.swift"), encoding: .utf8)
        for (path, text) in try sources() + [("Package.swift", package)] {
            for name in names { #expect(!text.contains(name), "\(path) names \(name)") }
        }
    }

    @Test("the subject of a commit is an imperative of at most 72 characters, and a body says why")
    func commits() throws {
        // Commits before this one followed no rule.
        let log = try git("log", "--format=%h%x1f%s%x1f%b%x1e", "6effec5..HEAD")
        for commit in log.split(separator: "\u{1E}") {
            let parts = commit.drop { $0.isWhitespace }.split(separator: "\u{1F}", omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            let (name, subject, body) = (parts[0], parts[1], parts[2])
            let verb = subject.prefix { $0 != " " }
            #expect(subject.count <= 72 && !subject.hasSuffix("."), "\(name): \(subject)")
            #expect(verb.first?.isUppercase == true && !verb.contains(":"), "\(name): \(subject)")
            // "Adds", "Added" and "Adding" are no imperatives; "Pass" is one.
            let isImperative = verb.wholeMatch(of: /.*([^s]s|ed|ing)/) == nil
            #expect(isImperative && verb != "Merge", "\(name): \(subject)")
            let isExplained = body.contains { !$0.isWhitespace }
            #expect(isExplained, "\(name): \(subject) does not say why")
        }
    }

    @Test("no file names a path of a developer's machine")
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

    /// The output of a git command in the checkout.
    private func git(_ arguments: String...) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["git", "-c", "safe.directory=*", "-C", Self.root.path] + arguments
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let bytes = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "git \(arguments) failed")
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The modules that a file imports.
    private func imports(_ text: String) -> Set<String> {
        Set(text.matches(of: /(?m)^(?:@\w+ )?(?:package |internal )?import (\w+)/).map { String($0.1) })
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
