package import Markdown

/// One page of the documentation.
package struct Page: Sendable {
    /// The path below `/docs`, such as `concepts/credits`; empty for the first page.
    package let name: String
    package let title: String
    /// The first paragraph.
    package let summary: String
    /// The source, which is also the page's twin for programs.
    package let markdown: String
    package let document: MarkdownDocument

    /// - Parameter markdown: Begins with a heading of level 1 and a paragraph.
    package init(name: String, markdown: String) {
        self.name = name
        self.markdown = markdown
        document = MarkdownDocument(markdown)
        title = document.blocks.first?.text ?? name
        summary = document.blocks.dropFirst().first?.text ?? ""
    }

    /// The address of the page.
    package var address: String { name.isEmpty ? "/docs" : "/docs/\(name)" }

    /// The address of the Markdown.
    package var twinAddress: String { "\(address).md" }

    /// The headings of level 2 and 3 with their anchors, and the words below each. Code is in it in one language.
    var parts: [Part] {
        var parts = [Part(level: 1, title: title, anchor: "", text: "")]
        for block in document.blocks.dropFirst() {
            switch block {
            case .heading(let level, let text, _):
                parts.append(Part(level: level, title: text, anchor: Self.anchor(of: text), text: ""))
            case .code("python", _), .code("typescript", _): continue
            default: parts[parts.count - 1].text += block.text + " "
            }
        }
        return parts
    }

    struct Part {
        let level: Int
        let title: String
        let anchor: String
        var text: String
    }

    /// The examples of the page, in order.
    package var examples: [Example] {
        document.blocks.indices.compactMap { Example(document.blocks[$0...]) }
    }

    /// The anchor of a heading: its letters and digits in lower case, with hyphens between words.
    package static func anchor(of title: String) -> String {
        title.lowercased().split { !$0.isLetter && !$0.isNumber && $0 != "_" && $0 != "." }.joined(separator: "-")
    }
}

/// One example in every language: a block of code for a shell, then one for each other language, with nothing between
/// them. The block of JSON behind them is the answer to the last call.
package struct Example: Sendable {
    /// The languages by the words behind their fences, with the names that readers see.
    package static let languages: [(word: String, name: String)] = [
        ("sh", "curl"), ("python", "Python"), ("typescript", "TypeScript"),
    ]

    /// The code in the order of `languages`.
    package let texts: [String]
    /// A part of the answer, as JSON.
    package let answer: String?

    /// - Parameter blocks: The blocks of a page from one block on.
    /// - Returns: Nil when no example begins with the first block.
    init?(_ blocks: ArraySlice<MarkdownBlock>) {
        texts = zip(blocks, Self.languages).compactMap { block, language in
            guard case .code(language.word, let text) = block else { return nil }
            return text
        }
        guard texts.count == Self.languages.count else { return nil }
        answer =
            if case .code("json", let text) = blocks.dropFirst(texts.count).first { text } else { nil }
    }
}
