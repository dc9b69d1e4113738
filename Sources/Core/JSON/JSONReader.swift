/// One problem of a request body.
package struct JSONProblem: Sendable, Equatable, CustomStringConvertible {
    /// The error codes that a body can cause, in order of precedence.
    package enum Code: String, Sendable, Comparable, CaseIterable {
        case invalidRequest = "invalid_request"
        case unknownField = "unknown_field"
        case amountOutOfRange = "amount_out_of_range"

        package static func < (left: Code, right: Code) -> Bool { left.precedence < right.precedence }

        private var precedence: Int {
            switch self {
            case .invalidRequest: 0
            case .unknownField: 1
            case .amountOutOfRange: 2
            }
        }
    }

    /// The place in the body (RFC 6901). For a missing member, the place where it should be.
    package let pointer: String
    /// The problem, as the rest of a sentence that begins with the place: "is required".
    package let detail: String
    package let code: Code

    package init(pointer: String, detail: String, code: Code) {
        self.pointer = pointer
        self.detail = detail
        self.code = code
    }

    package var description: String { "\(pointer) \(detail)" }
}

/// The problems of a request body. Each counts, and the first are kept: a body of a megabyte can have a hundred
/// thousand, and an answer that listed them would be larger than the body.
package struct JSONProblems: Error, Sendable, Equatable, CustomStringConvertible {
    /// The number of problems that are kept.
    package static let mostListed = 20

    /// The first problems, in the order in which they were found.
    package private(set) var problems: [JSONProblem] = []
    /// The number of all problems.
    package private(set) var count = 0
    private var firstCode: JSONProblem.Code?

    /// The code of the whole answer: the first of the codes of all problems by precedence.
    package var code: JSONProblem.Code { firstCode ?? .invalidRequest }

    package var description: String { problems.map(\.description).joined(separator: "; ") }

    package init(problems: [JSONProblem]) {
        for problem in problems { add(problem.code, problem) }
    }

    /// The only problem of a text that is not JSON.
    package init(_ error: JSONError) {
        self.init(problems: [
            JSONProblem(
                pointer: error.pointer, detail: "\(error.sentence) (byte \(error.offset))", code: .invalidRequest)
        ])
    }

    /// - Parameter problem: Is evaluated only when the problem is kept.
    fileprivate mutating func add(_ code: JSONProblem.Code, _ problem: @autoclosure () -> JSONProblem) {
        if problems.count < Self.mostListed { problems.append(problem()) }
        count += 1
        firstCode = min(firstCode ?? code, code)
    }

    fileprivate mutating func add(contentsOf others: JSONProblems) {
        guard others.count > 0 else { return }
        problems.append(contentsOf: others.problems.prefix(Self.mostListed - problems.count))
        count += others.count
        firstCode = min(firstCode ?? others.code, others.code)
    }
}

/// The kind of bounds that apply to an integer in a body.
package enum JSONIntegerKind: Sendable {
    /// A count, a duration or a position: only its range applies.
    case plain
    /// Millicredits. Beyond ±(2^53 − 1), also beyond `Int64`, the problem is `.amountOutOfRange`; within these limits
    /// but outside its range it is `.invalidRequest`.
    case amount

    /// The integers that a JSON client can read exactly.
    package static let amountRange: ClosedRange<Int64> = -9_007_199_254_740_991...9_007_199_254_740_991
}

/// The presence of a member in a body.
package enum JSONPresence: Sendable, Equatable {
    case absent
    case null
    case present
}

/// Reads the members of one object of a request body and collects the problems.
///
/// Every read names its member, marks it as known, and returns nil if the member is absent or unusable. Reading
/// continues after a problem, so that one answer lists all of them. `finish` reports members that were never read. Null
/// counts as absent, except in `presence(of:)`. For a whole body use `JSONReader.read`, which calls `finish` itself.
package struct JSONReader: Sendable {
    /// The pointer to this object in the body.
    package let pointer: String
    private var found = JSONProblems(problems: [])

    /// The first problems found so far, in this object and in the objects inside it.
    package var problems: [JSONProblem] { found.problems }

    /// The members asked for, in a reader that describes a body; nil while a body is read.
    var recording: JSONRecording?

    private let object: JSONObject
    /// A bit for each of the first 64 members that was read.
    private var knownBits: UInt64 = 0
    /// The indices of the members after the 64th that were read.
    private var knownBeyond: Set<Int> = []

    package init(_ object: JSONObject, pointer: String = "") {
        self.object = object
        self.pointer = pointer
    }

    /// Reads a whole body.
    ///
    /// - Parameter body: Reads the members; must return nil only after it reported a problem.
    package static func read<Output>(
        _ value: JSONValue, pointer: String = "", _ body: (inout JSONReader) -> Output?
    ) throws(JSONProblems) -> Output {
        guard case .object(let object) = value else {
            let problem = JSONProblem(
                pointer: pointer, detail: "must be an object, not \(value.kind)", code: .invalidRequest)
            throw JSONProblems(problems: [problem])
        }
        var reader = JSONReader(object, pointer: pointer)
        let output = body(&reader)
        reader.finish()
        if reader.problems.isEmpty, output == nil { reader.reportObject("must be a valid request") }
        guard reader.problems.isEmpty, let output else { throw reader.found }
        return output
    }

    // MARK: Any member

    /// The names of the members, in document order. Useful for objects whose member names are chosen by the client.
    package var names: [String] {
        mutating get {
            guard recording == nil else {
                recording?.isMap = true
                return [JSONRecording.anyName]
            }
            return object.members.map(\.key)
        }
    }

    /// Whether the body has a member, without reading it. PATCH requests need this to tell "keep" from "clear".
    package mutating func presence(of key: String) -> JSONPresence {
        if let presence = recording?.presence(of: key, hasNull: true) { return presence }
        return switch object[key] {
        case nil: .absent
        case .null: .null
        default: .present
        }
    }

    /// The unparsed member; nil if it is absent or null.
    ///
    /// - Parameter schema: Describes the member, unless a later read of it does.
    package mutating func value(_ key: String, as schema: JSONSchema? = nil) -> JSONValue? {
        if recording != nil { return notedValue(key, as: schema) }
        guard let index = object.index(of: key) else { return nil }
        if index < 64 { knownBits |= 1 << UInt64(index) } else { knownBeyond.insert(index) }
        let value = object.members[index].value
        if case .null = value { return nil }
        return value
    }

    /// Reports a problem of a member, for rules that the reader does not have.
    package mutating func report(_ key: String, _ detail: String, code: JSONProblem.Code = .invalidRequest) {
        found.add(code, JSONProblem(pointer: pointer.appendingPointerToken(key), detail: detail, code: code))
    }

    /// Reports a problem of a member of an element of an array, for rules about several elements.
    package mutating func report(_ key: String, element: Int, _ member: String, _ detail: String) {
        let place = pointer.appendingPointerToken(key).appendingPointerToken("\(element)")
        found.add(
            .invalidRequest,
            JSONProblem(pointer: place.appendingPointerToken(member), detail: detail, code: .invalidRequest))
    }

    /// Reports a problem of the object itself, for example two members that exclude each other.
    package mutating func reportObject(_ detail: String, code: JSONProblem.Code = .invalidRequest) {
        found.add(code, JSONProblem(pointer: pointer, detail: detail, code: code))
    }

    /// Reports the members that were never read. A second call reports them again.
    package mutating func finish() {
        if recording != nil { return }
        if object.members.count <= 64, knownBits.nonzeroBitCount == object.members.count { return }
        for (index, member) in object.members.enumerated() {
            let isKnown = index < 64 ? knownBits & (1 << UInt64(index)) != 0 : knownBeyond.contains(index)
            if !isKnown { report(member.key, "is not a known field", code: .unknownField) }
        }
    }

    private mutating func required(_ key: String) -> JSONValue? {
        let value = value(key)
        if value == nil { report(key, "is required") }
        return value
    }

    // MARK: Strings

    /// - Parameter length: The allowed length, in bytes of UTF-8.
    package mutating func string(_ key: String, length: ClosedRange<Int>? = nil) -> String? {
        if recording != nil { return notedString(key, length, expected: nil, isRequired: true) { $0 } }
        return required(key).flatMap { string($0, key, length) }
    }

    package mutating func optionalString(_ key: String, length: ClosedRange<Int>? = nil) -> String? {
        if recording != nil { return notedString(key, length, expected: nil, isRequired: false) { $0 } }
        return value(key).flatMap { string($0, key, length) }
    }

    /// Reads a string that `parse` turns into another type, such as an instant. `expected` completes "must be …".
    package mutating func string<Output>(
        _ key: String, expected: String, _ parse: (String) -> Output?
    ) -> Output? {
        if recording != nil { return notedString(key, nil, expected: expected, isRequired: true, parse) }
        return string(key).flatMap { parsed($0, key, expected, parse) }
    }

    package mutating func optionalString<Output>(
        _ key: String, expected: String, _ parse: (String) -> Output?
    ) -> Output? {
        if recording != nil { return notedString(key, nil, expected: expected, isRequired: false, parse) }
        return optionalString(key).flatMap { parsed($0, key, expected, parse) }
    }

    /// Reads one of the raw values of an enumeration.
    package mutating func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ key: String, of type: Choice.Type = Choice.self
    ) -> Choice? {
        if recording != nil { return notedChoice(key, isRequired: true) }
        return string(key).flatMap { choice($0, key) }
    }

    package mutating func optionalChoice<Choice: RawRepresentable<String> & CaseIterable>(
        _ key: String, of type: Choice.Type = Choice.self
    ) -> Choice? {
        if recording != nil { return notedChoice(key, isRequired: false) }
        return optionalString(key).flatMap { choice($0, key) }
    }

    private mutating func string(_ value: JSONValue, _ key: String, _ length: ClosedRange<Int>?) -> String? {
        guard case .string(let text) = value else {
            report(key, "must be a string, not \(value.kind)")
            return nil
        }
        if let length, !length.contains(text.utf8.count) {
            report(key, "must be \(length.lowerBound) to \(length.upperBound) bytes long")
            return nil
        }
        return text
    }

    private mutating func parsed<Output>(
        _ text: String, _ key: String, _ expected: String, _ parse: (String) -> Output?
    ) -> Output? {
        let output = parse(text)
        if output == nil { report(key, "must be \(expected)") }
        return output
    }

    private mutating func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ text: String, _ key: String
    ) -> Choice? {
        if let choice = Choice(rawValue: text) { return choice }
        report(key, "must be one of " + Choice.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", "))
        return nil
    }

    // MARK: Booleans

    package mutating func bool(_ key: String) -> Bool? {
        if recording != nil { return notedBool(key, default: nil, isRequired: true) }
        return required(key).flatMap { bool($0, key) }
    }

    package mutating func bool(_ key: String, default fallback: Bool) -> Bool? {
        if recording != nil { return notedBool(key, default: fallback, isRequired: false) }
        guard let value = value(key) else { return fallback }
        return bool(value, key)
    }

    package mutating func optionalBool(_ key: String) -> Bool? {
        if recording != nil { return notedBool(key, default: nil, isRequired: false) }
        return value(key).flatMap { bool($0, key) }
    }

    private mutating func bool(_ value: JSONValue, _ key: String) -> Bool? {
        guard case .bool(let boolean) = value else {
            report(key, "must be true or false, not \(value.kind)")
            return nil
        }
        return boolean
    }

    // MARK: Integers

    package mutating func int64(
        _ key: String, _ kind: JSONIntegerKind = .plain, in range: ClosedRange<Int64> = .min ... .max
    ) -> Int64? {
        if recording != nil { return notedInteger(key, default: nil, kind, range, isRequired: true) }
        return required(key).flatMap { int64($0, key, kind, range) }
    }

    /// - Returns: Nil only after a problem was reported.
    package mutating func int64(
        _ key: String, default fallback: Int64, _ kind: JSONIntegerKind = .plain,
        in range: ClosedRange<Int64> = .min ... .max
    ) -> Int64? {
        if recording != nil { return notedInteger(key, default: fallback, kind, range, isRequired: false) }
        guard let value = value(key) else { return fallback }
        return int64(value, key, kind, range)
    }

    package mutating func optionalInt64(
        _ key: String, _ kind: JSONIntegerKind = .plain, in range: ClosedRange<Int64> = .min ... .max
    ) -> Int64? {
        if recording != nil { return notedInteger(key, default: nil, kind, range, isRequired: false) }
        return value(key).flatMap { int64($0, key, kind, range) }
    }

    private mutating func int64(
        _ value: JSONValue, _ key: String, _ kind: JSONIntegerKind, _ range: ClosedRange<Int64>
    ) -> Int64? {
        switch JSONInteger.read(value, kind, in: range) {
        case .success(let integer): return integer
        case .failure(let refusal):
            report(key, refusal.detail, code: refusal.code)
            return nil
        }
    }

    // MARK: Objects and arrays

    /// Reads the object in a member. Its unread members are reported as well.
    ///
    /// - Parameter count: The allowed number of members. An object with another number is not read, because each look-up
    ///   is linear in their number.
    package mutating func object<Output>(
        _ key: String, count: ClosedRange<Int>? = nil, _ body: (inout JSONReader) -> Output?
    ) -> Output? {
        if recording != nil { return notedObject(key, count: count, isRequired: true, body) }
        if let count, case .object(let object)? = value(key), !count.contains(object.members.count) {
            report(key, "must have \(count.lowerBound) to \(count.upperBound) members")
            return nil
        }
        return required(key).flatMap { object($0, pointer.appendingPointerToken(key), body) }
    }

    package mutating func optionalObject<Output>(_ key: String, _ body: (inout JSONReader) -> Output?) -> Output? {
        if recording != nil { return notedObject(key, count: nil, isRequired: false, body) }
        return value(key).flatMap { object($0, pointer.appendingPointerToken(key), body) }
    }

    /// Reads an object with arbitrary members, such as `metadata`.
    package mutating func optionalObject(_ key: String) -> JSONObject? {
        if recording != nil { return notedAnyObject(key) }
        guard let value = value(key) else { return nil }
        guard case .object(let object) = value else {
            report(key, "must be an object, not \(value.kind)")
            return nil
        }
        return object
    }

    /// Reads an array of unparsed elements.
    ///
    /// - Parameter count: The allowed number of elements.
    package mutating func array(_ key: String, count: ClosedRange<Int>? = nil) -> [JSONValue]? {
        if recording != nil { return notedElements(key, count, isRequired: true) }
        return required(key).flatMap { array($0, key, count) }
    }

    package mutating func optionalArray(_ key: String, count: ClosedRange<Int>? = nil) -> [JSONValue]? {
        if recording != nil { return notedElements(key, count, isRequired: false) }
        return value(key).flatMap { array($0, key, count) }
    }

    /// Reads an array of objects with the closure; nil if any element has a problem.
    package mutating func objects<Output>(
        _ key: String, count: ClosedRange<Int>? = nil, _ body: (inout JSONReader) -> Output?
    ) -> [Output]? {
        if recording != nil { return notedObjects(key, count, isRequired: true, body) }
        return array(key, count: count).flatMap { objects($0, key, body) }
    }

    package mutating func optionalObjects<Output>(
        _ key: String, count: ClosedRange<Int>? = nil, _ body: (inout JSONReader) -> Output?
    ) -> [Output]? {
        if recording != nil { return notedObjects(key, count, isRequired: false, body) }
        return optionalArray(key, count: count).flatMap { objects($0, key, body) }
    }

    /// Reads an array of strings; nil if any element has a problem.
    package mutating func optionalStrings(
        _ key: String, count: ClosedRange<Int>? = nil, length: ClosedRange<Int>? = nil
    ) -> [String]? {
        if recording != nil { return notedStrings(key, count, length, expected: nil, among: nil) { $0 } }
        return optionalArray(key, count: count).flatMap { elements in
            eachElement(elements, key) { reader, index, element in reader.string(element, index, length) }
        }
    }

    /// Reads an array of strings that `parse` turns into another type; nil if any element has a problem.
    ///
    /// - Parameter names: All strings that `parse` accepts, if they can be listed. They only describe the member.
    package mutating func optionalStrings<Output>(
        _ key: String, count: ClosedRange<Int>? = nil, expected: String, among names: [String]? = nil,
        _ parse: (String) -> Output?
    ) -> [Output]? {
        if recording != nil { return notedStrings(key, count, nil, expected: expected, among: names, parse) }
        return optionalArray(key, count: count).flatMap { elements in
            eachElement(elements, key) { reader, index, element in
                reader.string(element, index, nil).flatMap { reader.parsed($0, index, expected, parse) }
            }
        }
    }

    /// Reads an array of integers in a range; nil if any element has a problem.
    package mutating func optionalInt64s(
        _ key: String, count: ClosedRange<Int>? = nil, in range: ClosedRange<Int64>
    ) -> [Int64]? {
        if recording != nil {
            return notedArray(key, JSONSchema(.integer(range)), count, [.integer(range.lowerBound)]) { $0.integer }
        }
        return optionalArray(key, count: count).flatMap { elements in
            eachElement(elements, key) { reader, index, element in reader.int64(element, index, .plain, range) }
        }
    }

    /// Reads an array whose elements are integers in a range or objects; nil if any element has a problem.
    ///
    /// - Parameters:
    ///   - integer: Turns an integer into an element.
    ///   - object: Reads the members of an object.
    package mutating func optionalMixed<Output>(
        _ key: String, count: ClosedRange<Int>? = nil, _ kind: JSONIntegerKind, in range: ClosedRange<Int64>,
        integer: (Int64) -> Output?, object: (inout JSONReader) -> Output?
    ) -> [Output]? {
        if recording != nil { return notedMixed(key, count, range, integer: integer, object: object) }
        return optionalArray(key, count: count).flatMap { elements in
            eachElement(elements, key) { reader, index, element in
                if case .object = element {
                    return reader.object(element, reader.pointer.appendingPointerToken(index), object)
                }
                return reader.int64(element, index, kind, range).flatMap(integer)
            }
        }
    }

    private mutating func object<Output>(
        _ value: JSONValue, _ pointer: String, _ body: (inout JSONReader) -> Output?
    ) -> Output? {
        guard case .object(let object) = value else {
            found.add(
                .invalidRequest,
                JSONProblem(pointer: pointer, detail: "must be an object, not \(value.kind)", code: .invalidRequest))
            return nil
        }
        var inner = JSONReader(object, pointer: pointer)
        let output = body(&inner)
        inner.finish()
        found.add(contentsOf: inner.found)
        return inner.problems.isEmpty ? output : nil
    }

    private mutating func array(_ value: JSONValue, _ key: String, _ count: ClosedRange<Int>?) -> [JSONValue]? {
        guard case .array(let elements) = value else {
            report(key, "must be an array, not \(value.kind)")
            return nil
        }
        if let count, !count.contains(elements.count) {
            report(key, "must have \(count.lowerBound) to \(count.upperBound) elements")
            return nil
        }
        return elements
    }

    private mutating func objects<Output>(
        _ elements: [JSONValue], _ key: String, _ body: (inout JSONReader) -> Output?
    ) -> [Output]? {
        let arrayPointer = pointer.appendingPointerToken(key)
        var outputs: [Output] = []
        outputs.reserveCapacity(elements.count)
        for (index, element) in elements.enumerated() {
            if let output = object(element, "\(arrayPointer)/\(index)", body) { outputs.append(output) }
        }
        return outputs.count == elements.count ? outputs : nil
    }

    /// Reads elements that are not objects, with a reader whose pointer is the array.
    private mutating func eachElement<Output>(
        _ elements: [JSONValue], _ key: String, _ read: (inout JSONReader, String, JSONValue) -> Output?
    ) -> [Output]? {
        var inner = JSONReader(JSONObject(), pointer: pointer.appendingPointerToken(key))
        let outputs = elements.enumerated().compactMap { read(&inner, String($0.offset), $0.element) }
        found.add(contentsOf: inner.found)
        return outputs.count == elements.count ? outputs : nil
    }
}
