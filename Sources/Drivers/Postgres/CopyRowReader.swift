/// Reads the chunks of a binary COPY: a header, rows, a trailer. The server never splits a row between two chunks.
///
/// Bytes that are not of this form throw `PostgresError` of kind `decoding`.
package struct CopyRowReader {
    private var headerWasRead = false
    private var trailerWasRead = false

    package init() {}

    /// - Parameter onRow: Called for each row of the chunk, in order. Fields that it does not read are skipped.
    package mutating func read(
        _ chunk: UnsafeRawBufferPointer, onRow: (inout CopyRow) throws -> Void
    ) throws {
        var reader = WireReader(chunk)
        if !headerWasRead { try readHeader(&reader) }
        while reader.remaining > 0 {
            let fieldCount = try reader.integer(as: Int16.self)
            if fieldCount == -1 {
                trailerWasRead = true
                continue
            }
            guard fieldCount >= 0, !trailerWasRead else {
                throw PostgresError(.decoding("a COPY row has the invalid field count \(fieldCount)"))
            }
            var row = CopyRow(fieldCount: Int(fieldCount), reader: reader)
            try onRow(&row)
            try row.skipRest()
            reader = row.reader
        }
    }

    /// Reads eleven bytes of signature, the flags, and an extension with its length.
    private mutating func readHeader(_ reader: inout WireReader) throws(PostgresError) {
        let signature = try reader.slice(Self.signature.count)
        guard signature.elementsEqual(Self.signature) else {
            throw PostgresError(.decoding("the COPY data does not begin with the binary signature"))
        }
        _ = try reader.integer(as: Int32.self)
        _ = try reader.slice(Int(try reader.integer(as: Int32.self)))
        headerWasRead = true
    }

    private static let signature: [UInt8] = [
        0x50, 0x47, 0x43, 0x4F, 0x50, 0x59, 0x0A, 0xFF, 0x0D, 0x0A, 0x00,
    ]
}

/// One row of a binary COPY, read from its first field to its last.
package struct CopyRow {
    package let fieldCount: Int
    fileprivate var reader: WireReader
    private var fieldsRead = 0

    fileprivate init(fieldCount: Int, reader: WireReader) {
        self.fieldCount = fieldCount
        self.reader = reader
    }

    /// The next field, or nil for null. Throws beyond the last field.
    package mutating func nextFieldOrNil() throws(PostgresError) -> PostgresField? {
        guard fieldsRead < fieldCount else {
            throw PostgresError(.decoding("a COPY row has only \(fieldCount) fields"))
        }
        fieldsRead += 1
        return try reader.lengthPrefixedField()
    }

    fileprivate mutating func skipRest() throws(PostgresError) {
        while fieldsRead < fieldCount { _ = try nextFieldOrNil() }
    }
}
