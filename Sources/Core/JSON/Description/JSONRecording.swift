/// The members that a reader asks for while it describes a body in place of reading one.
///
/// A reader that branches asks questions: is this member there, which of these names does it have? The script has the
/// answers to the first questions, and every later question is answered with its first answer: "absent", or the first
/// name.
struct JSONRecording: Sendable {
    /// A question that the reader has asked.
    struct Decision: Sendable {
        let key: String
        /// The names to choose from; nil when the question is whether the member is there.
        let names: [String]?
        let answers: Int
        let answer: Int
    }

    /// A member that the reader has asked for.
    struct Member: Sendable {
        let name: String
        var schema: JSONSchema
        var isRequired: Bool
        /// The value that the reader got; nil for an absent member.
        var value: JSONValue?
        /// Whether the reader stated the schema itself.
        var isStated = false
    }

    let notes: JSONNotes
    private let script: [Int]
    private(set) var decisions: [Decision] = []
    private(set) var presence: [String: JSONPresence] = [:]
    private(set) var members: [Member] = []
    /// Whether the reader asked for the names of the members, so that the client chooses them.
    var isMap = false
    /// The objects inside this one that were explored already, by their pointers.
    var explored: [String: JSONExploration] = [:]

    /// The name of the member of an object whose names are chosen by the client.
    static let anyName = "any"

    init(notes: JSONNotes, script: [Int], explored: [String: JSONExploration]) {
        self.notes = notes
        self.script = script
        self.explored = explored
    }

    private mutating func answer(_ key: String, _ names: [String]?, of count: Int) -> Int {
        let answer = decisions.count < script.count ? script[decisions.count] : 0
        decisions.append(Decision(key: key, names: names, answers: count, answer: answer))
        return answer
    }

    /// Decides whether a member is there.
    ///
    /// - Parameter hasNull: Whether the reader treats null in another way than an absent member.
    mutating func presence(of key: String, hasNull: Bool) -> JSONPresence {
        if let known = presence[key] { return known }
        let answers: [JSONPresence] = hasNull ? [.absent, .null, .present] : [.absent, .present]
        let decided = answers[answer(key, nil, of: answers.count)]
        presence[key] = decided
        return decided
    }

    /// Decides which of some names a member has.
    mutating func choice(_ key: String, of names: [String]) -> String {
        names[answer(key, names, of: names.count)]
    }

    /// Notes that a member must be there; false if it was decided not to be.
    mutating func require(_ key: String) -> Bool {
        let known = presence[key] ?? .present
        presence[key] = known
        return known == .present
    }

    /// Notes a member with its schema.
    ///
    /// - Parameter value: The value that the reader gets; nil for an absent member.
    mutating func add(
        _ key: String, _ schema: JSONSchema, isRequired: Bool, _ value: JSONValue?, isStated: Bool = false
    ) {
        var schema = schema
        schema.isNullable = schema.isNullable || !isRequired
        guard let index = members.firstIndex(where: { $0.name == key }) else {
            members.append(
                Member(name: key, schema: schema, isRequired: isRequired, value: value, isStated: isStated))
            return
        }
        if !members[index].isStated { members[index].schema = schema }
        members[index].isRequired = members[index].isRequired || isRequired
        members[index].value = value ?? members[index].value
    }

    /// The body that the reader has seen: the members that are there, each with its value.
    var body: JSONObject {
        let names = members.map(\.name) + presence.keys.filter { key in !members.contains { $0.name == key } }.sorted()
        return JSONObject(
            members: names.compactMap { name in
                switch presence[name] {
                case nil, .absent?: return nil
                case .null?: return (name, .null)
                case .present?:
                    let value = members.first { $0.name == name }?.value
                    return (name, value ?? notes.fields[name]?.examples.first ?? .bool(true))
                }
            })
    }
}
