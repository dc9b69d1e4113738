import JSON
import Testing

@Suite("Readers of bodies describe themselves")
struct JSONExplorationTests {
    private enum Model: String, CaseIterable {
        case flat, stepped
    }

    private static let notes = JSONNotes(
        fields: ["at": JSONNotes.Field("An instant.", examples: [.string("noon")])], texts: [:])

    private func members<Output>(_ body: (inout JSONReader) -> Output?) -> [String: JSONSchema.Member] {
        let exploration = JSONExploration.explore(Self.notes, body)
        #expect(exploration.defects == [])
        return Dictionary(uniqueKeysWithValues: exploration.schema.members.map { ($0.name, $0) })
    }

    @Test("Kinds, bounds, defaults, and what is required follow from the reads")
    func reads() throws {
        let found = members { reader -> Bool? in
            let name = reader.string("name", length: 1...20)
            let units = reader.int64("units", default: 1, in: 0...9)
            _ = reader.optionalInt64("credits", .amount, in: 1...Int64.max)
            _ = reader.optionalStrings("tags", count: 0...3, length: 1...5)
            _ = reader.optionalObject("metadata")
            return name != nil && units != nil ? true : nil
        }
        #expect(found["name"]?.isRequired == true)
        #expect(found["name"]?.schema.kind == .string(JSONSchema.Text(bytes: 1...20)))
        #expect(found["units"]?.isRequired == false && found["units"]?.schema.isNullable == true)
        #expect(found["units"]?.schema.kind == .integer(0...9) && found["units"]?.schema.standard == .integer(1))
        #expect(found["credits"]?.schema.kind == .integer(1...9_007_199_254_740_991))
        #expect(
            found["tags"]?.schema.kind
                == .array(JSONSchema(.string(JSONSchema.Text(bytes: 1...5))), count: 0...3))
        #expect(found["metadata"]?.schema.kind == .map(JSONSchema(.any)))
    }

    @Test("Members that exclude each other, and members of which one is required, say so")
    func alternatives() throws {
        let found = members { reader -> Bool? in
            let given = ["units", "credits"].filter { reader.presence(of: $0) == .present }
            if given.isEmpty { reader.report("units", "is required, or credits") }
            if given.count > 1 { reader.report("credits", "excludes units") }
            _ = reader.optionalInt64("units")
            _ = reader.optionalInt64("credits")
            return true
        }
        let sentences = ["units", "credits"].map { found[$0]?.schema.description ?? "" }
        #expect(sentences[0] == "One of `credits` and `units` is required. Excludes `credits`.")
        #expect(sentences[1] == "One of `credits` and `units` is required. Excludes `units`.")
        #expect(!found.values.contains { $0.isRequired })
    }

    @Test("A member that is read in one case only says in which")
    func cases() throws {
        let found = members { reader -> Bool? in
            switch reader.choice("model", of: Model.self) {
            case .flat: reader.int64("amount").map { _ in true }
            case .stepped: reader.objects("steps", count: 1...2) { $0.int64("end") }.map { _ in true }
            case nil: nil
            }
        }
        #expect(found["model"]?.schema.kind == .choice(["flat", "stepped"]))
        #expect(found["amount"]?.schema.description == "Required with `model` `flat`.")
        #expect(found["steps"]?.schema.description == "Required with `model` `stepped`.")
        guard case .array(let step, 1...2)? = found["steps"]?.schema.kind else {
            Issue.record("the steps are no array")
            return
        }
        #expect(step.members.map(\.name) == ["end"])
    }

    @Test("An object whose names the client chooses is a map, and null can differ from an absent member")
    func maps() throws {
        let found = members { reader -> Bool? in
            let prices = reader.object("prices", count: 0...4) { prices -> [Int64]? in
                prices.names.compactMap { prices.int64($0, in: 0...5) }
            }
            let isStated = reader.presence(of: "end") != .absent
            _ = reader.optionalInt64("end")
            if !isStated { reader.report("end", "is required, and may be null") }
            return prices.map { _ in true }
        }
        #expect(found["prices"]?.schema.kind == .map(JSONSchema(.integer(0...5)), count: 0...4))
        #expect(found["end"]?.isRequired == true && found["end"]?.schema.isNullable == true)
    }

    @Test("A reader that refuses what its description allows is a defect, and so is one without an accepted example")
    func defects() throws {
        // Null is read as absent, but this reader does not know the member then.
        let forgetful = JSONExploration.explore(Self.notes) { reader -> Bool? in
            if reader.presence(of: "note") == .present { _ = reader.optionalString("note") }
            return true
        }
        #expect(forgetful.defects.count == 1 && forgetful.defects[0].contains("/note is not a known field"))
        let strict = JSONExploration.explore(Self.notes) { reader -> Bool? in
            reader.string("unknown", expected: "a prime number") { $0 == "seven" ? true : nil }
        }
        #expect(strict.defects == [": no combination of examples is accepted"])
    }

    @Test("The example is the smallest body that the reader accepts")
    func example() throws {
        let exploration = JSONExploration.explore(Self.notes) { reader -> String? in
            _ = reader.optionalBool("on")
            return reader.string("at", expected: "noon") { $0 == "noon" ? $0 : nil }
        }
        #expect(exploration.example == .object(["at": .string("noon")]))
        #expect(exploration.schema.members.first { $0.name == "at" }?.schema.description == "An instant. Must be noon.")
    }
}
