import Crypto

/// A file of the documentation, as it is served.
package struct DocsFile: Sendable {
    /// The kinds of files, with what a browser must know of each.
    package enum Kind: Sendable {
        case page, markdown, text, style, script, picture, json

        package var contentType: String {
            switch self {
            case .page: "text/html; charset=utf-8"
            case .markdown: "text/markdown; charset=utf-8"
            case .text: "text/plain; charset=utf-8"
            case .style: "text/css; charset=utf-8"
            case .script: "text/javascript; charset=utf-8"
            case .picture: "image/svg+xml"
            case .json: "application/json"
            }
        }

        /// The policy under which a browser shows the file. A picture has its colours in a style element of its own.
        package var contentSecurityPolicy: String {
            switch self {
            case .picture: "default-src 'none'; style-src 'unsafe-inline'"
            default:
                "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
            }
        }

        init(fileName: String) {
            switch fileName.split(separator: ".").last {
            case "md": self = .markdown
            case "css": self = .style
            case "js": self = .script
            case "svg": self = .picture
            case "json": self = .json
            default: self = .text
            }
        }
    }

    package let kind: Kind
    package let bytes: [UInt8]
    /// The digest of the bytes, in quotation marks, as `ETag` has it.
    package let tag: String
    /// Whether the address contains the digest, so that the file at this address never changes.
    package let isImmutable: Bool

    init(_ kind: Kind, _ text: String, isImmutable: Bool = false) {
        self.init(kind, Array(text.utf8), isImmutable: isImmutable)
    }

    package init(_ kind: Kind, _ bytes: [UInt8], isImmutable: Bool = false) {
        self.kind = kind
        self.bytes = bytes
        tag = "\"\(Self.digest(bytes))\""
        self.isImmutable = isImmutable
    }

    /// Sixteen hexadecimal digits of the SHA-256 of a file.
    static func digest(_ bytes: [UInt8]) -> String {
        SHA256.hash(data: bytes).prefix(8).map { byte in
            let digits = String(byte, radix: 16)
            return byte < 16 ? "0\(digits)" : digits
        }.joined()
    }
}
