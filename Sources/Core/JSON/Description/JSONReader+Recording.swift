/// The reads of a reader that describes a body. Each notes its member and returns a value that a client could send.
extension JSONReader {
    /// Makes a reader that describes a body.
    init(_ recording: JSONRecording, pointer: String) {
        self.init(JSONObject(), pointer: pointer)
        self.recording = recording
    }

    /// Decides whether a member is there. A required one that was decided not to be is a problem.
    private mutating func isThere(_ key: String, isRequired: Bool) -> Bool {
        guard isRequired else { return recording?.presence(of: key, hasNull: false) == .present }
        let isThere = recording?.require(key) ?? false
        if !isThere { report(key, "is required") }
        return isThere
    }

    private func note(_ key: String) -> JSONNotes.Field? { recording?.notes.fields[key] }

    /// Notes a member, and returns the first of some values that can be read, if the member is there.
    private mutating func noted<Output>(
        _ key: String, _ schema: JSONSchema, isRequired: Bool, _ values: [JSONValue],
        _ parse: (JSONValue) -> Output?
    ) -> Output? {
        let isThere = isThere(key, isRequired: isRequired)
        var found: (value: JSONValue, output: Output)?
        for value in values where found == nil { found = parse(value).map { (value, $0) } }
        recording?.add(key, schema, isRequired: isRequired, isThere ? found?.value : nil)
        guard isThere else { return nil }
        if found == nil { report(key, "has no example that can be read") }
        return found?.output
    }

    mutating func notedValue(_ key: String, as schema: JSONSchema?) -> JSONValue? {
        let isThere = isThere(key, isRequired: false)
        let value = schema?.example ?? note(key)?.examples.first ?? .bool(true)
        if let schema { recording?.add(key, schema, isRequired: false, isThere ? value : nil, isStated: true) }
        return isThere ? value : nil
    }

    mutating func notedString<Output>(
        _ key: String, _ length: ClosedRange<Int>?, expected: String?, isRequired: Bool, _ parse: (String) -> Output?
    ) -> Output? {
        let (schema, examples) = text(key, length, expected)
        return noted(key, schema, isRequired: isRequired, examples) { value in
            value.text.flatMap { length?.contains($0.utf8.count) ?? true ? parse($0) : nil }
        }
    }

    /// The schema and the examples of a string.
    private func text(
        _ key: String, _ length: ClosedRange<Int>?, _ expected: String?
    ) -> (JSONSchema, [JSONValue]) {
        let known = expected.flatMap { recording?.notes.texts[$0] }
        var schema = known ?? JSONSchema(.string(JSONSchema.Text(bytes: length)))
        if known == nil, let expected { schema.description = "Must be \(expected)." }
        let examples = (note(key)?.examples ?? []) + [schema.example].compactMap { $0 } + [.string("text")]
        schema.example = nil
        return (schema, examples)
    }

    mutating func notedChoice<Choice: RawRepresentable<String> & CaseIterable>(
        _ key: String, isRequired: Bool
    ) -> Choice? {
        let names = Choice.allCases.map(\.rawValue)
        guard isThere(key, isRequired: isRequired) else {
            recording?.add(key, JSONSchema(.choice(names)), isRequired: isRequired, nil)
            return nil
        }
        let name = recording?.choice(key, of: names) ?? ""
        recording?.add(key, JSONSchema(.choice(names)), isRequired: isRequired, .string(name))
        return Choice(rawValue: name)
    }

    mutating func notedBool(_ key: String, default fallback: Bool?, isRequired: Bool) -> Bool? {
        noted(
            key, JSONSchema(.boolean, standard: fallback.map { .bool($0) }), isRequired: isRequired,
            (note(key)?.examples ?? []) + [.bool(true)]
        ) { if case .bool(let boolean) = $0 { boolean } else { nil } } ?? fallback
    }

    mutating func notedInteger(
        _ key: String, default fallback: Int64?, _ kind: JSONIntegerKind, _ range: ClosedRange<Int64>, isRequired: Bool
    ) -> Int64? {
        let allowed = kind == .amount ? range.clamped(to: JSONIntegerKind.amountRange) : range
        return noted(
            key, JSONSchema(.integer(allowed), standard: fallback.map { .integer($0) }), isRequired: isRequired,
            (note(key)?.examples ?? []) + [.integer(1), .integer(allowed.lowerBound)]
        ) { value in value.integer.flatMap { allowed.contains($0) ? $0 : nil } } ?? fallback
    }

    /// Explores the object in a member once, and reads it in the first way that is accepted.
    mutating func notedObject<Output>(
        _ key: String, count: ClosedRange<Int>?, isRequired: Bool, _ body: (inout JSONReader) -> Output?
    ) -> Output? {
        let isThere = isThere(key, isRequired: isRequired)
        let inner = explored(at: pointer.appendingPointerToken(key), body)
        var schema = inner.schema
        if case .map(let element, _) = schema.kind { schema.kind = .map(element, count: count) }
        var example = inner.example
        if case .map = schema.kind { example = note(key)?.examples.first ?? example }
        recording?.add(key, schema, isRequired: isRequired, isThere ? example : nil)
        guard isThere else { return nil }
        return output(key, inner, at: pointer.appendingPointerToken(key), body)
    }

    mutating func notedAnyObject(_ key: String) -> JSONObject? {
        noted(
            key, JSONSchema(.map(JSONSchema(.any))), isRequired: false, (note(key)?.examples ?? []) + [.object([:])]
        ) { if case .object(let object) = $0 { object } else { nil } }
    }

    mutating func notedElements(_ key: String, _ count: ClosedRange<Int>?, isRequired: Bool) -> [JSONValue]? {
        noted(
            key, JSONSchema(.array(JSONSchema(.any), count: count)), isRequired: isRequired,
            (note(key)?.examples ?? []) + [.array([]), .array([.object([:])])]
        ) { value in value.items.flatMap { count?.contains($0.count) ?? true ? $0 : nil } }
    }

    mutating func notedObjects<Output>(
        _ key: String, _ count: ClosedRange<Int>?, isRequired: Bool, _ body: (inout JSONReader) -> Output?
    ) -> [Output]? {
        let isThere = isThere(key, isRequired: isRequired)
        let place = pointer.appendingPointerToken(key).appendingPointerToken("0")
        let inner = explored(at: place, body)
        recording?.add(
            key, JSONSchema(.array(inner.schema, count: count)), isRequired: isRequired,
            isThere ? .array([inner.example]) : nil)
        guard isThere else { return nil }
        return output(key, inner, at: place, body).map { [$0] }
    }

    /// Notes an array whose elements are not objects.
    ///
    /// - Parameter examples: Elements that can be read.
    mutating func notedArray<Output>(
        _ key: String, _ element: JSONSchema, _ count: ClosedRange<Int>?, _ examples: [JSONValue],
        _ parse: (JSONValue) -> Output?
    ) -> [Output]? {
        noted(
            key, JSONSchema(.array(element, count: count)), isRequired: false,
            (note(key)?.examples ?? []) + examples.map { .array([$0]) }
        ) { value in
            guard let items = value.items else { return nil }
            let outputs = items.compactMap(parse)
            return outputs.count == items.count ? outputs : nil
        }
    }

    mutating func notedStrings<Output>(
        _ key: String, _ count: ClosedRange<Int>?, _ length: ClosedRange<Int>?, expected: String?,
        among names: [String]?, _ parse: (String) -> Output?
    ) -> [Output]? {
        var (element, examples) = text(key, length, expected)
        if let names { (element, examples) = (JSONSchema(.choice(names)), names.map { .string($0) }) }
        return notedArray(key, element, count, examples) { $0.text.flatMap(parse) }
    }

    mutating func notedMixed<Output>(
        _ key: String, _ count: ClosedRange<Int>?, _ range: ClosedRange<Int64>, integer: (Int64) -> Output?,
        object: (inout JSONReader) -> Output?
    ) -> [Output]? {
        let inner = explored(at: pointer.appendingPointerToken(key).appendingPointerToken("0"), object)
        let element = JSONSchema(.anyOf([JSONSchema(.integer(range)), inner.schema]))
        return notedArray(key, element, count, [.integer(range.lowerBound)]) { $0.integer.flatMap(integer) }
    }

    private mutating func explored<Output>(
        at pointer: String, _ body: (inout JSONReader) -> Output?
    ) -> JSONExploration {
        if let known = recording?.explored[pointer] { return known }
        let inner = JSONExploration.explore(recording?.notes ?? .none, pointer: pointer, body)
        recording?.explored[pointer] = inner
        return inner
    }

    private mutating func output<Output>(
        _ key: String, _ inner: JSONExploration, at pointer: String, _ body: (inout JSONReader) -> Output?
    ) -> Output? {
        let recording = JSONRecording(
            notes: recording?.notes ?? .none, script: inner.script, explored: inner.explored)
        var reader = JSONReader(recording, pointer: pointer)
        let output = body(&reader)
        if output == nil { report(key, "has no example that can be read") }
        return output
    }
}
