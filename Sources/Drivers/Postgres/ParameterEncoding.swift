extension PostgresValue {
    var typeIdentifier: UInt32 {
        switch self {
        case .null: TypeIdentifier.unspecified
        case .bool: TypeIdentifier.bool
        case .int16: TypeIdentifier.int2
        case .int32: TypeIdentifier.int4
        case .int64: TypeIdentifier.int8
        case .text: TypeIdentifier.text
        case .bytes: TypeIdentifier.bytea
        case .timestamp: TypeIdentifier.timestamptz
        case .uuid: TypeIdentifier.uuid
        case .jsonText: TypeIdentifier.jsonb
        case .bools, .nullableBools: TypeIdentifier.boolArray
        case .int16s, .nullableInt16s: TypeIdentifier.int2Array
        case .int32s, .nullableInt32s: TypeIdentifier.int4Array
        case .int64s, .nullableInt64s: TypeIdentifier.int8Array
        case .texts, .nullableTexts: TypeIdentifier.textArray
        case .byteArrays, .nullableByteArrays: TypeIdentifier.byteaArray
        case .timestamps, .nullableTimestamps: TypeIdentifier.timestamptzArray
        case .uuids, .nullableUUIDs: TypeIdentifier.uuidArray
        case .jsonTexts, .nullableJSONTexts: TypeIdentifier.jsonbArray
        }
    }

    /// The number of bytes that `write` will write; nil for null.
    var wireLength: Int? {
        switch self {
        case .null: nil
        case .bool: 1
        case .int16: 2
        case .int32: 4
        case .int64, .timestamp: 8
        case .uuid: 16
        case .text(let text): text.utf8.count
        case .bytes(let bytes): bytes.count
        case .jsonText(let text): 1 + text.utf8.count
        case .bools(let all): arrayLength(all, element: 1)
        case .int16s(let all): arrayLength(all, element: 2)
        case .int32s(let all): arrayLength(all, element: 4)
        case .int64s(let all), .timestamps(let all): arrayLength(all, element: 8)
        case .uuids(let all): arrayLength(all, element: 16)
        case .texts(let all): arrayLength(all) { $0.utf8.count }
        case .byteArrays(let all): arrayLength(all) { $0.count }
        case .jsonTexts(let all): arrayLength(all) { 1 + $0.utf8.count }
        case .nullableBools(let all): arrayLength(all) { $0 == nil ? 0 : 1 }
        case .nullableInt16s(let all): arrayLength(all) { $0 == nil ? 0 : 2 }
        case .nullableInt32s(let all): arrayLength(all) { $0 == nil ? 0 : 4 }
        case .nullableInt64s(let all), .nullableTimestamps(let all): arrayLength(all) { $0 == nil ? 0 : 8 }
        case .nullableUUIDs(let all): arrayLength(all) { $0 == nil ? 0 : 16 }
        case .nullableTexts(let all): arrayLength(all) { $0?.utf8.count ?? 0 }
        case .nullableByteArrays(let all): arrayLength(all) { $0?.count ?? 0 }
        case .nullableJSONTexts(let all): arrayLength(all) { $0.map { 1 + $0.utf8.count } ?? 0 }
        }
    }

    func write(to writer: inout WireWriter) {
        switch self {
        case .null: break
        case .bool(let value): writer.integer(value ? UInt8(1) : 0)
        case .int16(let value): writer.integer(value)
        case .int32(let value): writer.integer(value)
        case .int64(let value): writer.integer(value)
        case .timestamp(let microseconds): writer.timestamp(microseconds)
        case .uuid(let high, let low):
            writer.integer(high)
            writer.integer(low)
        case .text(let text): writer.text(text)
        case .bytes(let bytes): writer.bytes(bytes)
        case .jsonText(let text): writer.json(text)
        default: writeArray(to: &writer)
        }
    }

    private func writeArray(to writer: inout WireWriter) {
        switch self {
        case .bools(let all):
            writer.array(all, of: TypeIdentifier.bool, length: { _ in 1 }) { $0.integer($1 ? UInt8(1) : 0) }
        case .int16s(let all): writer.array(all, of: TypeIdentifier.int2, length: { _ in 2 }) { $0.integer($1) }
        case .int32s(let all): writer.array(all, of: TypeIdentifier.int4, length: { _ in 4 }) { $0.integer($1) }
        case .int64s(let all): writer.array(all, of: TypeIdentifier.int8, length: { _ in 8 }) { $0.integer($1) }
        case .timestamps(let all):
            writer.array(all, of: TypeIdentifier.timestamptz, length: { _ in 8 }) { $0.timestamp($1) }
        case .uuids(let all): writer.array(all, of: TypeIdentifier.uuid, length: { _ in 16 }) { $0.uuid($1) }
        case .texts(let all):
            writer.array(all, of: TypeIdentifier.text, length: { $0.utf8.count }) { $0.text($1) }
        case .byteArrays(let all):
            writer.array(all, of: TypeIdentifier.bytea, length: { $0.count }) { $0.bytes($1) }
        case .jsonTexts(let all):
            writer.array(all, of: TypeIdentifier.jsonb, length: { 1 + $0.utf8.count }) { $0.json($1) }
        case .nullableBools(let all):
            writer.nullableArray(all, of: TypeIdentifier.bool, length: { _ in 1 }) { $0.integer($1 ? UInt8(1) : 0) }
        case .nullableInt16s(let all):
            writer.nullableArray(all, of: TypeIdentifier.int2, length: { _ in 2 }) { $0.integer($1) }
        case .nullableInt32s(let all):
            writer.nullableArray(all, of: TypeIdentifier.int4, length: { _ in 4 }) { $0.integer($1) }
        case .nullableInt64s(let all):
            writer.nullableArray(all, of: TypeIdentifier.int8, length: { _ in 8 }) { $0.integer($1) }
        case .nullableTimestamps(let all):
            writer.nullableArray(all, of: TypeIdentifier.timestamptz, length: { _ in 8 }) { $0.timestamp($1) }
        case .nullableUUIDs(let all):
            writer.nullableArray(all, of: TypeIdentifier.uuid, length: { _ in 16 }) { $0.uuid($1) }
        case .nullableTexts(let all):
            writer.nullableArray(all, of: TypeIdentifier.text, length: { $0.utf8.count }) { $0.text($1) }
        case .nullableByteArrays(let all):
            writer.nullableArray(all, of: TypeIdentifier.bytea, length: { $0.count }) { $0.bytes($1) }
        case .nullableJSONTexts(let all):
            writer.nullableArray(all, of: TypeIdentifier.jsonb, length: { 1 + $0.utf8.count }) { $0.json($1) }
        case .null, .bool, .int16, .int32, .int64, .text, .bytes, .timestamp, .uuid, .jsonText:
            break
        }
    }
}

/// The length of an array: dimensions, null flag and element type, then, unless it is empty, its count and lower bound.
private func arrayLength<Element>(_ elements: [Element], element size: Int) -> Int {
    elements.isEmpty ? 12 : 20 + elements.count * (4 + size)
}

private func arrayLength<Element>(_ elements: [Element], _ size: (Element) -> Int) -> Int {
    elements.isEmpty ? 12 : elements.reduce(20 + elements.count * 4) { $0 + size($1) }
}

extension WireWriter {
    fileprivate mutating func uuid(_ uuid: PostgresUUID) {
        integer(uuid.high)
        integer(uuid.low)
    }

    /// The binary form of `jsonb` is a version number followed by the text.
    fileprivate mutating func json(_ text: String) {
        integer(UInt8(1))
        self.text(text)
    }

    private mutating func arrayHeader(count: Int, hasNulls: Bool, type: UInt32) {
        integer(count == 0 ? Int32(0) : 1)
        integer(hasNulls ? Int32(1) : 0)
        integer(type)
        guard count > 0 else { return }
        integer(Int32(count))
        integer(Int32(1))
    }

    @inline(__always)
    fileprivate mutating func array<Element>(
        _ elements: [Element], of type: UInt32, length: (Element) -> Int,
        _ write: (inout WireWriter, Element) -> Void
    ) {
        arrayHeader(count: elements.count, hasNulls: false, type: type)
        for element in elements {
            integer(Int32(length(element)))
            write(&self, element)
        }
    }

    @inline(__always)
    fileprivate mutating func nullableArray<Element>(
        _ elements: [Element?], of type: UInt32, length: (Element) -> Int,
        _ write: (inout WireWriter, Element) -> Void
    ) {
        arrayHeader(count: elements.count, hasNulls: elements.contains { $0 == nil }, type: type)
        for element in elements {
            guard let element else {
                integer(Int32(-1))
                continue
            }
            integer(Int32(length(element)))
            write(&self, element)
        }
    }
}
