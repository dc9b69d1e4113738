/// The labels of a series, ordered by name, for the Prometheus text format.
struct Labels: Hashable, Sendable {
    private let pairs: [Pair]

    private struct Pair: Hashable, Sendable {
        let name: String
        let value: String
    }

    init(_ dimensions: [(String, String)]) {
        pairs = dimensions.map { Pair(name: Self.sanitized($0.0), value: $0.1) }.sorted { $0.name < $1.name }
    }

    /// The same label names, each with the value `other`.
    var merged: Labels { Labels(pairs.map { ($0.name, "other") }) }

    /// The labels in braces, followed by one more; empty when there are none.
    func text(and last: (String, String)? = nil) -> String {
        var parts = pairs.map { "\($0.name)=\"\(Self.escapedValue($0.value))\"" }
        if let last { parts.append("\(last.0)=\"\(Self.escapedValue(last.1))\"") }
        return parts.isEmpty ? "" : "{\(parts.joined(separator: ","))}"
    }

    /// The name with an underscore for every character that the text format does not allow in one.
    static func sanitized(_ name: String) -> String {
        let isValid = name.utf8.enumerated().allSatisfy { isAllowed($0.element, isFirst: $0.offset == 0) }
        if isValid, !name.isEmpty { return name }
        var text = ""
        for (index, byte) in name.utf8.enumerated() {
            if isAllowed(byte, isFirst: index == 0) {
                text.unicodeScalars.append(UnicodeScalar(byte))
            } else {
                text += "_"
            }
        }
        return text.isEmpty ? "_" : text
    }

    private static func isAllowed(_ byte: UInt8, isFirst: Bool) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"): !isFirst
        default: false
        }
    }

    /// Backslash, line feed and quotation mark are escaped in a value.
    private static func escapedValue(_ value: String) -> String {
        guard value.utf8.contains(where: { [0x5C, 0x0A, 0x22].contains($0) }) else { return value }
        var text = ""
        for character in value.unicodeScalars {
            switch character {
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\"": text += "\\\""
            default: text.unicodeScalars.append(character)
            }
        }
        return text
    }

    /// Backslash and line feed are escaped in a help text.
    static func escapedHelp(_ help: String) -> String {
        help.split(separator: "\\", omittingEmptySubsequences: false).joined(separator: "\\\\")
            .split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\\n")
    }
}
