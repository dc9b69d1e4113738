/// Writes a JSON document into a growing array of bytes.
///
/// The writer sets the commas. It does not check the order of the calls: an object needs pairs of `key` and one value,
/// and every begin call needs its end call.
package struct JSONWriter: Sendable {
    /// The document written so far, as UTF-8.
    package private(set) var bytes: [UInt8]
    /// Whether the previous output is a value, so that the next one needs a comma.
    private var needsComma = false

    /// - Parameter capacity: The expected size of the document in bytes.
    package init(capacity: Int = 512) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    /// Removes the document and keeps its memory for the next one.
    package mutating func reset() {
        bytes.removeAll(keepingCapacity: true)
        needsComma = false
    }

    // MARK: Structure

    package mutating func beginObject() { begin(UInt8(ascii: "{")) }
    package mutating func endObject() { end(UInt8(ascii: "}")) }
    package mutating func beginArray() { begin(UInt8(ascii: "[")) }
    package mutating func endArray() { end(UInt8(ascii: "]")) }

    private mutating func begin(_ bracket: UInt8) {
        separate()
        bytes.append(bracket)
        needsComma = false
    }

    private mutating func end(_ bracket: UInt8) {
        bytes.append(bracket)
        needsComma = true
    }

    private mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = true
    }

    /// Begins a member with a literal name, which must need no escaping.
    package mutating func key(_ name: StaticString) {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        bytes.append(UInt8(ascii: "\""))
        name.withUTF8Buffer { bytes.append(contentsOf: $0) }
        bytes.append(UInt8(ascii: "\""))
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    /// Begins a member with any name. A literal name uses the other overload.
    @_disfavoredOverload
    package mutating func key(_ name: String) {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        appendQuoted(name)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    // MARK: Values

    package mutating func value(_ integer: Int64) {
        separate()
        appendDigits(integer)
    }

    package mutating func value(_ integer: Int) {
        value(Int64(integer))
    }

    package mutating func value(_ boolean: Bool) {
        separate()
        append(boolean ? "true" : "false")
    }

    package mutating func value(_ text: String) {
        separate()
        appendQuoted(text)
    }

    package mutating func value(_ value: JSONValue) {
        value.write(into: &self)
    }

    package mutating func null() {
        separate()
        append("null")
    }

    /// Writes bytes that are already a JSON value.
    package mutating func raw(_ json: some Collection<UInt8>) {
        separate()
        bytes.append(contentsOf: json)
    }

    // MARK: Members; nil is written as null

    package mutating func member(_ name: StaticString, _ integer: Int64?) {
        key(name)
        if let integer { value(integer) } else { null() }
    }

    package mutating func member(_ name: StaticString, _ integer: Int?) {
        key(name)
        if let integer { value(integer) } else { null() }
    }

    package mutating func member(_ name: StaticString, _ boolean: Bool?) {
        key(name)
        if let boolean { value(boolean) } else { null() }
    }

    package mutating func member(_ name: StaticString, _ text: String?) {
        key(name)
        if let text { value(text) } else { null() }
    }

    package mutating func member(_ name: StaticString, _ value: JSONValue?) {
        key(name)
        if let value { self.value(value) } else { null() }
    }

    /// Writes a member whose value is already JSON.
    package mutating func member(_ name: StaticString, raw json: some Collection<UInt8>) {
        key(name)
        raw(json)
    }

    /// Writes a member that is an object; the closure writes its members.
    package mutating func object(_ name: StaticString, _ writeMembers: (inout JSONWriter) -> Void) {
        key(name)
        beginObject()
        writeMembers(&self)
        endObject()
    }

    /// Writes a member that is an array; the closure writes one value for each element.
    package mutating func array<Elements: Sequence>(
        _ name: StaticString, _ elements: Elements, _ writeElement: (inout JSONWriter, Elements.Element) -> Void
    ) {
        key(name)
        beginArray()
        for element in elements { writeElement(&self, element) }
        endArray()
    }

    // MARK: Bytes

    private mutating func append(_ text: StaticString) {
        text.withUTF8Buffer { bytes.append(contentsOf: $0) }
    }

    /// Writes a number literal, which needs no escaping.
    mutating func number(_ literal: String) {
        separate()
        bytes.append(contentsOf: literal.utf8)
    }

    private mutating func appendDigits(_ integer: Int64) {
        if integer >= 0, integer < 10 {
            bytes.append(UInt8(ascii: "0") + UInt8(integer))
            return
        }
        // An `Int64` has at most 19 digits and a sign.
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            var first = 20
            var magnitude = integer.magnitude
            repeat {
                let (quotient, remainder) = magnitude.quotientAndRemainder(dividingBy: 10)
                first -= 1
                digits[first] = UInt8(ascii: "0") + UInt8(remainder)
                magnitude = quotient
            } while magnitude > 0
            if integer < 0 {
                first -= 1
                digits[first] = UInt8(ascii: "-")
            }
            bytes.append(contentsOf: UnsafeBufferPointer(rebasing: digits[first..<20]))
        }
    }

    private mutating func appendQuoted(_ text: String) {
        var text = text
        bytes.append(UInt8(ascii: "\""))
        text.withUTF8 { utf8 in
            var start = 0
            for index in 0..<utf8.count {
                let byte = utf8[index]
                guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
                bytes.append(contentsOf: UnsafeBufferPointer(rebasing: utf8[start..<index]))
                appendEscaped(byte)
                start = index + 1
            }
            bytes.append(contentsOf: UnsafeBufferPointer(rebasing: utf8[start...]))
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func appendEscaped(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): append("\\\"")
        case UInt8(ascii: "\\"): append("\\\\")
        case 0x08: append("\\b")
        case 0x09: append("\\t")
        case 0x0A: append("\\n")
        case 0x0C: append("\\f")
        case 0x0D: append("\\r")
        default:
            append(byte < 0x10 ? "\\u000" : "\\u001")
            let digit = byte & 0x0F
            bytes.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
        }
    }
}

extension JSONValue {
    /// Writes the value with its members in document order.
    package func write(into writer: inout JSONWriter) {
        write(into: &writer, sorted: false)
    }

    /// The canonical JSON text, for fingerprints: no white space, members ordered by the UTF-8 bytes of their names,
    /// strings with the shortest escapes and otherwise as UTF-8, integers in plain digits. A number that is not an
    /// `.integer` keeps its literal, so `1.0`, `1.00` and `1` have three different texts.
    package var canonicalBytes: [UInt8] {
        var writer = JSONWriter()
        write(into: &writer, sorted: true)
        return writer.bytes
    }

    private func write(into writer: inout JSONWriter, sorted: Bool) {
        switch self {
        case .null: writer.null()
        case .bool(let boolean): writer.value(boolean)
        case .integer(let integer): writer.value(integer)
        case .number(let literal): writer.number(literal)
        case .string(let text): writer.value(text)
        case .array(let elements):
            writer.beginArray()
            for element in elements { element.write(into: &writer, sorted: sorted) }
            writer.endArray()
        case .object(let object):
            writer.beginObject()
            for member in sorted ? object.membersSortedByKey : object.members {
                writer.key(member.key)
                member.value.write(into: &writer, sorted: sorted)
            }
            writer.endObject()
        }
    }
}
