/// An object of a body as its reader reads it: the members, and the ways in which they can be combined.
///
/// The reader runs once for each way through it: first with every optional member absent, then with up to three answers
/// changed. A run that reports a problem shows a combination that is refused.
package struct JSONExploration: Sendable {
    /// The members of the object. Those that exclude each other say so in their descriptions.
    package let schema: JSONSchema
    /// The smallest object that the reader accepts.
    package let example: JSONValue
    /// Disagreements between the description and the reader: empty unless a note is missing or wrong.
    package let defects: [String]
    /// The answers by which the reader accepts `example`.
    let script: [Int]
    /// The objects inside this one, by their pointers.
    let explored: [String: JSONExploration]

    /// The answers that differ from the first ones in a run, at most.
    private static let mostChanges = 3
    private static let mostRuns = 240

    struct Run: Sendable {
        let recording: JSONRecording
        let isAccepted: Bool
        /// The members that were asked for, by name.
        let members: [String: JSONRecording.Member]
        /// The members that were there.
        let present: Set<String>
        /// The names that were chosen, by member.
        let choices: [String: String]

        init(recording: JSONRecording, isAccepted: Bool) {
            self.recording = recording
            self.isAccepted = isAccepted
            members = Dictionary(recording.members.map { ($0.name, $0) }) { first, _ in first }
            present = Set(recording.presence.filter { $0.value == .present }.keys)
            choices = Dictionary(
                recording.decisions.compactMap { decision in decision.names.map { (decision.key, $0[decision.answer]) }
                }
            ) { first, _ in first }
        }

        func isPresent(_ key: String) -> Bool { present.contains(key) }
    }

    /// Explores a reader.
    ///
    /// - Parameter body: Reads the members, as for `JSONReader.read`. It runs many times.
    package static func explore<Output>(
        _ notes: JSONNotes, pointer: String = "", _ body: (inout JSONReader) -> Output?
    ) -> JSONExploration {
        var explored: [String: JSONExploration] = [:]
        var runs: [Run] = []
        var defects: [String] = []
        var waiting: [(script: [Int], changes: Int)] = [([], 0)]
        var next = 0
        while next < waiting.count, runs.count < mostRuns {
            let (script, changes) = waiting[next]
            next += 1
            var reader = JSONReader(JSONRecording(notes: notes, script: script, explored: explored), pointer: pointer)
            let output = body(&reader)
            guard let recording = reader.recording else { break }
            explored = recording.explored
            let run = Run(recording: recording, isAccepted: output != nil && reader.problems.isEmpty)
            runs.append(run)
            if run.isAccepted, !recording.isMap {
                defects += disagreements(reading: recording.body, pointer, body)
            }
            guard changes < mostChanges else { continue }
            let answers = recording.decisions.map(\.answer)
            for index in script.count..<max(script.count, answers.count) {
                for answer in 1..<max(1, recording.decisions[index].answers) {
                    waiting.append((Array(answers[..<index]) + [answer], changes + 1))
                }
            }
        }
        for inner in explored.values { defects += inner.defects }
        let accepted = runs.filter(\.isAccepted)
        if accepted.isEmpty {
            defects.append("\(pointer): no combination of examples is accepted")
        }
        let first = accepted.first ?? runs.first
        return JSONExploration(
            schema: JSONSummary(runs: runs, notes: notes).schema,
            example: .object(first?.recording.body ?? [:]), defects: defects,
            script: first?.recording.decisions.map(\.answer) ?? [], explored: explored)
    }

    /// The problems that the reader has with an object that its description allows.
    private static func disagreements<Output>(
        reading object: JSONObject, _ pointer: String, _ body: (inout JSONReader) -> Output?
    ) -> [String] {
        do throws(JSONProblems) {
            _ = try JSONReader.read(.object(object), pointer: pointer, body)
            return []
        } catch {
            return ["\(pointer): \(String(decoding: JSONValue.object(object).bytes, as: UTF8.self)): \(error)"]
        }
    }
}

/// The schema that follows from all ways through a reader.
struct JSONSummary {
    private let runs: [JSONExploration.Run]
    private let accepted: [JSONExploration.Run]
    private let notes: JSONNotes

    init(runs: [JSONExploration.Run], notes: JSONNotes) {
        self.runs = runs
        self.notes = notes
        let accepted = runs.filter(\.isAccepted)
        self.accepted = accepted.isEmpty ? runs : accepted
    }

    var schema: JSONSchema {
        var names: [String] = []
        var members: [String: JSONSchema.Member] = [:]
        for run in accepted {
            for member in run.recording.members where members[member.name] == nil {
                names.append(member.name)
                members[member.name] = JSONSchema.Member(member.name, member.schema, isRequired: false)
            }
        }
        if runs.contains(where: \.recording.isMap) {
            var element = members[JSONRecording.anyName]?.schema ?? JSONSchema(.any)
            element.isNullable = false
            return JSONSchema(.map(element))
        }
        let alternatives = alternatives
        return JSONSchema(
            .object(
                names.compactMap { name in
                    guard var member = members[name] else { return nil }
                    member.isRequired = isRequired(name)
                    member.schema.isNullable = isNullable(name)
                    member.schema.example = member.schema.example ?? example(name)
                    member.schema.description = description(of: member, alternatives)
                    return member
                }))
    }

    private func records(of name: String) -> [JSONRecording.Member] {
        accepted.compactMap { $0.members[name] }
    }

    private func isRequired(_ name: String) -> Bool {
        accepted.allSatisfy { run in run.recording.presence[name].map { $0 != .absent } ?? false }
    }

    /// Null counts as absent, so a member that may be absent may be null.
    private func isNullable(_ name: String) -> Bool {
        !isRequired(name) || accepted.contains { $0.recording.presence[name] == .null }
    }

    /// The value that the reader has accepted.
    private func example(_ name: String) -> JSONValue? {
        records(of: name).lazy.compactMap(\.value).first
    }

    // MARK: - Sentences

    private func description(of member: JSONSchema.Member, _ alternatives: [String]) -> String {
        var sentences = [notes.fields[member.name]?.sentence ?? "", member.schema.description]
        if !member.isRequired {
            sentences.append(condition(of: member.name))
            if alternatives.contains(member.name), alternatives.count > 1 {
                sentences.append("One of \(Self.list(alternatives)) is required.")
            }
            // Members that are read in one case only exclude those of other cases anyway.
            let excluded = exclusions(of: member.name).filter {
                condition(of: member.name).isEmpty && condition(of: $0).isEmpty
            }
            if !excluded.isEmpty { sentences.append("Excludes \(Self.list(excluded)).") }
        }
        return sentences.filter { !$0.isEmpty }.joined(separator: " ")
    }

    /// The names with which a member is read, such as `model` being `flat`; empty when the member is always read.
    private func condition(of name: String) -> String {
        let with = accepted.filter { $0.members[name] != nil }
        let without = accepted.filter { $0.members[name] == nil }
        guard !without.isEmpty else { return "" }
        for key in Set(with.flatMap(\.choices.keys)).sorted() where key != name {
            let names = Set(with.compactMap { $0.choices[key] })
            guard with.allSatisfy({ $0.choices[key] != nil }),
                names.isDisjoint(with: without.compactMap { $0.choices[key] })
            else { continue }
            let need = with.allSatisfy { $0.members[name]?.isRequired ?? false }
            return "\(need ? "Required with" : "Only with") `\(key)` \(Self.list(names.sorted()))."
        }
        return ""
    }

    /// The members of which the body must have one, when that follows from the accepted ways.
    private var alternatives: [String] {
        guard runs.first?.isAccepted == false else { return [] }
        let required = Set(accepted.flatMap(\.present).filter(isRequired))
        let optional = accepted.map { $0.present.subtracting(required) }
        let alone = Set(optional.filter { $0.count == 1 }.flatMap { $0 })
        guard !alone.isEmpty, optional.allSatisfy({ !$0.isDisjoint(with: alone) }) else { return [] }
        return alone.sorted()
    }

    /// The members that were tried together with a member and never accepted together.
    private func exclusions(of name: String) -> [String] {
        let tried = runs.filter { $0.isPresent(name) }.reduce(into: Set<String>()) { $0.formUnion($1.present) }
        let together = accepted.filter { $0.isPresent(name) }.reduce(into: Set<String>()) { $0.formUnion($1.present) }
        guard !together.isEmpty else { return [] }
        return tried.subtracting(together).filter { other in accepted.contains { $0.isPresent(other) } }.sorted()
    }

    private static func list(_ names: [String]) -> String {
        let quoted = names.map { "`\($0)`" }
        guard let last = quoted.last, quoted.count > 1 else { return quoted.first ?? "" }
        return quoted.dropLast().joined(separator: ", ") + " and \(last)"
    }
}
