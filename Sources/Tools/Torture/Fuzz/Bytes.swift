/// The bytes of a text in UTF-8.
func utf8(_ text: String) -> [UInt8] { Array(text.utf8) }

/// Bytes as printable ASCII.
///
/// - Parameter most: The largest number of characters. The text of more bytes ends with their number.
func escaped(_ bytes: some Collection<UInt8>, most: Int = 2_000) -> String {
    var text = ""
    for byte in bytes {
        var part: String
        switch byte {
        case 9: part = "\\t"
        case 10: part = "\\n"
        case 13: part = "\\r"
        case UInt8(ascii: "\\"): part = "\\\\"
        case 32..<127: part = String(Unicode.Scalar(byte))
        default:
            part = String(byte, radix: 16)
            part = (part.utf8.count == 1 ? "\\x0" : "\\x") + part
        }
        guard text.utf8.count + part.utf8.count <= most - 24 else { return "\(text)… (\(bytes.count) bytes)" }
        text += part
    }
    return text
}

extension [UInt8] {
    /// Whether other bytes occur in these, one after another.
    func contains(sequence: [UInt8]) -> Bool {
        guard sequence.count <= count else { return false }
        let last = count - sequence.count
        return withUnsafeBufferPointer { all in
            sequence.withUnsafeBufferPointer { wanted in
                for start in 0...last {
                    var length = 0
                    while length < wanted.count, all[start + length] == wanted[length] { length += 1 }
                    if length == wanted.count { return true }
                }
                return false
            }
        }
    }
}
