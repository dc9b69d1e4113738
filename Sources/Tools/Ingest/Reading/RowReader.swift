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
    private var digest = RunningDigest()

    /// - Parameter columns: The cells that every row must have. A CSV header must name each of them once; an NDJSON
    ///   object may lack some.
    init(_ chunks: ByteChunks, format: IngestPlan.FileFormat, columns: [String]) throws(IngestFailure) {
        self.columns = columns
        switch format {
        case .ndjson:
            ndjson = NDJSONReader(chunks)
            header = []
            fields = []
        case .csv:
            var reader = CSVReader(chunks)
            _ = try reader.next()
            let header = try Self.header(reader.record)
            let missing = columns.filter { !header.contains($0) }
            guard missing.isEmpty else { throw .missingColumns(missing, header: header) }
            for column in columns where header.filter({ $0 == column }).count > 1 {
                throw .unreadableText(
                    line: reader.record.line, column: nil,
                    "two columns have the name \(column), and the mapping uses it: rename one of them")
            }
            digest.add(reader.record)
            csv = reader
            fields = columns.compactMap { header.firstIndex(of: $0) }
            self.header = header
        }
    }

    private static func header(_ record: CSVReader.Record) throws(IngestFailure) -> [String] {
        guard record.count > 0 else {
            throw .unreadableText(
                line: 1, column: 1, "the file is empty; a header line with the columns' names is needed")
        }
        var header: [String] = []
        for index in 0..<record.count {
            guard let name = record.text(index) else {
                throw .unreadableText(
                    line: record.line, column: nil, "the name of column \(index + 1) is not UTF-8")
            }
            header.append(name)
        }
        return header
    }

    /// The number of input bytes up to the end of the last row.
    var offset: Int { csv?.offset ?? ndjson?.offset ?? 0 }

    /// The number of blank lines that were skipped so far.
    var blankLines: Int { csv?.blankLines ?? ndjson?.blankLines ?? 0 }

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
        digest.add(line: ndjson?.text ?? [])
        return Row(number: 0, line: line, cells: columns.map { object[$0] }, digest: digest.value)
    }

    private mutating func csvRow() throws(IngestFailure) -> Row? {
        guard let record = csv?.record else { return nil }
        digest.add(record)
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
        return Row(number: 0, line: record.line, cells: cells, digest: digest.value)
    }
}
