import JSON

/// Reads the rows of a file in either format.
struct RowReader {
    /// Exactly one of the two readers is set, according to the format.
    private var csv: CSVReader?
    private var ndjson: NDJSONReader?
    /// The columns of a CSV file, and the positions of the requested columns among them.
    private let header: [String]
    private let fields: [Int]
    private let columns: [String]
    private var nextNumber = 0

    /// - Parameter columns: The cells that every row must have. A CSV header must name all of them; an NDJSON object
    ///   may lack some.
    init(_ chunks: ByteChunks, format: IngestPlan.FileFormat, columns: [String]) throws(IngestFailure) {
        self.columns = columns
        switch format {
        case .ndjson:
            ndjson = NDJSONReader(chunks)
            header = []
            fields = []
        case .csv:
            var reader = CSVReader(chunks)
            let header = try Self.readHeader(&reader)
            let missing = columns.filter { !header.contains($0) }
            guard missing.isEmpty else { throw .missingColumns(missing, header: header) }
            csv = reader
            fields = columns.compactMap { header.firstIndex(of: $0) }
            self.header = header
        }
    }

    private static func readHeader(_ reader: inout CSVReader) throws(IngestFailure) -> [String] {
        guard try reader.next() else {
            throw .unreadableText(
                line: 1, column: 1, "the file is empty; a header line with the columns' names is needed")
        }
        var header: [String] = []
        for index in 0..<reader.record.count {
            guard let name = reader.record.text(index) else {
                throw .unreadableText(line: 1, column: nil, "the name of column \(index + 1) is not UTF-8")
            }
            guard name.isEmpty || !header.contains(name) else {
                throw .unreadableText(line: 1, column: nil, "two columns have the name \(name)")
            }
            header.append(name)
        }
        return header
    }

    /// The number of input bytes up to the end of the last row.
    var offset: Int { csv?.offset ?? ndjson?.offset ?? 0 }

    /// The digest of the content that was read so far; of the whole file once `next()` has returned nil.
    var digestPrefix: String { csv?.chunks.digestPrefix ?? ndjson?.chunks.digestPrefix ?? "" }

    /// The next row; nil at the end of the input.
    mutating func next() throws(IngestFailure) -> Row? {
        guard var row = try nextRecord() else { return nil }
        row.number = nextNumber
        nextNumber += 1
        return row
    }

    private mutating func nextRecord() throws(IngestFailure) -> Row? {
        if try csv?.next() == true { return try csvRow() }
        guard let (line, object) = try ndjson?.next() else { return nil }
        return Row(number: 0, line: line, cells: columns.map { object[$0] })
    }

    private func csvRow() throws(IngestFailure) -> Row? {
        guard let record = csv?.record else { return nil }
        guard record.count == header.count else {
            throw .unreadableText(
                line: record.line, column: nil,
                "the row has \(record.count) fields where the header has \(header.count)")
        }
        var cells: [JSONValue?] = []
        cells.reserveCapacity(fields.count)
        for field in fields {
            guard let text = record.text(field) else {
                throw .unreadableText(line: record.line, column: nil, "column \(header[field]) is not UTF-8")
            }
            cells.append(.string(text))
        }
        return Row(number: 0, line: record.line, cells: cells)
    }
}
