import JSON

/// The whole documentation: every page as HTML and as Markdown, and the files that they need.
package struct DocsSite: Sendable {
    /// The documentation of this build. It is rendered when it is first used, which takes a tenth of a
    /// second.
    package static let current = DocsSite(
        Dictionary(uniqueKeysWithValues: EmbeddedFiles.all.map { ($0.name, $0.text) }))

    /// The folder of the agent skill and of the rules for editors, which are served as they are and are no pages.
    private static let skill = "skill/"

    /// The address of the guides as workflows of calls, in the form of Arazzo.
    private static let workflows = "/docs/guides.arazzo.json"

    package let contents: Contents
    /// The pictures by their address.
    package let pictures: [String: String]
    /// Every file by its address, such as `/docs/quickstart` and `/docs/quickstart.md`.
    package let files: [String: DocsFile]
    /// The page that is shown for an address below `/docs` that does not exist.
    package let missing: DocsFile
    /// Finds the parts of pages that contain words.
    package let search: DocsSearch

    /// - Parameter texts: The files of the folder Pages by their name.
    init(_ texts: [String: String]) {
        let pages = texts.filter {
            $0.key.hasSuffix(".md") && $0.key != "CONTENTS.md" && !$0.key.hasPrefix(Self.skill)
        }
        let contents = Contents(
            list: texts["CONTENTS.md"] ?? "",
            texts: Dictionary(uniqueKeysWithValues: pages.map { (String($0.key.dropLast(3)), $0.value) }))
        let pictures = Dictionary(
            uniqueKeysWithValues: texts.filter { $0.key.hasSuffix(".svg") }.map { ("/docs/\($0.key)", $0.value) })
        var files: [String: DocsFile] = [:]
        // A picture keeps its name, because Markdown refers to it. Other files get their digest into the name.
        for (address, text) in pictures { files[address] = DocsFile(.picture, text) }
        var assets: [String: String] = [:]
        func add(asset name: String, _ text: String) {
            let parts = name.split(separator: ".")
            let address = "/docs/assets/\(parts[0]).\(DocsFile.digest(Array(text.utf8))).\(parts[1])"
            assets[name] = address
            files[address] = DocsFile(DocsFile.Kind(fileName: name), text, isImmutable: true)
        }
        for (name, text) in texts where name.hasPrefix("assets/") && !name.hasSuffix(".svg") {
            add(asset: String(name.dropFirst("assets/".count)), text)
        }
        for (name, text) in texts where name.hasPrefix(Self.skill) {
            files["/docs/\(name)"] = DocsFile(.markdown, text)
        }
        files[Self.workflows] = texts["guides.arazzo.json"].map { DocsFile(.json, $0) }
        add(asset: "search.json", Self.searchIndex(of: contents))
        let html = PageHTML(contents: contents, pictures: pictures, assets: assets)
        for page in contents.pages {
            files[page.address] = DocsFile(.page, html.text(of: page))
            files[page.twinAddress] = DocsFile(.markdown, page.markdown)
        }
        files["/llms.txt"] = DocsFile(.markdown, Self.list(of: contents))
        files["/llms-full.txt"] = DocsFile(
            .markdown,
            contents.pages.map { "<!-- \($0.twinAddress) -->\n\n\($0.markdown)" }.joined(separator: "\n\n"))
        let missing = Page(
            name: "missing",
            markdown: """
                # Page not found

                There is no page at this address. The [overview](/docs) leads to all pages.
                """)
        self.missing = DocsFile(.page, html.text(of: missing))
        search = DocsSearch(contents)
        self.contents = contents
        self.pictures = pictures
        self.files = files
    }

    /// The list of all pages for programs, in the form of llmstxt.org.
    private static func list(of contents: Contents) -> String {
        var text = "# QuotaStack\n\n> \(contents.pages.first?.summary ?? "")\n"
        for section in contents.sections {
            text += "\n## \(section.title)\n\n"
            for page in section.pages { text += "- [\(page.title)](\(page.twinAddress)): \(page.summary)\n" }
        }
        return text + """

            ## Descriptions for programs

            - [OpenAPI](/openapi.json): Every call of the API in OpenAPI 3.1.
            - [Arazzo](\(workflows)): Every guide as a sequence of calls in Arazzo 1.0.

            """
    }

    /// The words of every part of every page. A browser searches them by itself.
    private static func searchIndex(of contents: Contents) -> String {
        var json = JSONWriter()
        json.beginArray()
        for page in contents.pages {
            for part in page.parts {
                json.beginObject()
                json.member("address", part.anchor.isEmpty ? page.address : "\(page.address)#\(part.anchor)")
                json.member("page", page.title)
                json.member("title", part.title)
                json.member("text", part.text)
                json.endObject()
            }
        }
        json.endArray()
        return String(decoding: json.bytes, as: UTF8.self)
    }
}
