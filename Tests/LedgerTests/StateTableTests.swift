import Foundation
import Ledger
import Testing

@Suite("The table of states")
struct StateTableTests {
    /// With QUOTASTACK_TEST_RECORD the table is written into RULES.md.
    @Test("RULES.md has the table of the code")
    func rules() throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../Sources/Core/Ledger/RULES.md").standardized
        var text = try String(contentsOf: file, encoding: .utf8)
        let start = try #require(text.range(of: "<!-- states -->\n"))
        let end = try #require(text.range(of: "<!-- end of states -->"))
        let table = SubscriptionTransition.markdown + "\n"
        if ProcessInfo.processInfo.environment["QUOTASTACK_TEST_RECORD"] != nil {
            text.replaceSubrange(start.upperBound..<end.lowerBound, with: table)
            try Data(text.utf8).write(to: file)
        } else {
            #expect(text[start.upperBound..<end.lowerBound] == table)
        }
    }

    @Test("Every state that is not final is reached and left, and final ones are not left")
    func complete() {
        let table = SubscriptionTransition.table
        for status in SubscriptionStatus.allCases {
            #expect(table.contains { $0.from == status } != status.isFinal, "\(status)")
            #expect(status == .scheduled || table.contains { $0.to.contains(status) }, "\(status)")
        }
        for trigger in SubscriptionTrigger.allCases { #expect(table.contains { $0.trigger == trigger }, "\(trigger)") }
    }
}

extension SubscriptionTransition {
    /// The table of states in Markdown, one row for each transition, and as a diagram. The rules contain it.
    fileprivate static var markdown: String {
        let rows = table.map { row in
            let condition = row.condition.isEmpty ? "" : " (\(row.condition))"
            return "| `\(row.from.rawValue)` | \(row.trigger.rawValue)\(condition) | "
                + row.to.map { "`\($0.rawValue)`" }.joined(separator: " or ") + " |"
        }
        let arrows = table.flatMap { row in
            row.to.filter { $0 != row.from }.map {
                "    \(row.from.rawValue) --> \($0.rawValue): \(row.trigger.rawValue)"
            }
        }
        var seen: Set<String> = []
        let lines = arrows.filter { seen.insert($0).inserted }
        return """
            | from | what | to |
            |---|---|---|
            \(rows.joined(separator: "\n"))

            ```mermaid
            stateDiagram-v2
                [*] --> scheduled: create later
                [*] --> trialing: create with a trial
                [*] --> active: create
            \(lines.joined(separator: "\n"))
                canceled --> [*]
                expired --> [*]
            ```
            """
    }
}
