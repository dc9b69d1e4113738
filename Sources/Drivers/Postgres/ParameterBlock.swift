/// The parameters of one query in wire form: one contiguous allocation, built on the caller's thread and lent to libpq.
///
/// It is written once, in `init`, and never changes afterwards, so any thread may read it.
final class ParameterBlock: @unchecked Sendable {
    let types: [UInt32]
    private let storage: UnsafeMutableRawBufferPointer
    /// The offset of each value in `storage`; -1 for null.
    private let offsets: [Int]
    private let lengths: [Int32]
    private let formats: [Int32]

    /// - Throws: `PostgresError` of kind `invalidRequest` for more parameters or bytes than the protocol allows.
    init(_ values: [PostgresValue]) throws {
        guard values.count <= Int(UInt16.max) else {
            throw PostgresError(.invalidRequest("A statement takes at most 65535 parameters."))
        }
        var types: [UInt32] = []
        var offsets: [Int] = []
        var lengths: [Int32] = []
        types.reserveCapacity(values.count)
        offsets.reserveCapacity(values.count)
        lengths.reserveCapacity(values.count)
        var size = 0
        for value in values {
            types.append(value.typeIdentifier)
            guard let length = value.wireLength else {
                offsets.append(-1)
                lengths.append(0)
                continue
            }
            guard size + length <= Self.largestSize else {
                throw PostgresError(.invalidRequest("The parameters of a statement exceed 512 MiB."))
            }
            offsets.append(size)
            lengths.append(Int32(length))
            size += length
        }
        storage = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 8)
        var writer = WireWriter(storage)
        for value in values { value.write(to: &writer) }
        assert(writer.position == size, "wireLength and write disagree")
        self.types = types
        self.offsets = offsets
        self.lengths = lengths
        formats = [Int32](repeating: 1, count: values.count)
    }

    deinit {
        storage.deallocate()
    }

    /// Half of PostgreSQL's message limit.
    private static let largestSize = 512 << 20

    /// Lends the arrays that libpq's `PQsendQuery…` functions take. libpq copies them; the pointers are valid in the
    /// body only.
    func withPointers<Result>(
        _ body: (
            _ values: UnsafePointer<UnsafePointer<CChar>?>?, _ lengths: UnsafePointer<Int32>?,
            _ formats: UnsafePointer<Int32>?
        ) -> Result
    ) -> Result {
        // An empty value needs a pointer too, because a null pointer means NULL.
        let base = storage.baseAddress.map { UnsafeRawPointer($0) } ?? UnsafeRawPointer(bitPattern: 8)
        let count = max(1, offsets.count)
        return withUnsafeTemporaryAllocation(of: UnsafePointer<CChar>?.self, capacity: count) { values in
            for (index, offset) in offsets.enumerated() {
                let value = offset < 0 ? nil : base.map { ($0 + offset).assumingMemoryBound(to: CChar.self) }
                values.initializeElement(at: index, to: value)
            }
            return lengths.withUnsafeBufferPointer { lengths in
                formats.withUnsafeBufferPointer { formats in
                    body(UnsafePointer(values.baseAddress), lengths.baseAddress, formats.baseAddress)
                }
            }
        }
    }
}

/// Writes big-endian fields one after the other. The caller has computed the size; writing beyond it traps.
struct WireWriter {
    private let storage: UnsafeMutableRawBufferPointer
    private(set) var position = 0

    init(_ storage: UnsafeMutableRawBufferPointer) {
        self.storage = storage
    }

    mutating func integer<Value: FixedWidthInteger>(_ value: Value) {
        storage.storeBytes(of: value.bigEndian, toByteOffset: position, as: Value.self)
        position += MemoryLayout<Value>.size
    }

    mutating func raw(_ bytes: UnsafeRawBufferPointer) {
        UnsafeMutableRawBufferPointer(rebasing: storage[position..<position + bytes.count]).copyMemory(from: bytes)
        position += bytes.count
    }

    mutating func bytes(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { raw($0) }
    }

    mutating func text(_ text: String) {
        var text = text
        text.withUTF8 { raw(UnsafeRawBufferPointer($0)) }
    }

    /// `Int64.max` and `Int64.min` are PostgreSQL's infinities and are kept. An instant before the range of the type
    /// becomes a value that the server refuses.
    mutating func timestamp(_ microseconds: Int64) {
        if microseconds == .max || microseconds == .min { return integer(microseconds) }
        let (value, overflow) = microseconds.subtractingReportingOverflow(postgresEpochMicroseconds)
        integer(overflow ? Int64.min + 1 : value)
    }
}
