import CMarkdown
import Glibc

/// One block at the top level of a Markdown document.
package enum MarkdownBlock: Hashable, Sendable {
    /// - Parameter html: The content of the heading as HTML, without the heading's own element.
    case heading(level: Int, text: String, html: String)
    /// A fenced or indented block of code.
    ///
    /// - Parameter language: The first word after the fence; empty when there is none.
    case code(language: String, text: String)
    /// A paragraph that consists of one picture.
    case picture(address: String, description: String)
    /// A table as HTML.
    case table(text: String, html: String)
    /// Any other block as HTML.
    case other(text: String, html: String)

    /// The words of the block without their markup.
    package var text: String {
        switch self {
        case .heading(_, let text, _), .code(_, let text), .table(let text, _), .other(let text, _): text
        case .picture(_, let description): description
        }
    }
}

/// A document in GitHub's Markdown, as its blocks. HTML in the source is left out.
package struct MarkdownDocument: Sendable {
    package let blocks: [MarkdownBlock]
    /// The targets of all links and pictures, in the order of the document.
    package let links: [String]

    /// Parses a text. Cost: proportional to the length of the text.
    package init(_ source: String) {
        Extensions.register
        guard let parser = cmark_parser_new(CMARK_OPT_DEFAULT) else {
            (blocks, links) = ([], [])
            return
        }
        defer { cmark_parser_free(parser) }
        for name in Extensions.names {
            cmark_parser_attach_syntax_extension(parser, cmark_find_syntax_extension(name))
        }
        var source = source
        source.withUTF8 { text in
            text.withMemoryRebound(to: CChar.self) { cmark_parser_feed(parser, $0.baseAddress, $0.count) }
        }
        guard let root = cmark_parser_finish(parser) else {
            (blocks, links) = ([], [])
            return
        }
        defer { cmark_node_free(root) }
        let document = MarkdownNode(node: root)
        let extensions = cmark_parser_get_syntax_extensions(parser)
        blocks = document.children.map { $0.block(extensions) }
        links = document.links
    }
}

/// The extensions of GitHub's Markdown that documents use.
private enum Extensions {
    static let names = ["table"]

    /// Registers the extensions with the library, which keeps them in a global list: it must happen once.
    static let register: Void = cmark_gfm_core_extensions_ensure_registered()
}

/// A node of a parsed document. It is valid as long as the root of its document.
private struct MarkdownNode {
    let node: OpaquePointer

    private var kind: String { cmark_node_get_type_string(node).map { String(cString: $0) } ?? "" }
    private var literal: String { cmark_node_get_literal(node).map { String(cString: $0) } ?? "" }
    private var address: String { cmark_node_get_url(node).map { String(cString: $0) } ?? "" }

    var children: [MarkdownNode] {
        var children: [MarkdownNode] = []
        var next = cmark_node_first_child(node)
        while let child = next {
            children.append(MarkdownNode(node: child))
            next = cmark_node_next(child)
        }
        return children
    }

    var links: [String] {
        let own = ["link", "image"].contains(kind) ? [address] : []
        return children.reduce(into: own) { $0 += $1.links }
    }

    /// The words below the node. A space separates the cells of a table and the items of a list.
    var text: String {
        switch kind {
        case "text", "code", "code_block": return literal
        case "softbreak", "linebreak": return " "
        default:
            let parts = children.map(\.text)
            return ["paragraph", "heading", "link", "strong", "emph", "image", "table_cell"].contains(kind)
                ? parts.joined() : parts.joined(separator: " ")
        }
    }

    func block(_ extensions: UnsafeMutablePointer<cmark_llist>?) -> MarkdownBlock {
        switch kind {
        case "heading":
            let level = Int(cmark_node_get_heading_level(node))
            // "<h2>" and "</h2>\n" are 4 and 6 characters.
            return .heading(level: level, text: text, html: String(html(extensions).dropFirst(4).dropLast(6)))
        case "code_block":
            let info = cmark_node_get_fence_info(node).map { String(cString: $0) } ?? ""
            return .code(language: String(info.prefix { $0 != " " }), text: literal)
        case "paragraph" where children.count == 1 && children[0].kind == "image":
            return .picture(address: children[0].address, description: children[0].text)
        case "table": return .table(text: text, html: html(extensions))
        default: return .other(text: text, html: html(extensions))
        }
    }

    private func html(_ extensions: UnsafeMutablePointer<cmark_llist>?) -> String {
        guard let rendered = cmark_render_html(node, CMARK_OPT_DEFAULT, extensions) else { return "" }
        defer { free(rendered) }
        return String(cString: rendered)
    }
}
