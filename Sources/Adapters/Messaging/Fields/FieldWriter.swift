/// Writes a message as tagged fields: the wire format of Protocol Buffers, without generated code (decisions/0004).
///
/// A field is a number and a value. Fields are written in ascending order of their numbers, and an absent value is not
/// written. A reader skips a number that it does not know, so a field can be added without stopping an installation. A
/// field that an older reader must not skip, because the command would mean something else without it, is written with
/// `since`: it raises the revision that the request demands of its reader.
struct FieldWriter {
    private(set) var bytes: [UInt8] = []
    /// The lowest message revision whose readers understand everything that was written.
    private(set) var revision = MessageRevision.first

    init(capacity: Int = 0) {
        bytes.reserveCapacity(capacity)
    }

    // MARK: - Values

    mutating func write(_ number: Int, _ value: Int64) {
        writeTag(number, .varint)
        // Zigzag encoding: a small negative number takes as few bytes as a small positive one.
        writeVarint(UInt64(bitPattern: value << 1 ^ value >> 63))
    }

    mutating func write(_ number: Int, _ value: Int64?) {
        if let value { write(number, value) }
    }

    mutating func write(_ number: Int, _ value: Bool?) {
        if let value { write(number, value ? 1 : 0 as Int64) }
    }

    /// Eight bytes, little-endian.
    mutating func write(_ number: Int, fixed value: UInt64) {
        writeTag(number, .fixed64)
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func write(_ number: Int, _ value: String?) {
        guard var value else { return }
        writeTag(number, .bytes)
        writeVarint(UInt64(value.utf8.count))
        value.withUTF8 { bytes.append(contentsOf: $0) }
    }

    mutating func write(_ number: Int, _ value: [UInt8]) {
        writeTag(number, .bytes)
        writeVarint(UInt64(value.count))
        bytes.append(contentsOf: value)
    }

    /// Demands a revision of the reader, for a field that an older reader must not skip.
    mutating func demand(revision since: Int) {
        revision = max(revision, since)
    }

    // MARK: - Nested messages

    /// - Parameter since: The revision that a reader must have, for a field that an older reader must not skip.
    mutating func write(_ number: Int, since: Int = MessageRevision.first, _ body: (inout FieldWriter) -> Void) {
        demand(revision: since)
        writeTag(number, .bytes)
        let start = bytes.count
        // Nearly all messages are shorter than 128 bytes, so one byte is reserved for the length.
        bytes.append(0)
        body(&self)
        let length = bytes.count - start - 1
        if length < 0x80 {
            bytes[start] = UInt8(length)
        } else {
            var prefix = FieldWriter()
            prefix.writeVarint(UInt64(length))
            bytes.replaceSubrange(start...start, with: prefix.bytes)
        }
    }

    mutating func write(_ number: Int, _ value: (some FieldCodable)?) {
        if let value { write(number) { value.write(to: &$0) } }
    }

    /// Writes one field for each element.
    mutating func write(_ number: Int, each values: [some FieldCodable]) {
        for value in values { write(number) { value.write(to: &$0) } }
    }

    /// Writes one field for each element.
    mutating func write(_ number: Int, each values: [String]) {
        for value in values { write(number, value) }
    }

    // MARK: - Parts

    enum WireType: UInt64 {
        case varint = 0
        case fixed64 = 1
        case bytes = 2
    }

    private mutating func writeTag(_ number: Int, _ type: WireType) {
        writeVarint(UInt64(number) << 3 | type.rawValue)
    }

    /// Writes seven bits per byte, least significant first.
    private mutating func writeVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}

/// A value that is written as a message of its own.
protocol FieldCodable {
    func write(to writer: inout FieldWriter)

    /// - Throws: `CodingError` for fields that `write` does not make. Fields that this release does not know are
    ///   skipped.
    init(from reader: inout FieldReader) throws(CodingError)
}

/// The revisions of the message format. A change that older readers may ignore keeps the revision. A change that they
/// must not ignore, such as a new action, raises `current` and writes its field with `since` set to the new number.
package enum MessageRevision {
    package static let first = 1
    /// The newest revision that this release reads and writes.
    package static let current = 6
}
