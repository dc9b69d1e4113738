/// Colours a block of code: its comments, texts, numbers and the names of its members.
enum CodeHTML {
    private static let comments = ["sh": "#", "python": "#", "typescript": "//"]

    /// The code as HTML. A language without rules is only escaped.
    static func text(of code: String, _ language: String) -> String {
        guard language == "json" || comments[language] != nil else { return escaped(code) }
        var html = ""
        var rest = Substring(code)
        var isAtWord = true
        func write(_ kind: String, _ end: Substring.Index) {
            html += "<span class=\"\(kind)\">\(escaped(rest[..<end]))</span>"
            rest = rest[end...]
        }
        while let first = rest.first {
            let isComment = comments[language].map { rest.hasPrefix($0) && isAtWord } ?? false
            if isComment {
                write("c", rest.firstIndex(of: "\n") ?? rest.endIndex)
            } else if first == "\"" || first == "'" || first == "`" {
                let end = textEnd(in: rest, first)
                let isName = language == "json" && rest[end...].hasPrefix(":")
                write(isName ? "k" : "s", end)
            } else if first.isNumber, isAtWord {
                write("n", rest.firstIndex { !$0.isNumber && $0 != "." && $0 != "_" } ?? rest.endIndex)
            } else {
                html += escaped(String(first))
                rest = rest.dropFirst()
                isAtWord = !first.isLetter && !first.isNumber && !"_$-/".contains(first)
                continue
            }
            isAtWord = false
        }
        return html
    }

    /// The end of a text that begins with a quotation mark; the end of the line when the text has no end there.
    private static func textEnd(in code: Substring, _ mark: Character) -> Substring.Index {
        var index = code.index(after: code.startIndex)
        while index < code.endIndex {
            let character = code[index]
            index = code.index(after: index)
            if character == mark { return index }
            if character == "\\", index < code.endIndex { index = code.index(after: index) }
        }
        return code.endIndex
    }
}
