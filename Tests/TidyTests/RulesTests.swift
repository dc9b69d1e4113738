import Foundation
import Testing

/// RULES.md names the tests that show each rule. These tests check the names.
@Suite("Rules of the ledger")
struct RulesTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardized

    @Test("every test that RULES.md names exists")
    func namedTestsExist() throws {
        let references = try rules().matches(of: /`(\w+Tests)\.(\w+)`/)
        #expect(references.count >= 80)
        let functions = try functionsBySuite()
        for reference in Set(references.map { "\($0.1).\($0.2)" }).sorted() {
            let parts = reference.split(separator: ".").map(String.init)
            guard let declared = functions[parts[0]] else {
                Issue.record("RULES.md names \(reference), and no file below Tests declares \(parts[0])")
                continue
            }
            #expect(declared.contains(parts[1]), "RULES.md names \(reference), which no file of that suite has")
        }
    }

    @Test("every rule names a test that shows it")
    func everyRuleHasTest() throws {
        let text = try rules()
        #expect(!text.contains("(no test yet)"))
        for rule in text.components(separatedBy: "\n- ").dropFirst() {
            let sentences = rule.components(separatedBy: "\n\n")[0]
            #expect(sentences.contains(/`\w+Tests\.\w+`/), "RULES.md has a rule without a test: \(sentences)")
        }
    }

    private func rules() throws -> String {
        try String(contentsOf: Self.root.appending(path: "Sources/Core/Ledger/RULES.md"), encoding: .utf8)
    }

    /// The functions of the files that declare a suite, by the suite's name; two suites of one name are taken together.
    private func functionsBySuite() throws -> [String: Set<String>] {
        let base = Self.root.appending(path: "Tests")
        let paths = try #require(FileManager.default.enumerator(atPath: base.path)).compactMap { $0 as? String }
        var functions: [String: Set<String>] = [:]
        for path in paths where path.hasSuffix(".swift") {
            let text = try String(contentsOf: base.appending(path: path), encoding: .utf8)
            let declared = Set(text.matches(of: /func (\w+)\(/).map { String($0.1) })
            for suite in text.matches(of: /\b(?:struct|extension) (\w+Tests)\b/) {
                functions[String(suite.1), default: []].formUnion(declared)
            }
        }
        return functions
    }
}
