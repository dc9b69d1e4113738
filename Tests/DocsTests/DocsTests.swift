import Answers
import Catalogue
import Docs
import Foundation
import MCP
import Markdown
import Runtime
import Testing
import Webhooks

/// Walks every page of the documentation.
@Suite("Docs") struct DocsTests {
    private let site = DocsSite.current
    private var pages: [Page] { site.contents.pages }

    private static let folder = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../Sources/Adapters/Docs/Pages").standardized

    @Test("Every file of the folder is a page of the contents, once")
    func contents() throws {
        let files = try FileManager.default.subpathsOfDirectory(atPath: Self.folder.path).filter {
            $0.hasSuffix(".md") && $0 != "CONTENTS.md" && !$0.hasPrefix("skill/")
        }
        let names = pages.map { $0.name.isEmpty ? "index.md" : "\($0.name).md" }
        #expect(files.count > 60 && names.sorted() == files.sorted())
        let list = try String(contentsOf: Self.folder.appending(path: "CONTENTS.md"), encoding: .utf8)
        let items = list.split(separator: "\n").filter { $0.hasPrefix("- ") && !$0.hasSuffix("/*") }
        #expect(items.allSatisfy { item in names.contains("\(item.dropFirst(2)).md") })
    }

    @Test("A page begins with its title and a sentence, has one title, and is served as HTML and as Markdown")
    func form() throws {
        for page in pages {
            guard case .heading(1, _, _)? = page.document.blocks.first,
                case .other? = page.document.blocks.dropFirst().first
            else {
                Issue.record("\(page.name) does not begin with a title and a paragraph")
                continue
            }
            let titles = page.document.blocks.filter { if case .heading(1, _, _) = $0 { true } else { false } }
            #expect(titles.count == 1, "\(page.name)")
            #expect(page.summary.count >= 20 && page.summary.last.map { ".:".contains($0) } == true, "\(page.name)")
            #expect(site.files[page.address]?.kind == .page, "\(page.name)")
            let twin = try #require(site.files[page.twinAddress], "\(page.name)")
            let file = page.name.isEmpty ? "index.md" : "\(page.name).md"
            #expect(try Data(twin.bytes) == Data(contentsOf: Self.folder.appending(path: file)), "\(page.name)")
            let lines = page.markdown.split(separator: "\n", omittingEmptySubsequences: false)
            #expect(lines.count <= 700, "\(page.name) has \(lines.count) lines")
        }
    }

    @Test("The HTML of a page has the words of its Markdown, in their order")
    func twins() throws {
        for page in pages {
            let html = try text(of: page)
            let article = try #require(html.firstMatch(of: /<article>([\s\S]*)<\/article>/)?.1, "\(page.name)")
            // A picture is drawn inside the page, and has its description twice.
            let plain = article.replacing(/<svg[\s\S]*?<\/svg>/, with: "").replacing(/<[^>]*>/, with: " ")
            let words = unescaped(String(plain)).filter { !$0.isWhitespace }
            #expect(words == page.document.blocks.map(\.text).joined().filter { !$0.isWhitespace }, "\(page.name)")
        }
    }

    @Test("Every link leads to a page, a part of a page, or a file that is served")
    func links() throws {
        var anchors: [String: Set<String>] = [:]
        for page in pages {
            let ids = try text(of: page).matches(of: /\sid="([^"]+)"/).map { String($0.1) }
            #expect(Set(ids).count == ids.count, "\(page.name) has an anchor twice")
            anchors[page.address] = Set(ids)
        }
        let others: Set = ["/", "/healthz", "/readyz", "/metrics", "/openapi.json"]
        for page in pages {
            let written = page.document.links
            let drawn = try text(of: page).matches(of: /(?:href|src|data-search)="([^"]*)"/).map { String($0.1) }
            for link in written + drawn where !link.hasPrefix("https://") {
                let parts = link.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
                let address = parts[0].isEmpty ? page.address : parts[0]
                #expect(site.files[address] != nil || others.contains(address), "\(page.name) links to \(link)")
                if parts.count > 1 {
                    #expect(anchors[address]?.contains(parts[1]) == true, "\(page.name) links to \(link)")
                }
            }
        }
    }

    @Test("Every link of the README leads to a file")
    func readme() throws {
        let root = Self.folder.appending(path: "../../../..").standardized
        let text = try String(contentsOf: root.appending(path: "README.md"), encoding: .utf8)
        let links = MarkdownDocument(text).links.filter { !$0.hasPrefix("http") }
        #expect(links.count > 20 && text.split(separator: "\n", omittingEmptySubsequences: false).count < 100)
        for link in links {
            #expect(FileManager.default.fileExists(atPath: root.appending(path: link).path), "\(link)")
        }
    }

    @Test("No page needs a file of another site, a style or a script inside it")
    func policy() throws {
        for page in pages {
            let html = try text(of: page)
            #expect(html.matches(of: /<(?:link|script|img)[^>]*(?:href|src)="(?!\/docs)/).isEmpty, "\(page.name)")
            #expect(html.matches(of: /<style| style=|<script>| on[a-z]+="/).isEmpty, "\(page.name)")
        }
        for (address, file) in site.files where file.kind != .page {
            let words = String(decoding: file.bytes, as: UTF8.self)
            let isAsset = file.kind == .style || file.kind == .script || file.kind == .picture
            #expect(
                !isAsset || !words.replacing("http://www.w3.org/2000/svg", with: "").contains("//www."), "\(address)")
            #expect(!isAsset || words.firstMatch(of: /url\(|@import/) == nil, "\(address)")
        }
    }

    @Test("The lists for programs have every page")
    func lists() throws {
        let list = String(decoding: try #require(site.files["/llms.txt"]).bytes, as: UTF8.self)
        let full = String(decoding: try #require(site.files["/llms-full.txt"]).bytes, as: UTF8.self)
        for page in pages {
            #expect(list.contains("](\(page.twinAddress)): "), "\(page.name)")
            #expect(full.contains(page.markdown), "\(page.name)")
        }
        #expect(list.contains("](/openapi.json): ") && list.contains("](/docs/guides.arazzo.json): "))
        let index = String(
            decoding: try #require(site.files.first { $0.key.hasPrefix("/docs/assets/search.") }?.value).bytes,
            as: UTF8.self)
        for page in pages { #expect(index.contains("\"address\":\"\(page.address)\""), "\(page.name)") }
    }

    @Test("Every error code has its page, with its status and its title", arguments: ProblemCode.allCases)
    func errors(_ code: ProblemCode) throws {
        let page = try page("errors/\(code.rawValue)")
        #expect(page.title == code.rawValue)
        #expect(page.markdown.contains("Status \(code.status), title \"\(code.title)\"."))
        let row = "| \(code.status) | [\(code.rawValue)](/docs/errors/\(code.rawValue)) | \(code.title) |"
        #expect(try self.page("errors").markdown.contains(row))
    }

    @Test("Every type of event has its page, and every page of an event has its type")
    func events() throws {
        let types = EventType.allCases.map(\.rawValue) + EnvironmentEventType.allCases.map(\.rawValue)
        let described = pages.map(\.name).filter { $0.hasPrefix("events/") }.map {
            String($0.dropFirst("events/".count))
        }
        #expect(described.sorted() == types.sorted())
        for type in types {
            #expect(try page("events/\(type)").title == type)
            #expect(try page("events").markdown.contains("[\(type)](/docs/events/\(type))"), "\(type)")
        }
    }

    @Test("Every setting is described with its default")
    func settings() throws {
        let page = try page("operations/settings")
        for key in Settings.keys {
            let standard = key.defaultValue.map { $0.isEmpty ? "empty" : "`\($0)`" } ?? "none"
            #expect(page.markdown.contains("| `\(key.name)` | \(standard) |"), "\(key.name)")
        }
    }

    @Test("The skill has the front matter that agents read, and names pages that exist")
    func skill() throws {
        let text = String(decoding: try #require(site.files["/docs/skill/SKILL.md"]).bytes, as: UTF8.self)
        let matter = try #require(text.wholeMatch(of: /---\nname: ([a-z-]+)\ndescription: (.+)\n---\n\n# [\s\S]+/))
        #expect(matter.1 == "quotastack" && (100...1_024).contains(matter.2.utf8.count))
        #expect(text.split(separator: "\n").count < 60)
        let pages = text.matches(of: /`(\/(?:docs|llms)[a-z_\/.-]*)`/).map { String($0.1) }
        #expect(pages.count > 15)
        for page in pages where !page.contains("<") { #expect(site.files[page] != nil, "\(page)") }
    }

    @Test("The page about editors shows the rules that its commands install, and JSON that can be read")
    func editors() throws {
        let blocks = try page("ai-editors").document.blocks
        let rules = String(decoding: try #require(site.files["/docs/skill/rules.md"]).bytes, as: UTF8.self)
        #expect(blocks.contains { if case .code("markdown", rules) = $0 { true } else { false } })
        let files = blocks.compactMap { if case .code("json", let text) = $0 { text } else { nil } }
        #expect(files.count == 9)
        for file in files {
            let value = try JSONSerialization.jsonObject(with: Data(file.utf8)) as? [String: Any]
            let servers = value?["mcpServers"] ?? value?["servers"] ?? value?["context_servers"]
            #expect((servers as? [String: Any])?["quotastack"] != nil, "\(file)")
        }
        for tool in Tool.all { #expect(try page("ai-editors").markdown.contains("`\(tool.name)`"), "\(tool.name)") }
    }

    @Test("The glossary has each term once, in order")
    func glossary() throws {
        let terms = try page("glossary").document.blocks.compactMap { block in
            if case .heading(2, let text, _) = block { text.lowercased() } else { nil }
        }
        #expect(terms.count > 30 && terms == Set(terms).sorted())
    }

    private func page(_ name: String) throws -> Page {
        try #require(pages.first { $0.name == name }, "there is no page \(name)")
    }

    private func text(of page: Page) throws -> String {
        String(decoding: try #require(site.files[page.address]).bytes, as: UTF8.self)
    }

    private func unescaped(_ text: String) -> String {
        text.replacing("&lt;", with: "<").replacing("&gt;", with: ">").replacing("&quot;", with: "\"")
            .replacing("&amp;", with: "&")
    }
}
