/// The reason why a text is not a JSON document that this system accepts.
package struct JSONError: Error, Sendable, CustomStringConvertible {
    /// The problem, as the rest of a sentence about the place: "must not start with a zero".
    package let sentence: String
    /// The position in the text, in bytes from its start.
    package let offset: Int
    /// The path from the innermost place outwards. It is collected while the parser unwinds.
    private var reversedPath: [String] = []

    init(_ sentence: String, at offset: Int) {
        self.sentence = sentence
        self.offset = offset
    }

    /// The value that was being read, as an RFC 6901 pointer; empty for the whole document.
    package var pointer: String {
        reversedPath.reversed().reduce(into: "") { $0.appendPointerToken($1) }
    }

    package var description: String {
        let place = pointer
        return "\(sentence) (byte \(offset)\(place.isEmpty ? "" : ", in \(place)"))"
    }

    /// The same error as a problem of the member or element `token` of an enclosing object or array.
    func inside(_ token: String) -> JSONError {
        var error = self
        error.reversedPath.append(token)
        return error
    }
}

extension String {
    /// Appends one reference token to an RFC 6901 pointer: `~` becomes `~0` and `/` becomes `~1`.
    mutating func appendPointerToken(_ token: String) {
        append("/")
        for scalar in token.unicodeScalars {
            switch scalar {
            case "~": append("~0")
            case "/": append("~1")
            default: unicodeScalars.append(scalar)
            }
        }
    }

    /// The pointer to a member or element of the value at this pointer.
    package func appendingPointerToken(_ token: String) -> String {
        var pointer = self
        pointer.appendPointerToken(token)
        return pointer
    }
}
