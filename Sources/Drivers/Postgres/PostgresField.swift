/// The bytes of one value in PostgreSQL's binary format, and the decoders for them. Results, COPY rows and replicated
/// tuples share it.
///
/// It is a view, valid only as long as the memory that it was cut from. Every decoder checks the length first, so bytes
/// of another form throw `PostgresError` of kind `decoding` and never trap.
package struct PostgresField {
    package let bytes: UnsafeRawBufferPointer

    package init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    package func bool() throws(PostgresError) -> Bool {
        guard bytes.count == 1 else { throw mismatch("a boolean") }
        return bytes[0] != 0
    }

    package func int16() throws(PostgresError) -> Int16 {
        guard bytes.count == 2 else { throw mismatch("a smallint") }
        return bytes.bigEndian(at: 0)
    }

    /// Also accepts a smallint.
    package func int32() throws(PostgresError) -> Int32 {
        switch bytes.count {
        case 2: return Int32(bytes.bigEndian(at: 0, as: Int16.self))
        case 4: return bytes.bigEndian(at: 0)
        default: throw mismatch("an integer")
        }
    }

    /// Also accepts an integer and a smallint.
    package func int64() throws(PostgresError) -> Int64 {
        switch bytes.count {
        case 2: return Int64(bytes.bigEndian(at: 0, as: Int16.self))
        case 4: return Int64(bytes.bigEndian(at: 0, as: Int32.self))
        case 8: return bytes.bigEndian(at: 0)
        default: throw mismatch("a bigint")
        }
    }

    /// Text, varchar, name or json. Bytes that are not UTF-8 are replaced; a UTF-8 database never sends any.
    package func text() -> String {
        String(decoding: bytes, as: UTF8.self)
    }

    /// The text of a jsonb.
    package func jsonText() throws(PostgresError) -> String {
        guard bytes.first == 1 else { throw mismatch("a jsonb of version 1") }
        return String(decoding: UnsafeRawBufferPointer(rebasing: bytes[1...]), as: UTF8.self)
    }

    /// A copy of the bytes.
    package func byteArray() -> [UInt8] {
        [UInt8](bytes)
    }

    /// Microseconds since the Unix epoch; infinity and -infinity are `Int64.max` and `Int64.min`.
    package func timestamp() throws(PostgresError) -> Int64 {
        guard bytes.count == 8 else { throw mismatch("a timestamp") }
        let value: Int64 = bytes.bigEndian(at: 0)
        if value == .max || value == .min { return value }
        let (microseconds, overflow) = value.addingReportingOverflow(postgresEpochMicroseconds)
        guard !overflow else {
            throw PostgresError(.decoding("a timestamp lies beyond the range of 64-bit microseconds"))
        }
        return microseconds
    }

    package func uuid() throws(PostgresError) -> PostgresUUID {
        guard bytes.count == 16 else { throw mismatch("a UUID") }
        return PostgresUUID(high: bytes.bigEndian(at: 0), low: bytes.bigEndian(at: 8))
    }

    /// The elements of a one-dimensional array, each decoded by `decode`; a null element is nil.
    package func array<Element>(
        _ decode: (PostgresField) throws(PostgresError) -> Element
    ) throws(PostgresError) -> [Element?] {
        var reader = WireReader(bytes)
        let dimensions = try reader.integer(as: Int32.self)
        _ = try reader.integer(as: Int32.self)
        _ = try reader.integer(as: Int32.self)
        if dimensions == 0 { return [] }
        guard dimensions == 1 else {
            throw PostgresError(.decoding("an array has \(dimensions) dimensions, not one"))
        }
        let count = try reader.integer(as: Int32.self)
        _ = try reader.integer(as: Int32.self)
        // Each element takes at least four bytes, so a larger count is invalid. No memory is reserved for it.
        guard count >= 0, Int(count) <= reader.remaining / 4 else { throw mismatch("an array of \(count) elements") }
        var elements: [Element?] = []
        elements.reserveCapacity(Int(count))
        for _ in 0..<count {
            if let field = try reader.lengthPrefixedField() {
                elements.append(try decode(field))
            } else {
                elements.append(nil)
            }
        }
        return elements
    }

    private func mismatch(_ expected: String) -> PostgresError {
        PostgresError(.decoding("\(bytes.count) bytes are not \(expected)"))
    }
}

extension UnsafeRawBufferPointer {
    /// The caller must have checked the bounds.
    @inline(__always)
    func bigEndian<Value: FixedWidthInteger & BitwiseCopyable>(
        at offset: Int, as type: Value.Type = Value.self
    ) -> Value {
        Value(bigEndian: loadUnaligned(fromByteOffset: offset, as: Value.self))
    }
}

/// Reads big-endian fields in order from untrusted bytes. Every read checks the bounds.
struct WireReader {
    private let bytes: UnsafeRawBufferPointer
    private(set) var position = 0

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    var remaining: Int { bytes.count - position }

    mutating func integer<Value: FixedWidthInteger & BitwiseCopyable>(
        as type: Value.Type = Value.self
    ) throws(PostgresError) -> Value {
        let size = MemoryLayout<Value>.size
        guard remaining >= size else { throw truncated() }
        defer { position += size }
        return bytes.bigEndian(at: position)
    }

    mutating func slice(_ count: Int) throws(PostgresError) -> UnsafeRawBufferPointer {
        guard count >= 0, remaining >= count else { throw truncated() }
        defer { position += count }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
    }

    /// A text that ends at a zero byte.
    mutating func zeroTerminatedText() throws(PostgresError) -> String {
        guard let end = bytes[position...].firstIndex(of: 0) else { throw truncated() }
        let text = try slice(end - position)
        position += 1
        return String(decoding: text, as: UTF8.self)
    }

    /// Reads a four-byte length and that many bytes; the length -1 is null.
    mutating func lengthPrefixedField() throws(PostgresError) -> PostgresField? {
        let length = try integer(as: Int32.self)
        if length == -1 { return nil }
        return PostgresField(try slice(Int(length)))
    }

    private func truncated() -> PostgresError {
        PostgresError(.decoding("a message of \(bytes.count) bytes ends too early"))
    }
}
