import Foundation
import Markdown

/// Writes pages as HTML. A page works without its scripts: the examples of all languages then stand one below the other.
struct PageHTML {
    let contents: Contents
    /// The pictures by their address; they become a part of the page, so that they have the page's colours.
    let pictures: [String: String]
    /// The addresses of the style sheet, the scripts and the search index by their file names.
    let assets: [String: String]

    /// A complete document.
    func text(of page: Page) -> String {
        """
        <!doctype html>
        <html lang="en" data-search="\(assets["search.json", default: ""])">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>\(escaped(page.title)) · QuotaStack</title>
        <meta name="description" content="\(escaped(page.summary))">
        <link rel="alternate" type="text/markdown" href="\(page.twinAddress)">
        <link rel="icon" type="image/svg+xml" href="/docs/assets/icon.svg">
        <link rel="stylesheet" href="\(assets["site.css", default: ""])">
        <script src="\(assets["theme.js", default: ""])"></script>
        <script src="\(assets["site.js", default: ""])" defer></script>
        </head>
        <body>
        <a class="skip" href="#main">Skip to the text</a>
        <header class="bar">
        <a class="name" href="/docs">\(pictures["/docs/assets/icon.svg"].map(inline) ?? "")QuotaStack</a>
        <div class="search"><input type="search" placeholder="Search" aria-label="Search the documentation" \
        autocomplete="off" spellcheck="false"><ul class="results" hidden></ul></div>
        <button class="theme" type="button" aria-label="Switch between dark and light">◐</button>
        <button class="contents" type="button" aria-expanded="false" aria-controls="nav">Menu</button>
        </header>
        <div class="frame">
        <nav id="nav" aria-label="Pages">
        \(navigation(at: page))</nav>
        <main id="main">
        <article>
        \(article(of: page))</article>
        \(footer(of: page))</main>
        \(outline(of: page))</div>
        </body>
        </html>

        """
    }

    private func navigation(at page: Page) -> String {
        contents.sections.map { section in
            let isOpen = section.pages.contains { $0.name == page.name } || section.pages.count <= 5
            let links = section.pages.map { other in
                let current = other.name == page.name ? #" aria-current="page""# : ""
                return "<li><a href=\"\(other.address)\"\(current)>\(escaped(other.title))</a></li>\n"
            }
            return """
                <details\(isOpen ? " open" : "")><summary>\(escaped(section.title))</summary><ul>
                \(links.joined())</ul></details>

                """
        }.joined()
    }

    /// The headings of level 2, for wide screens.
    private func outline(of page: Page) -> String {
        let parts = page.parts.filter { $0.level == 2 }
        guard parts.count > 1 else { return "" }
        let links = parts.map { "<li><a href=\"#\($0.anchor)\">\(escaped($0.title))</a></li>\n" }
        return "<aside aria-label=\"On this page\"><p>On this page</p><ul>\n\(links.joined())</ul></aside>\n"
    }

    private func footer(of page: Page) -> String {
        let pages = contents.pages
        guard let index = pages.firstIndex(where: { $0.name == page.name }) else { return "" }
        func link(_ relation: String, _ label: String, _ index: Int) -> String {
            guard pages.indices.contains(index) else { return "" }
            return """
                <a rel="\(relation)" href="\(pages[index].address)"><span>\(label)</span> \
                \(escaped(pages[index].title))</a>

                """
        }
        return """
            <footer><nav aria-label="Neighbours">
            \(link("prev", "Previous", index - 1))\(link("next", "Next", index + 1))</nav>
            <p><a href="\(page.twinAddress)">This page as Markdown</a> · <a href="/llms.txt">llms.txt</a> · \
            <a href="/llms-full.txt">All pages in one file</a></p></footer>

            """
    }

    // MARK: - The text

    private func article(of page: Page) -> String {
        var html = ""
        var blocks = page.document.blocks[...]
        while let block = blocks.first {
            if let example = Example(blocks) {
                let codes = zip(Example.languages, example.texts).map { code($0.word, $1) }
                html += "<div class=\"examples\">\n\(codes.joined())</div>\n"
                blocks = blocks.dropFirst(codes.count)
            } else {
                html += self.html(of: block)
                blocks = blocks.dropFirst()
            }
        }
        return html
    }

    private func html(of block: MarkdownBlock) -> String {
        switch block {
        case .heading(1, _, let html): return "<h1>\(html)</h1>\n"
        case .heading(let level, let text, let html):
            let anchor = Page.anchor(of: text)
            return "<h\(level) id=\"\(anchor)\"><a href=\"#\(anchor)\">\(html)</a></h\(level)>\n"
        case .code(let language, let text): return code(language, text)
        case .picture(let address, let description):
            guard let picture = pictures[address] else {
                return "<p><img src=\"\(escaped(address))\" alt=\"\(escaped(description))\"></p>\n"
            }
            return """
                <figure role="img" aria-label="\(escaped(description))">
                \(inline(picture))<figcaption>\(escaped(description))</figcaption></figure>

                """
        case .table(_, let html): return "<div class=\"table\" tabindex=\"0\">\(html)</div>\n"
        case .other(_, let html): return html
        }
    }

    private func code(_ language: String, _ text: String) -> String {
        let label = Example.languages.first { $0.word == language }?.name ?? language
        return """
            <div class="code" data-language="\(escaped(language))" data-label="\(escaped(label))">\
            <pre tabindex="0"><code>\(CodeHTML.text(of: text, language))</code></pre></div>

            """
    }

    /// A picture without its style element, since the style sheet has the same rules with the chosen colours.
    private func inline(_ picture: String) -> String {
        guard let start = picture.range(of: "<style>"), let end = picture.range(of: "</style>") else { return picture }
        return picture.replacingCharacters(in: start.lowerBound..<end.upperBound, with: "")
    }
}

/// A text with the characters escaped that have a meaning in HTML.
func escaped(_ text: some StringProtocol) -> String {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.utf8.count + 16)
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "&"): bytes += "&amp;".utf8
        case UInt8(ascii: "<"): bytes += "&lt;".utf8
        case UInt8(ascii: ">"): bytes += "&gt;".utf8
        case UInt8(ascii: "\""): bytes += "&quot;".utf8
        default: bytes.append(byte)
        }
    }
    return String(decoding: bytes, as: UTF8.self)
}
