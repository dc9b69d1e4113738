/// An error in the bytes of a message.
package enum CodingError: Error, Hashable, CustomStringConvertible {
    case truncated
    /// The bytes are not tagged fields in ascending order, or a field has another type than expected.
    case malformed
    case missing(field: FieldName)
    case invalid(field: FieldName)

    package var description: String {
        switch self {
        case .truncated: "the message ends in the middle of a field"
        case .malformed: "the message is not a list of tagged fields"
        case .missing(let field): "the message lacks the \(field.text)"
        case .invalid(let field): "the message has an invalid \(field.text)"
        }
    }

    /// The name of a field in an error text.
    package struct FieldName: Hashable, Sendable, ExpressibleByStringLiteral {
        let text: String

        package init(stringLiteral value: String) {
            text = value
        }
    }
}

/// Reads the fields that `FieldWriter` wrote, in ascending order of their numbers. Fields that the caller does not read
/// are skipped. Every read checks its bounds and throws, so that no input traps.
///
/// The reader is a view of memory that `read(_:_:)` lends to its closure, and must not leave the closure.
struct FieldReader {
    private let bytes: UnsafeRawBufferPointer
    private var index = 0
    /// The tag of the next field, if it has been read ahead.
    private var ahead: Tag?
    private var lastNumber: UInt64 = 0

    private struct Tag {
        let number: UInt64
        let type: FieldWriter.WireType
    }

    private init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    /// Reads a whole message.
    static func read<Value>(
        _ bytes: [UInt8], _ body: (inout FieldReader) throws(CodingError) -> Value
    ) throws(CodingError) -> Value {
        let result = bytes.withUnsafeBytes { buffer in
            Result { () throws(CodingError) in
                var reader = FieldReader(buffer)
                let value = try body(&reader)
                try reader.finish()
                return value
            }
        }
        return try result.get()
    }

    // MARK: - Optional fields

    mutating func optionalInt64(_ number: Int) throws(CodingError) -> Int64? {
        guard try next(is: number, .varint) else { return nil }
        let value = try varint()
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    mutating func optionalInt32(_ number: Int, _ name: CodingError.FieldName) throws(CodingError) -> Int32? {
        guard let value = try optionalInt64(number) else { return nil }
        guard let value = Int32(exactly: value) else { throw .invalid(field: name) }
        return value
    }

    mutating func optionalBool(_ number: Int, _ name: CodingError.FieldName) throws(CodingError) -> Bool? {
        switch try optionalInt64(number) {
        case nil: return nil
        case 0: return false
        case 1: return true
        default: throw .invalid(field: name)
        }
    }

    mutating func optionalFixed(_ number: Int) throws(CodingError) -> UInt64? {
        guard try next(is: number, .fixed64) else { return nil }
        return try fixed64()
    }

    mutating func optionalString(_ number: Int, _ name: CodingError.FieldName) throws(CodingError) -> String? {
        guard try next(is: number, .bytes) else { return nil }
        guard let text = String(validating: try slice(), as: UTF8.self) else { throw .invalid(field: name) }
        return text
    }

    mutating func optionalBytes(_ number: Int) throws(CodingError) -> [UInt8]? {
        guard try next(is: number, .bytes) else { return nil }
        return Array(try slice())
    }

    /// A value that is written as a string.
    mutating func optional<Value>(
        _ number: Int, _ name: CodingError.FieldName, _ parse: (String) -> Value?
    ) throws(CodingError) -> Value? {
        guard let text = try optionalString(number, name) else { return nil }
        guard let value = parse(text) else { throw .invalid(field: name) }
        return value
    }

    /// A nested message.
    mutating func optionalMessage<Value>(
        _ number: Int, _ body: (inout FieldReader) throws(CodingError) -> Value
    ) throws(CodingError) -> Value? {
        guard try next(is: number, .bytes) else { return nil }
        var reader = FieldReader(try slice())
        let value = try body(&reader)
        try reader.finish()
        return value
    }

    mutating func optional<Value: FieldCodable>(_ number: Int) throws(CodingError) -> Value? {
        try optionalMessage(number) { (reader) throws(CodingError) in try Value(from: &reader) }
    }

    // MARK: - Required fields

    mutating func int64(_ number: Int, _ name: CodingError.FieldName) throws(CodingError) -> Int64 {
        try Self.required(try optionalInt64(number), name)
    }

    mutating func int32(_ number: Int, _ name: CodingError.FieldName) throws(CodingError) -> Int32 {
        try Self.required(try optionalInt32(number, name), name)
    }

    mutating func bool(_ number: Int, _ name: CodingError.FieldName) throws(CodingError) -> Bool {
        try Self.required(try optionalBool(number, name), name)
    }

    mutating func fixed(_ number: Int, _ name: CodingError.FieldName) throws(CodingError) -> UInt64 {
        try Self.required(try optionalFixed(number), name)
    }

    mutating func string(_ number: Int, _ name: CodingError.FieldName) throws(CodingError) -> String {
        try Self.required(try optionalString(number, name), name)
    }

    mutating func byteArray(_ number: Int, _ name: CodingError.FieldName) throws(CodingError) -> [UInt8] {
        try Self.required(try optionalBytes(number), name)
    }

    mutating func parsed<Value>(
        _ number: Int, _ name: CodingError.FieldName, _ parse: (String) -> Value?
    ) throws(CodingError) -> Value {
        try Self.required(try optional(number, name, parse), name)
    }

    mutating func message<Value>(
        _ number: Int, _ name: CodingError.FieldName, _ body: (inout FieldReader) throws(CodingError) -> Value
    ) throws(CodingError) -> Value {
        try Self.required(try optionalMessage(number, body), name)
    }

    mutating func value<Value: FieldCodable>(
        _ number: Int, _ name: CodingError.FieldName
    ) throws(CodingError) -> Value {
        try Self.required(try optional(number), name)
    }

    // MARK: - Repeated fields

    /// All nested messages of a number, in order.
    mutating func messages<Value>(
        _ number: Int, _ body: (inout FieldReader) throws(CodingError) -> Value
    ) throws(CodingError) -> [Value] {
        var values: [Value] = []
        while let value = try optionalMessage(number, body) { values.append(value) }
        return values
    }

    mutating func values<Value: FieldCodable>(_ number: Int) throws(CodingError) -> [Value] {
        try messages(number) { (reader) throws(CodingError) in try Value(from: &reader) }
    }

    /// All strings of a number, in order.
    mutating func strings(_ number: Int, _ name: CodingError.FieldName) throws(CodingError) -> [String] {
        var values: [String] = []
        while let value = try optionalString(number, name) { values.append(value) }
        return values
    }

    // MARK: - Parts

    /// The number of the next field; nil at the end. It tells which alternative of a choice follows.
    mutating func nextNumber() throws(CodingError) -> Int? {
        try peek().map { Int(truncatingIfNeeded: $0.number) }
    }

    /// Skips the remaining fields and checks that they are well formed.
    mutating func finish() throws(CodingError) {
        while let tag = try peek() { try skip(tag) }
    }

    private static func required<Value>(_ value: Value?, _ name: CodingError.FieldName) throws(CodingError) -> Value {
        guard let value else { throw .missing(field: name) }
        return value
    }

    /// Skips the fields of lower numbers. True when the next field has the number; its tag has then been read.
    private mutating func next(is number: Int, _ type: FieldWriter.WireType) throws(CodingError) -> Bool {
        while let tag = try peek() {
            if tag.number > UInt64(number) { return false }
            if tag.number == UInt64(number) {
                guard tag.type == type else { throw .malformed }
                ahead = nil
                return true
            }
            try skip(tag)
        }
        return false
    }

    private mutating func peek() throws(CodingError) -> Tag? {
        if let ahead { return ahead }
        guard index < bytes.count else { return nil }
        let key = try varint()
        guard let type = FieldWriter.WireType(rawValue: key & 7), key >> 3 >= max(1, lastNumber) else {
            throw .malformed
        }
        lastNumber = key >> 3
        let tag = Tag(number: key >> 3, type: type)
        ahead = tag
        return tag
    }

    private mutating func skip(_ tag: Tag) throws(CodingError) {
        ahead = nil
        switch tag.type {
        case .varint: _ = try varint()
        case .fixed64: _ = try fixed64()
        case .bytes: _ = try slice()
        }
    }

    private mutating func varint() throws(CodingError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard index < bytes.count else { throw .truncated }
            let byte = bytes[index]
            index += 1
            // The tenth byte has room for one bit.
            guard shift < 63 || byte <= 1 else { throw .malformed }
            value |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 { return value }
        }
        throw .malformed
    }

    private mutating func fixed64() throws(CodingError) -> UInt64 {
        guard bytes.count - index >= 8 else { throw .truncated }
        defer { index += 8 }
        return UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
    }

    /// Reads a length and that many bytes.
    private mutating func slice() throws(CodingError) -> UnsafeRawBufferPointer {
        let count = try varint()
        guard count <= UInt64(bytes.count - index) else { throw .truncated }
        defer { index += Int(count) }
        return UnsafeRawBufferPointer(rebasing: bytes[index..<index + Int(count)])
    }
}
