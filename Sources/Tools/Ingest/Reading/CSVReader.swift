/// Reads CSV (RFC 4180) strictly, one record at a time.
///
/// Blank lines are skipped. Lines end with LF or CRLF. A quoted field may contain commas, line ends and doubled quotes.
/// Input that the RFC does not allow is an error and never guessed at: a quote inside a bare field, text after a closing
/// quote, a lone CR.
struct CSVReader {
    /// The fields of one record, without their quotes.
    struct Record {
        /// The line on which the record begins, from 1.
        fileprivate(set) var line = 0
        fileprivate var bytes: [UInt8] = []
        /// The end of each field in `bytes`.
        fileprivate var ends: [Int] = []
        fileprivate var hasQuotes = false

        var count: Int { ends.count }

        /// Whether the line has nothing but spaces, tabs and commas. A field that is empty on purpose has quotes.
        fileprivate var isBlank: Bool { !hasQuotes && bytes.allSatisfy { $0 == .space || $0 == .tab } }

        /// The bytes of a field.
        subscript(index: Int) -> ArraySlice<UInt8> {
            bytes[(index == 0 ? 0 : ends[index - 1])..<ends[index]]
        }

        /// The text of a field; nil when it is not UTF-8.
        func text(_ index: Int) -> String? {
            String(validating: self[index], as: UTF8.self)
        }
    }

    private enum State {
        /// Before the first byte of a field.
        case fieldStart
        case bare
        case quoted
        /// After a quote in a quoted field: the quote either closed the field or is the first of a doubled quote.
        case quoteInQuoted
        /// After a CR that must be followed by LF.
        case carriageReturn
    }

    /// The record that `next()` read last.
    private(set) var record = Record()
    /// The number of blank lines so far.
    private(set) var blankLines = 0
    /// The number of input bytes up to the end of the current record.
    private(set) var offset = 0
    private(set) var chunks: ByteChunks
    /// The next byte in the current chunk.
    private var position = 0
    private var line = 1
    /// The offset of the current line in the input.
    private var lineOffset = 0
    /// The position of the last opening quote.
    private var quoteLine = 0
    private var quoteColumn = 0

    init(_ chunks: ByteChunks) {
        self.chunks = chunks
    }

    /// Reads the next record into `record`; false at the end of the input.
    mutating func next() throws(IngestFailure) -> Bool {
        while try nextLine() {
            guard record.isBlank else { return true }
            blankLines += 1
        }
        return false
    }

    private mutating func nextLine() throws(IngestFailure) -> Bool {
        record.bytes.removeAll(keepingCapacity: true)
        record.ends.removeAll(keepingCapacity: true)
        record.hasQuotes = false
        record.line = line
        var state = State.fieldStart
        while true {
            if position == chunks.bytes.count {
                let isFirst = chunks.bytes.isEmpty
                guard try chunks.advance() else { return try finish(state) }
                position = 0
                if isFirst { lineOffset = chunks.offset }
            }
            guard record.bytes.count <= IngestPlan.Limit.recordBytes else { throw tooLong(state) }
            if try step(&state) {
                offset = chunks.offset + position
                return true
            }
        }
    }

    /// Consumes the next byte or run of bytes; true when the record ends with it.
    private mutating func step(_ state: inout State) throws(IngestFailure) -> Bool {
        let byte = chunks.bytes[position]
        switch state {
        case .fieldStart where byte == .quote:
            (quoteLine, quoteColumn) = (line, column)
            record.hasQuotes = true
            position += 1
            state = .quoted
        case .fieldStart, .bare:
            return try stepBare(byte, &state)
        case .quoted where byte == .quote:
            position += 1
            state = .quoteInQuoted
        case .quoted:
            takeRun { $0 == .quote || $0 == .lineFeed }
            if position < chunks.bytes.count, chunks.bytes[position] == .lineFeed {
                record.bytes.append(.lineFeed)
                passLineFeed()
            }
        case .quoteInQuoted where byte == .quote:
            record.bytes.append(.quote)
            position += 1
            state = .quoted
        case .quoteInQuoted where byte == .comma || byte == .lineFeed || byte == .carriageReturn:
            return try stepBare(byte, &state)
        case .quoteInQuoted:
            throw error("there is text after a closing quote; a quote inside a quoted field must be doubled")
        case .carriageReturn where byte == .lineFeed:
            passLineFeed()
            return true
        case .carriageReturn:
            throw error("a carriage return is not followed by a line feed")
        }
        return false
    }

    private mutating func stepBare(_ byte: UInt8, _ state: inout State) throws(IngestFailure) -> Bool {
        switch byte {
        case .comma:
            record.ends.append(record.bytes.count)
            position += 1
            state = .fieldStart
        case .lineFeed:
            record.ends.append(record.bytes.count)
            passLineFeed()
            return true
        case .carriageReturn:
            record.ends.append(record.bytes.count)
            position += 1
            state = .carriageReturn
        case .quote:
            throw error("there is a quote inside a field that does not begin with one")
        default:
            takeRun { $0 == .comma || $0 == .lineFeed || $0 == .carriageReturn || $0 == .quote }
            state = .bare
        }
        return false
    }

    /// Appends the bytes up to the first byte that ends the run.
    private mutating func takeRun(until isEnd: (UInt8) -> Bool) {
        let end = chunks.bytes[position...].firstIndex(where: isEnd) ?? chunks.bytes.count
        record.bytes.append(contentsOf: chunks.bytes[position..<end])
        position = end
    }

    private mutating func passLineFeed() {
        position += 1
        line += 1
        lineOffset = chunks.offset + position
    }

    /// Handles the end of the input. The last record may lack its line end.
    private mutating func finish(_ state: State) throws(IngestFailure) -> Bool {
        // No chunk is left; the offset is now the length of the input.
        position = 0
        offset = chunks.offset
        switch state {
        case .fieldStart where record.ends.isEmpty: return false
        case .fieldStart, .bare, .quoteInQuoted:
            record.ends.append(record.bytes.count)
            return true
        case .carriageReturn:
            throw error("a carriage return is not followed by a line feed")
        case .quoted:
            throw .unreadableText(line: quoteLine, column: quoteColumn, "the quoted field that begins here never ends")
        }
    }

    // MARK: Errors

    /// The column of the next byte, counted in bytes from 1.
    private var column: Int { chunks.offset + position - lineOffset + 1 }

    private func error(_ sentence: String) -> IngestFailure {
        .unreadableText(line: line, column: column, sentence)
    }

    private func tooLong(_ state: State) -> IngestFailure {
        if case .quoted = state {
            return .unreadableText(
                line: quoteLine, column: quoteColumn,
                "the row is longer than 256 KiB; is the end of the quoted field that begins here missing?")
        }
        return .unreadableText(line: record.line, column: 1, "the row is longer than 256 KiB")
    }
}

extension UInt8 {
    fileprivate static let quote = UInt8(ascii: "\"")
    fileprivate static let comma = UInt8(ascii: ",")
    fileprivate static let space = UInt8(ascii: " ")
    fileprivate static let tab = UInt8(ascii: "\t")
    fileprivate static let lineFeed = UInt8(ascii: "\n")
    fileprivate static let carriageReturn = UInt8(ascii: "\r")
}
