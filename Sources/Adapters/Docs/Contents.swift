/// The order of the pages: the sections of `CONTENTS.md`.
package struct Contents: Sendable {
    package struct Section: Sendable {
        package let title: String
        package let pages: [Page]
    }

    package let sections: [Section]

    package var pages: [Page] { sections.flatMap(\.pages) }

    /// Reads the list: a heading begins a section, and an item names a page. `- errors/*` is every page of that folder
    /// that no other item names, by name.
    ///
    /// - Parameters:
    ///   - list: The text of `CONTENTS.md`.
    ///   - texts: The Markdown of each page by its name.
    init(list: String, texts: [String: String]) {
        let lines = list.split(separator: "\n")
        let named = Set(lines.filter { $0.hasPrefix("- ") }.map { String($0.dropFirst(2)) })
        var sections: [(title: String, pages: [Page])] = []
        for line in lines {
            if line.hasPrefix("## ") { sections.append((String(line.dropFirst(3)), [])) }
            guard line.hasPrefix("- "), !sections.isEmpty else { continue }
            let item = String(line.dropFirst(2))
            let folder = item.dropLast(item.hasSuffix("/*") ? 1 : 0)
            let names =
                folder == item
                ? [item] : texts.keys.filter { $0.hasPrefix(folder) && !named.contains($0) }.sorted()
            sections[sections.count - 1].pages += names.compactMap { name in
                texts[name].map { Page(name: name == "index" ? "" : name, markdown: $0) }
            }
        }
        self.sections = sections.map { Section(title: $0.title, pages: $0.pages) }
    }
}
