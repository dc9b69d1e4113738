import Docs
import JSON

/// The tools and resources that read the documentation. They need no key, because the documentation is public.
struct DocsTools: Sendable {
    private static let scheme = "quotastack:/"

    let site: DocsSite

    /// Finds parts of pages.
    func search(_ arguments: ToolArguments) -> ToolResult {
        let findings = site.search.findings(
            for: arguments.text("query") ?? "", limit: arguments.integer("limit") ?? 8)
        var json = JSONWriter()
        json.beginObject()
        json.array("results", findings) { json, finding in
            json.beginObject()
            json.member("page", finding.page.title)
            json.member("heading", finding.heading)
            json.member("address", finding.address)
            json.member("excerpt", finding.excerpt)
            json.endObject()
        }
        json.endObject()
        let lines = findings.map { finding in
            let heading = finding.heading == finding.page.title ? "" : " > \(finding.heading)"
            return "\(finding.page.title)\(heading) (\(finding.address))\n\(finding.excerpt)"
        }
        return ToolResult(
            text: lines.isEmpty ? "No page has these words. Try fewer or other ones." : lines.joined(separator: "\n\n"),
            structured: json.bytes)
    }

    /// Reads a piece of a page.
    func read(_ arguments: ToolArguments) throws(ToolFailure) -> ToolResult {
        let name = arguments.text("page") ?? ""
        guard let page = page(name) else {
            throw ToolFailure("There is no page \(name). Search with docs_search, or read /llms.txt.")
        }
        let bytes = Array(page.text.utf8)
        let start = Self.boundary(in: bytes, at: arguments.integer("offset") ?? 0)
        let end = Self.boundary(in: bytes, at: start + MCPLimits.pageBytes)
        let piece = String(decoding: bytes[start..<end], as: UTF8.self)
        var json = JSONWriter(capacity: piece.utf8.count + 256)
        json.beginObject()
        json.member("address", page.address)
        json.member("markdown", piece)
        json.member("next_offset", end < bytes.count ? end : nil)
        json.endObject()
        let rest = end < bytes.count ? "\n\n(The page goes on at offset \(end).)" : ""
        return ToolResult(text: piece + rest, structured: json.bytes)
    }

    /// The beginning of the first character at or after a byte; the length of the text when there is none.
    private static func boundary(in bytes: [UInt8], at index: Int) -> Int {
        bytes.indices.dropFirst(index).first { bytes[$0] & 0xC0 != 0x80 } ?? bytes.count
    }

    /// A page, or the index of all pages, by its address with or without its ending, its anchor or `/docs`.
    private func page(_ name: String) -> (address: String, text: String)? {
        var path = String(name.prefix { $0 != "#" && $0 != "?" })
        if path.hasSuffix(".md") { path.removeLast(3) }
        path = "/" + path.split(separator: "/").joined(separator: "/")
        if path == "/llms.txt", let index = site.files[path] {
            return (path, String(decoding: index.bytes, as: UTF8.self))
        }
        let page = site.contents.pages.first { $0.address == path || $0.address == "/docs\(path)" }
        return page.map { ($0.address, $0.markdown) }
    }

    // MARK: - Resources

    /// Writes every page as `resources/list` shows it.
    func writeResources(into json: inout JSONWriter) {
        json.array("resources", site.contents.pages) { json, page in
            json.beginObject()
            json.member("uri", Self.scheme + page.twinAddress)
            json.member("name", page.address)
            json.member("title", page.title)
            json.member("description", page.summary)
            json.member("mimeType", "text/markdown")
            json.endObject()
        }
    }

    /// Writes the contents of a page.
    func resource(_ uri: String) throws(RPCError) -> @Sendable (inout JSONWriter) -> Void {
        guard let page = site.contents.pages.first(where: { Self.scheme + $0.twinAddress == uri }) else {
            throw RPCError(.invalidParameters, "Resource not found", data: .members([("uri", .string(uri))]))
        }
        return { json in
            json.array("contents", [page]) { json, page in
                json.beginObject()
                json.member("uri", uri)
                json.member("mimeType", "text/markdown")
                json.member("text", page.markdown)
                json.endObject()
            }
        }
    }
}
