import JSON

/// Reads one JSON object per line. Blank lines are skipped.
struct NDJSONReader {
    /// The number of input bytes up to the end of the current line.
    private(set) var offset = 0
    private(set) var chunks: ByteChunks
    private var position = 0
    private var line = 0
    /// The bytes of the current line without its end; the buffer is reused.
    private(set) var text: [UInt8] = []
    /// The number of blank lines so far.
    private(set) var blankLines = 0

    init(_ chunks: ByteChunks) {
        self.chunks = chunks
    }

    /// The next object and its line, from 1; nil at the end of the input.
    mutating func next() throws(IngestFailure) -> (line: Int, object: JSONObject)? {
        while try readLine() {
            if text.last == UInt8(ascii: "\r") { text.removeLast() }
            if text.allSatisfy({ $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }) {
                blankLines += 1
                continue
            }
            let value: JSONValue
            do throws(JSONError) {
                value = try JSONParser.parse(text)
            } catch {
                let place = error.pointer.isEmpty ? "" : " in \(error.pointer)"
                throw .unreadableText(line: line, column: error.offset + 1, "the JSON\(place) \(error.sentence)")
            }
            guard case .object(let object) = value else {
                throw .unreadableText(line: line, column: 1, "the line is not a JSON object")
            }
            return (line, object)
        }
        return nil
    }

    private mutating func readLine() throws(IngestFailure) -> Bool {
        text.removeAll(keepingCapacity: true)
        line += 1
        var hasBytes = false
        while true {
            if position == chunks.bytes.count {
                guard try chunks.advance() else {
                    position = 0
                    offset = chunks.offset
                    return hasBytes
                }
                position = 0
            }
            hasBytes = true
            let end = chunks.bytes[position...].firstIndex(of: UInt8(ascii: "\n"))
            text.append(contentsOf: chunks.bytes[position..<(end ?? chunks.bytes.count)])
            guard text.count <= IngestPlan.Limit.recordBytes else {
                throw .unreadableText(line: line, column: 1, "the line is longer than 256 KiB")
            }
            position = end.map { $0 + 1 } ?? chunks.bytes.count
            if end != nil {
                offset = chunks.offset + position
                return true
            }
        }
    }
}
