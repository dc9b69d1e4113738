import Catalogue
import Credits
import Foundation
import JSON
import Ledger
import Testing

@Suite("The catalogue of events")
struct EventCatalogueTests {
    /// The members that only some events of a type have.
    private static let optional: [String: Set<String>] = [
        "limit.warning": ["per_value"], "quota.exhausted": ["per_value"], "spend_cap.reached": ["per_value"],
        "topup.requested": ["credits", "package_key"], "subscription.renewed": ["usage_summary"],
        "subscription.changed": ["usage_summary"], "subscription.canceled": ["usage_summary"],
        "subscription.expired": ["usage_summary"],
    ]

    @Test("EVENTS.md has a section for every type, and no other")
    func sections() throws {
        let types = Set(EventType.allCases.map(\.rawValue))
        #expect(Set(try examples().keys) == types)
        #expect(EventType.allCases.count < 64 && EventTypes(EventType.allCases).types == EventType.allCases)
    }

    @Test("Every type happens, and its data has the members of the example")
    func members() throws {
        let examples = try examples()
        var missing = Set(examples.keys)
        for seed in UInt64(1)...200 where !missing.isEmpty && seed % 3 != 0 {
            var run = try RandomRun(seed: seed)
            for _ in 0..<250 { _ = try run.step() }
            for (account, event) in try run.events() {
                let type = event.content.type.rawValue
                let data = try JSONParser.parse(Array<UInt8>(event.content.storedJSON(of: account).utf8))
                guard case .object(let object) = data else {
                    Issue.record("the data of \(type) is not an object")
                    continue
                }
                let names = Set(object.members.map(\.key))
                let optional = Self.optional[type] ?? []
                let expected = examples[type] ?? []
                if names.subtracting(optional) != expected.subtracting(optional) {
                    Issue.record("\(type) has \(names.sorted()), and its example \(expected.sorted())")
                }
                missing.remove(type)
            }
        }
        #expect(missing.isEmpty)
    }

    @Test("An erasure removes the reason and the value of a limit from the data, and nothing else")
    func erasure() throws {
        let text = #"{"limit_key":"member","per_value":"ann","used":5}"#
        #expect(
            try EventContent.erased(storedJSON: text) == #"{"limit_key":"member","per_value":null,"used":5}"#)
        let granted = #"{"credits":5,"reason":"for Ann","source":"topup"}"#
        #expect(
            try EventContent.erased(storedJSON: granted) == #"{"credits":5,"reason":null,"source":"topup"}"#)
    }

    /// The names of the members of each type's example. A type may refer to the example of another.
    private func examples() throws -> [String: Set<String>] {
        let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..")
        let text = try String(
            contentsOf: root.appending(path: "Sources/Core/Ledger/Events/EVENTS.md"), encoding: .utf8)
        var examples: [String: Set<String>] = [:]
        for section in text.components(separatedBy: "\n### ").dropFirst() {
            let type = String(section.prefix { $0 != "\n" })
            let parts = section.components(separatedBy: "```json\n")
            if parts.count == 2, let end = parts[1].range(of: "\n```") {
                let example = try JSONParser.parse(Array<UInt8>(parts[1][..<end.lowerBound].utf8))
                guard case .object(let object) = example else { continue }
                examples[type] = Set(object.members.map(\.key))
            } else if section.contains(/members are\s+those\s+of `subscription.created`/) {
                examples[type] = examples["subscription.created"]
            }
        }
        return examples
    }
}
