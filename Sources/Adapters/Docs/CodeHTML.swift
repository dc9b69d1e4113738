/// Colours a block of code: its comments, texts, numbers and the names of its members.
enum CodeHTML {
    private static let comments = ["sh": "#", "python": "#", "typescript": "//"]

    /// The code as HTML. A language without rules is only escaped. Cost: one step for each byte.
    static func text(of code: String, _ language: String) -> String {
        let comment = comments[language].map { Array($0.utf8) }
        guard language == "json" || comment != nil else { return escaped(code) }
        let bytes = Array(code.utf8)
        var html = ""
        // The text between `plain` and `index` has no colour.
        var (plain, index) = (0, 0)
        func text(_ range: Range<Int>) -> String { escaped(String(decoding: bytes[range], as: UTF8.self)) }
        while index < bytes.count {
            let isAtWord = index == 0 || !Self.isPartOfWord(bytes[index - 1])
            let kind: String
            let end: Int
            if let comment, isAtWord, bytes[index...].starts(with: comment) {
                kind = "c"
                end = bytes[index...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
            } else if "\"'`".utf8.contains(bytes[index]) {
                end = Self.textEnd(in: bytes, from: index)
                kind = language == "json" && end < bytes.count && bytes[end] == UInt8(ascii: ":") ? "k" : "s"
            } else if Self.isDigit(bytes[index]), isAtWord {
                kind = "n"
                end = bytes[index...].firstIndex { !Self.isDigit($0) && !"._".utf8.contains($0) } ?? bytes.count
            } else {
                index += 1
                continue
            }
            html += "\(text(plain..<index))<span class=\"\(kind)\">\(text(index..<end))</span>"
            (plain, index) = (end, end)
        }
        return html + text(plain..<bytes.count)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    /// Whether a number or a comment cannot begin behind a byte.
    private static func isPartOfWord(_ byte: UInt8) -> Bool {
        isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) || byte >= 0x80
            || "_$-/\"'`".utf8.contains(byte)
    }

    /// The end of a text that begins with a quotation mark; the end of the code when the text has no end.
    private static func textEnd(in code: [UInt8], from start: Int) -> Int {
        var index = start + 1
        while index < code.count {
            if code[index] == code[start] { return index + 1 }
            index += code[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        return code.count
    }
}
