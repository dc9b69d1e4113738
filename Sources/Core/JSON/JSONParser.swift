/// Reads one JSON document (RFC 8259) from UTF-8 bytes, strictly.
///
/// It also refuses documents that would be ambiguous or could not be stored: duplicate names, lone surrogates,
/// malformed UTF-8, U+0000, a byte order mark, bytes after the document, and nesting deeper than the limit.
///
/// Cost: a value takes at most 80 bytes of memory, beside the bytes of a string that is longer than 15. A document of
/// `{"":0}` repeated needs the most for its size, so a caller that parses what others send bounds the number of values.
package struct JSONParser {
    private let base: UnsafePointer<UInt8>
    private let end: Int
    private var position = 0
    private let maximumValues: Int
    /// The number of values that may still follow.
    private var remainingValues: Int
    /// The number of arrays and objects that may still be nested at this point.
    private var remainingDepth: Int
    /// The elements of the arrays that are open at this point, the outermost array's first. An array is copied from
    /// here when it ends, so that it has exactly the size it needs and is allocated once.
    private var openElements: [JSONValue] = []
    /// The members of the objects that are open at this point, like `openElements`.
    private var openMembers: [(key: String, value: JSONValue)] = []

    private init(base: UnsafePointer<UInt8>, end: Int, maximumDepth: Int, maximumValues: Int) {
        self.base = base
        self.end = end
        self.remainingDepth = maximumDepth
        self.maximumValues = maximumValues
        remainingValues = maximumValues
    }

    /// Parses any collection of bytes. Contiguous bytes are read in place, others are copied first.
    ///
    /// - Parameter maximumValues: The largest number of values in the document: objects, arrays, strings that are not
    ///   names, numbers and literals.
    package static func parse(
        _ bytes: some Collection<UInt8>, maximumDepth: Int = 32, maximumValues: Int = .max
    ) throws(JSONError) -> JSONValue {
        let result = bytes.withContiguousStorageIfAvailable { bytes in
            parseResult(bytes, maximumDepth: maximumDepth, maximumValues: maximumValues)
        }
        if let result { return try result.get() }
        return try parse(Array(bytes), maximumDepth: maximumDepth, maximumValues: maximumValues)
    }

    package static func parse(
        _ bytes: [UInt8], maximumDepth: Int = 32, maximumValues: Int = .max
    ) throws(JSONError) -> JSONValue {
        try bytes.withUnsafeBufferPointer { bytes in
            parseResult(bytes, maximumDepth: maximumDepth, maximumValues: maximumValues)
        }.get()
    }

    /// Parses borrowed bytes. The result does not refer to them.
    package static func parse(
        _ bytes: UnsafeRawBufferPointer, maximumDepth: Int = 32
    ) throws(JSONError) -> JSONValue {
        try bytes.withMemoryRebound(to: UInt8.self) { bytes in
            parseResult(bytes, maximumDepth: maximumDepth, maximumValues: .max)
        }.get()
    }

    private static func parseResult(
        _ bytes: UnsafeBufferPointer<UInt8>, maximumDepth: Int, maximumValues: Int
    ) -> Result<JSONValue, JSONError> {
        guard let base = bytes.baseAddress, bytes.count > 0 else {
            return .failure(JSONError("must not be empty", at: 0))
        }
        var parser = JSONParser(
            base: base, end: bytes.count, maximumDepth: maximumDepth, maximumValues: maximumValues)
        do {
            return .success(try parser.parseDocument())
        } catch {
            return .failure(error)
        }
    }

    private mutating func parseDocument() throws(JSONError) -> JSONValue {
        if end >= 3, base[0] == 0xEF, base[1] == 0xBB, base[2] == 0xBF {
            throw JSONError("must not start with a byte order mark", at: 0)
        }
        skipWhitespace()
        let value = try parseValue()
        skipWhitespace()
        if position < end { throw JSONError("must end after one JSON value", at: position) }
        return value
    }

    // MARK: Values

    private mutating func parseValue() throws(JSONError) -> JSONValue {
        guard position < end else { throw endsTooEarly() }
        guard remainingValues > 0 else {
            throw JSONError("is one of more than \(maximumValues) values in the document", at: position)
        }
        remainingValues -= 1
        switch base[position] {
        case UInt8(ascii: "\""):
            return .string(try parseString())
        case UInt8(ascii: "{"):
            return .object(try parseObject())
        case UInt8(ascii: "["):
            return .array(try parseArray())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            return try parseNumber()
        case UInt8(ascii: "t"):
            try expectLiteral("true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try expectLiteral("false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try expectLiteral("null")
            return .null
        default:
            throw JSONError("must be a JSON value", at: position)
        }
    }

    private mutating func parseObject() throws(JSONError) -> JSONObject {
        try openContainer()
        let first = openMembers.count
        var names = SeenNames()
        skipWhitespace()
        if takeIfNext(UInt8(ascii: "}")) {
            remainingDepth += 1
            return JSONObject()
        }
        while true {
            guard position < end else { throw endsTooEarly() }
            let start = position
            guard base[position] == UInt8(ascii: "\"") else {
                throw JSONError("must have a name in double quotes here", at: position)
            }
            let key = try parseString()
            if names.isRepeated(key, among: openMembers[first...]) {
                throw JSONError("must not occur twice in its object", at: start).inside(key)
            }
            skipWhitespace()
            guard takeIfNext(UInt8(ascii: ":")) else {
                throw position < end
                    ? JSONError("must have a colon after its name", at: position).inside(key)
                    : endsTooEarly()
            }
            skipWhitespace()
            do {
                let value = try parseValue()
                openMembers.append((key: key, value: value))
            } catch {
                throw error.inside(key)
            }
            skipWhitespace()
            if takeIfNext(UInt8(ascii: ",")) {
                skipWhitespace()
                continue
            }
            guard takeIfNext(UInt8(ascii: "}")) else {
                throw position < end
                    ? JSONError("must have a comma or a closing brace here", at: position)
                    : endsTooEarly()
            }
            remainingDepth += 1
            let members = Array(openMembers[first...])
            openMembers.removeSubrange(first...)
            return JSONObject(members: members)
        }
    }

    private mutating func parseArray() throws(JSONError) -> [JSONValue] {
        try openContainer()
        let first = openElements.count
        skipWhitespace()
        if takeIfNext(UInt8(ascii: "]")) {
            remainingDepth += 1
            return []
        }
        while true {
            do {
                let value = try parseValue()
                openElements.append(value)
            } catch {
                throw error.inside(String(openElements.count - first))
            }
            skipWhitespace()
            if takeIfNext(UInt8(ascii: ",")) {
                skipWhitespace()
                continue
            }
            guard takeIfNext(UInt8(ascii: "]")) else {
                throw position < end
                    ? JSONError("must have a comma or a closing bracket here", at: position)
                    : endsTooEarly()
            }
            remainingDepth += 1
            let elements = Array(openElements[first...])
            openElements.removeSubrange(first...)
            return elements
        }
    }

    private mutating func openContainer() throws(JSONError) {
        guard remainingDepth > 0 else { throw JSONError("must not be nested so deeply", at: position) }
        remainingDepth -= 1
        position += 1
    }

    private mutating func expectLiteral(_ literal: StaticString) throws(JSONError) {
        let length = literal.utf8CodeUnitCount
        let start = literal.utf8Start
        for index in 0..<length {
            guard position + index < end else { throw endsTooEarly() }
            guard base[position + index] == start[index] else {
                throw JSONError("must be a JSON value", at: position)
            }
        }
        position += length
    }

    // MARK: Numbers

    private mutating func parseNumber() throws(JSONError) -> JSONValue {
        let start = position
        let isNegative = takeIfNext(UInt8(ascii: "-"))
        // The number is built with negative digits, because the range of `Int64` is larger by one below zero.
        var negated: Int64 = 0
        var fitsInt64 = true
        let firstDigit = position
        while let digit = nextDigit() {
            if position - firstDigit < 18 {
                negated = negated &* 10 &- digit
            } else if fitsInt64 {
                let (product, overflowed) = negated.multipliedReportingOverflow(by: 10)
                let (difference, borrowed) = product.subtractingReportingOverflow(digit)
                fitsInt64 = !overflowed && !borrowed
                negated = difference
            }
            position += 1
        }
        let digits = position - firstDigit
        guard digits > 0 else { throw expectedDigit() }
        if digits > 1, base[firstDigit] == UInt8(ascii: "0") {
            throw JSONError("must not start with a zero", at: firstDigit)
        }
        var isInteger = true
        if takeIfNext(UInt8(ascii: ".")) {
            isInteger = false
            try skipDigits()
        }
        if position < end, base[position] | 0x20 == UInt8(ascii: "e") {
            isInteger = false
            position += 1
            if !takeIfNext(UInt8(ascii: "+")) { _ = takeIfNext(UInt8(ascii: "-")) }
            try skipDigits()
        }
        if isInteger, fitsInt64 {
            // `-0` keeps its literal, because the integer 0 would be written as `0`.
            if isNegative, negated < 0 { return .integer(negated) }
            if !isNegative, negated != .min { return .integer(-negated) }
        }
        return .number(text(from: start, to: position))
    }

    private mutating func skipDigits() throws(JSONError) {
        guard nextDigit() != nil else { throw expectedDigit() }
        repeat { position += 1 } while nextDigit() != nil
    }

    private func nextDigit() -> Int64? {
        guard position < end else { return nil }
        let digit = base[position] &- UInt8(ascii: "0")
        return digit < 10 ? Int64(digit) : nil
    }

    private func expectedDigit() -> JSONError {
        position < end ? JSONError("must have a digit here", at: position) : endsTooEarly()
    }

    // MARK: Strings

    private mutating func parseString() throws(JSONError) -> String {
        let start = position + 1
        var cursor = start
        var allBytes: UInt8 = 0
        while cursor < end {
            let byte = base[cursor]
            if byte == UInt8(ascii: "\"") {
                position = cursor + 1
                // Most strings are short ASCII without escapes. They are copied in one step and stored without
                // allocation.
                if allBytes < 0x80 { return text(from: start, to: cursor) }
                return try validatedText(UnsafeBufferPointer(start: base + start, count: cursor - start), at: start)
            }
            if byte == UInt8(ascii: "\\") { return try parseEscapedString(from: start, firstEscape: cursor) }
            if byte < 0x20 { throw controlCharacter(at: cursor) }
            allBytes |= byte
            cursor += 1
        }
        throw endsTooEarly()
    }

    /// The slow path: copies the string piece by piece into a buffer. The buffer grows as needed, so nothing depends on
    /// the length of the result.
    private mutating func parseEscapedString(from start: Int, firstEscape: Int) throws(JSONError) -> String {
        var decoded = Array(UnsafeBufferPointer(start: base + start, count: firstEscape - start))
        var cursor = firstEscape
        while cursor < end {
            let byte = base[cursor]
            switch byte {
            case UInt8(ascii: "\""):
                position = cursor + 1
                return try decoded.withUnsafeBufferPointer { bytes in
                    Result { () throws(JSONError) in try validatedText(bytes, at: start) }
                }.get()
            case UInt8(ascii: "\\"):
                try appendEscape(to: &decoded, at: &cursor)
            case 0..<0x20:
                throw controlCharacter(at: cursor)
            default:
                decoded.append(byte)
                cursor += 1
            }
        }
        throw endsTooEarly()
    }

    private func appendEscape(to decoded: inout [UInt8], at cursor: inout Int) throws(JSONError) {
        guard cursor + 1 < end else { throw endsTooEarly() }
        let plain: UInt8
        switch base[cursor + 1] {
        case UInt8(ascii: "\""): plain = UInt8(ascii: "\"")
        case UInt8(ascii: "\\"): plain = UInt8(ascii: "\\")
        case UInt8(ascii: "/"): plain = UInt8(ascii: "/")
        case UInt8(ascii: "b"): plain = 0x08
        case UInt8(ascii: "f"): plain = 0x0C
        case UInt8(ascii: "n"): plain = 0x0A
        case UInt8(ascii: "r"): plain = 0x0D
        case UInt8(ascii: "t"): plain = 0x09
        case UInt8(ascii: "u"):
            let scalar = try unicodeEscape(at: &cursor)
            decoded.append(contentsOf: String(scalar).utf8)
            return
        default: throw JSONError("must not contain an unknown escape sequence", at: cursor)
        }
        decoded.append(plain)
        cursor += 2
    }

    /// Reads `\uhhhh`, or two of them that form a surrogate pair.
    private func unicodeEscape(at cursor: inout Int) throws(JSONError) -> Unicode.Scalar {
        let start = cursor
        let first = try hexadecimalUnit(at: cursor + 2)
        cursor += 6
        if first == 0 { throw JSONError("must not contain the character U+0000", at: start) }
        if let scalar = Unicode.Scalar(first) { return scalar }
        let isFollowedByEscape =
            cursor + 1 < end && base[cursor] == UInt8(ascii: "\\")
            && base[cursor + 1] == UInt8(ascii: "u")
        if first < 0xDC00, isFollowedByEscape {
            let second = try hexadecimalUnit(at: cursor + 2)
            if (0xDC00...0xDFFF).contains(second),
                let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
            {
                cursor += 6
                return scalar
            }
        }
        throw JSONError("must not contain half of a surrogate pair", at: start)
    }

    private func hexadecimalUnit(at offset: Int) throws(JSONError) -> UInt32 {
        guard offset + 4 <= end else { throw endsTooEarly() }
        var unit: UInt32 = 0
        for index in offset..<offset + 4 {
            let digit: UInt8
            switch base[index] {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = base[index] - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = base[index] - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = base[index] - UInt8(ascii: "A") + 10
            default: throw JSONError("must have four hexadecimal digits after \\u", at: index)
            }
            unit = unit << 4 | UInt32(digit)
        }
        return unit
    }

    private func validatedText(_ bytes: UnsafeBufferPointer<UInt8>, at offset: Int) throws(JSONError) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw JSONError("must be well-formed UTF-8", at: offset)
        }
        return text
    }

    /// Makes a string of bytes that are known to be ASCII.
    private func text(from start: Int, to end: Int) -> String {
        String(decoding: UnsafeBufferPointer(start: base + start, count: end - start), as: UTF8.self)
    }

    private func controlCharacter(at offset: Int) -> JSONError {
        JSONError("must not contain an unescaped control character", at: offset)
    }

    // MARK: Bytes

    private mutating func skipWhitespace() {
        while position < end {
            switch base[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    private mutating func takeIfNext(_ byte: UInt8) -> Bool {
        guard position < end, base[position] == byte else { return false }
        position += 1
        return true
    }

    private func endsTooEarly() -> JSONError {
        JSONError("must not end here", at: end)
    }
}

/// The names seen so far in one object. A few names are compared one by one; more are hashed, so that an object with a
/// hundred thousand names does not take quadratic time.
private struct SeenNames {
    private static let linearLimit = 16
    private var hashed: Set<ByteString> = []

    mutating func isRepeated(_ key: String, among members: ArraySlice<(key: String, value: JSONValue)>) -> Bool {
        if members.count < Self.linearLimit {
            for member in members where member.key.hasSameBytes(as: key) { return true }
            return false
        }
        if hashed.isEmpty {
            for member in members { hashed.insert(ByteString(text: member.key)) }
        }
        return !hashed.insert(ByteString(text: key)).inserted
    }

    /// A string whose equality compares bytes.
    private struct ByteString: Hashable {
        let text: String

        static func == (left: ByteString, right: ByteString) -> Bool { left.text.hasSameBytes(as: right.text) }

        /// Hashes the bytes. A string's own hash is equal for all canonically equivalent texts, of which an attacker
        /// can make any number.
        func hash(into hasher: inout Hasher) {
            var text = text
            text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        }
    }
}
