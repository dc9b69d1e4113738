/// The places of names and of scalar values in a JSON text, which may be broken.
struct JSONSpots {
    private(set) var names: [Range<Int>] = []
    private(set) var values: [Range<Int>] = []

    init(_ text: [UInt8]) {
        var index = 0
        while index < text.count {
            let start = index
            switch text[index] {
            case UInt8(ascii: "\""):
                index = Self.endOfString(text, from: start)
                if Self.isName(text, before: index) {
                    names.append(start..<index)
                } else {
                    values.append(start..<index)
                }
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "-"):
                while index < text.count, !Self.isDelimiter(text[index]) { index += 1 }
                values.append(start..<index)
            default: index += 1
            }
        }
    }

    /// The index after a string, or the end of the text.
    private static func endOfString(_ text: [UInt8], from start: Int) -> Int {
        var index = start + 1
        while index < text.count {
            switch text[index] {
            case UInt8(ascii: "\\"): index += 2
            case UInt8(ascii: "\""): return index + 1
            default: index += 1
            }
        }
        return text.count
    }

    private static func isName(_ text: [UInt8], before end: Int) -> Bool {
        var index = end
        while index < text.count, text[index] == UInt8(ascii: " ") { index += 1 }
        return index < text.count && text[index] == UInt8(ascii: ":")
    }

    private static func isDelimiter(_ byte: UInt8) -> Bool {
        byte <= 32 || ",:[]{}\"".utf8.contains(byte)
    }
}
