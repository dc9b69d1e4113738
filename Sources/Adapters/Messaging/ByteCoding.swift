/// Appends values to a message: fixed-width integers little-endian, counts and lengths as LEB128 variable-length integers.
struct ByteWriter {
    private(set) var bytes: [UInt8] = []

    init(capacity: Int = 512) {
        bytes.reserveCapacity(capacity)
    }

    mutating func write<Value: FixedWidthInteger>(_ value: Value) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func write(_ value: Bool) {
        bytes.append(value ? 1 : 0)
    }

    mutating func write(count: Int) {
        var rest = UInt64(count)
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    mutating func write(_ value: [UInt8]) {
        write(count: value.count)
        bytes.append(contentsOf: value)
    }

    mutating func write(_ value: String) {
        write(count: value.utf8.count)
        bytes.append(contentsOf: value.utf8)
    }

    /// An optional: one byte for presence, then the value.
    mutating func write<Value>(_ value: Value?, _ body: (inout ByteWriter, Value) -> Void) {
        write(value != nil)
        if let value { body(&self, value) }
    }

    mutating func write(_ value: String?) {
        write(value) { $0.write($1 as String) }
    }
}

/// Why bytes are not a message of ours.
package enum CodingError: Error, Hashable, CustomStringConvertible {
    case truncated
    case trailingBytes
    case unsupportedVersion(UInt8)
    case invalid(field: StaticStringField)

    package var description: String {
        switch self {
        case .truncated: "the message ends in the middle of a field"
        case .trailingBytes: "the message goes on after its last field"
        case .unsupportedVersion(let version):
            "the message has format version \(version), which this release does not read"
        case .invalid(let field): "the message has an impossible \(field.name)"
        }
    }

    /// The name of a field in a sentence.
    package struct StaticStringField: Hashable, ExpressibleByStringLiteral {
        package let name: String

        package init(stringLiteral value: String) {
            name = value
        }
    }
}

/// Reads what `ByteWriter` wrote. Every read checks bounds and throws; no input traps.
struct ByteReader {
    private let bytes: [UInt8]
    private var index = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    var remaining: Int { bytes.count - index }

    mutating func integer<Value: FixedWidthInteger>(_: Value.Type = Value.self) throws(CodingError) -> Value {
        let size = MemoryLayout<Value>.size
        guard remaining >= size else { throw .truncated }
        let value = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: index, as: Value.self) }
        index += size
        return Value(littleEndian: value)
    }

    mutating func boolean() throws(CodingError) -> Bool {
        switch try integer(UInt8.self) {
        case 0: return false
        case 1: return true
        default: throw .invalid(field: "flag")
        }
    }

    /// A count of elements or bytes; never more than the bytes that are left, so that it can size an array.
    mutating func count() throws(CodingError) -> Int {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 35, by: 7) {
            let byte = try integer(UInt8.self)
            value |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 {
                guard value <= UInt64(remaining) else { throw .truncated }
                return Int(value)
            }
        }
        throw .invalid(field: "count")
    }

    mutating func byteArray() throws(CodingError) -> [UInt8] {
        let count = try count()
        defer { index += count }
        return Array(bytes[index..<index + count])
    }

    mutating func string() throws(CodingError) -> String {
        let count = try count()
        guard let text = String(validating: bytes[index..<index + count], as: UTF8.self) else {
            throw .invalid(field: "text")
        }
        index += count
        return text
    }

    mutating func optional<Value>(
        _ body: (inout ByteReader) throws(CodingError) -> Value
    ) throws(CodingError) -> Value? {
        try boolean() ? try body(&self) : nil
    }

    mutating func optionalString() throws(CodingError) -> String? {
        try optional { (reader) throws(CodingError) in try reader.string() }
    }

    mutating func finish() throws(CodingError) {
        guard remaining == 0 else { throw .trailingBytes }
    }
}
