/// The URL of an endpoint, in the one spelling that is stored, checked and requested.
///
/// Parsers of URLs differ, and a URL that one parser reads as a public host and another as a private one passes the check
/// of the first. So only a strict form is accepted: `http` or `https`, a host that is a name in ASCII or an address in its
/// one canonical spelling, no user information, no fragment, and printable ASCII without characters that browsers or
/// libraries treat in different ways. `text` is composed of the parts again.
package struct WebhookURL: Hashable, Sendable {
    package static let maximumBytes = 2_048
    package static let expectation =
        "an http or https URL of at most 2048 bytes of ASCII, with a host name or an address, without user information and without a fragment"

    package enum Host: Hashable, Sendable {
        /// Lower-case labels of letters, digits, `-` and `_`, separated by dots.
        case name(String)
        case address(IPAddress)
    }

    package let isSecure: Bool
    package let host: Host
    package let port: UInt16
    /// The path and the query, beginning with `/`.
    package let target: String

    /// Nil unless the text is a URL of the accepted form.
    package init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count <= Self.maximumBytes, bytes.allSatisfy(Self.isAllowed) else { return nil }
        let rest: ArraySlice<UInt8>
        if let found = Self.dropping("https://", bytes) {
            (isSecure, rest) = (true, found)
        } else if let found = Self.dropping("http://", bytes) {
            (isSecure, rest) = (false, found)
        } else {
            return nil
        }
        let end = rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? rest.endIndex
        guard let (host, portText) = Self.split(rest[..<end]), let parsed = Self.host(host) else { return nil }
        self.host = parsed
        if let portText {
            // One spelling: no sign, no leading zero, not empty.
            guard let port = UInt16(portText), port > 0, "\(port)" == portText else { return nil }
            self.port = port
        } else {
            port = isSecure ? 443 : 80
        }
        let target = String(decoding: rest[end...], as: UTF8.self)
        self.target = target.hasPrefix("/") ? target : "/" + target
    }

    /// The URL in its one spelling.
    package var text: String {
        let standard: UInt16 = isSecure ? 443 : 80
        return (isSecure ? "https://" : "http://") + hostText + (port == standard ? "" : ":\(port)") + target
    }

    /// The host as it stands in a URL: an IPv6 address is in brackets.
    package var hostText: String {
        switch host {
        case .name(let name): name
        case .address(.v4(let address)): IPAddress.v4(address).description
        case .address(let address): "[\(address)]"
        }
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x21...0x7E:
            !##""#\<>^`{|}"##.utf8.contains(byte)
        default: false
        }
    }

    /// The bytes behind a prefix whose letters may be capital.
    private static func dropping(_ prefix: StaticString, _ bytes: [UInt8]) -> ArraySlice<UInt8>? {
        let count = prefix.utf8CodeUnitCount
        guard bytes.count > count else { return nil }
        let isThere = prefix.withUTF8Buffer { prefix in
            zip(prefix, bytes).allSatisfy { $0 == $1 || (0x41...0x5A).contains($1) && $0 == $1 | 0x20 }
        }
        return isThere ? bytes[count...] : nil
    }

    /// The host and the text of the port; nil for an authority with user information or of another form.
    private static func split(_ authority: ArraySlice<UInt8>) -> (host: String, port: String?)? {
        let text = String(decoding: authority, as: UTF8.self)
        guard !text.isEmpty, !text.contains("@"), !text.contains("%") else { return nil }
        let host: Substring
        let rest: Substring
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { return nil }
            (host, rest) = (text[...end], text[text.index(after: end)...])
        } else {
            let end = text.firstIndex(of: ":") ?? text.endIndex
            (host, rest) = (text[..<end], text[end...])
        }
        guard !rest.isEmpty else { return (String(host), nil) }
        guard rest.hasPrefix(":") else { return nil }
        return (String(host), String(rest.dropFirst()))
    }

    private static func host(_ text: String) -> Host? {
        if text.hasPrefix("[") {
            guard case .v6(let address)? = IPAddress(text.dropFirst().dropLast()) else { return nil }
            return .address(.v6(address))
        }
        let name = text.lowercased()
        let labels = name.split(separator: ".", omittingEmptySubsequences: false)
        guard name.utf8.count <= 253, labels.allSatisfy(isLabel), let last = labels.last else { return nil }
        // A host whose last label is a number is an address for every parser, also in forms such as 0x7f.1 or 2130706433.
        // Only the canonical spelling is read the same by all of them.
        let isNumber =
            last.utf8.allSatisfy { (0x30...0x39).contains($0) }
            || last.hasPrefix("0x") && last.dropFirst(2).utf8.allSatisfy { "0123456789abcdef".utf8.contains($0) }
        guard isNumber else { return .name(name) }
        guard let address = IPAddress(name[...]), case .v4 = address, address.description == name else { return nil }
        return .address(address)
    }

    private static func isLabel(_ label: Substring) -> Bool {
        (1...63).contains(label.utf8.count) && label.utf8.first != UInt8(ascii: "-")
            && label.utf8.last != UInt8(ascii: "-")
            && label.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x61...0x7A).contains($0) || $0 == UInt8(ascii: "-")
                    || $0 == UInt8(ascii: "_")
            }
    }
}
