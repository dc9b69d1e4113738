/// An address of version 4 or 6.
package enum IPAddress: Hashable, Sendable, CustomStringConvertible {
    case v4(UInt32)
    case v6(UInt128)

    /// Parses the four decimal numbers of version 4, or the colon form of version 6 as in RFC 4291. Nil for every other
    /// form, such as numbers with leading zeros and addresses with a zone.
    package init?(_ text: Substring) {
        if text.utf8.contains(UInt8(ascii: ":")) {
            guard let value = Self.version6(text) else { return nil }
            self = .v6(value)
        } else {
            guard let value = Self.version4(text) else { return nil }
            self = .v4(value)
        }
    }

    package init?(_ text: String) { self.init(text[...]) }

    private static func version4(_ text: Substring) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.utf8.count), let byte = UInt8(part), "\(byte)" == part else { return nil }
            value = value << 8 | UInt32(byte)
        }
        return value
    }

    private static func version6(_ text: Substring) -> UInt128? {
        guard text.utf8.count <= 45 else { return nil }
        var head: [UInt16] = []
        var tail: [UInt16]?
        var rest = text
        if rest.hasPrefix("::") {
            tail = []
            rest = rest.dropFirst(2)
        }
        while !rest.isEmpty {
            let end = rest.firstIndex(of: ":") ?? rest.endIndex
            let group = rest[..<end]
            var groups: [UInt16]
            if group.utf8.contains(UInt8(ascii: ".")) {
                guard end == rest.endIndex, let embedded = version4(group) else { return nil }
                groups = [UInt16(embedded >> 16), UInt16(truncatingIfNeeded: embedded)]
            } else {
                guard (1...4).contains(group.utf8.count), group.utf8.first != UInt8(ascii: "+"),
                    let number = UInt16(group, radix: 16)
                else { return nil }
                groups = [number]
            }
            if tail == nil { head += groups } else { tail?.append(contentsOf: groups) }
            rest = rest[end...]
            if rest.hasPrefix("::") {
                guard tail == nil else { return nil }
                tail = []
                rest = rest.dropFirst(2)
            } else if rest.hasPrefix(":") {
                rest = rest.dropFirst()
                guard !rest.isEmpty else { return nil }
            }
        }
        let count = head.count + (tail?.count ?? 0)
        guard tail == nil ? count == 8 : count < 8 else { return nil }
        let groups = head + Array(repeating: 0, count: 8 - count) + (tail ?? [])
        return groups.reduce(0) { $0 << 16 | UInt128($1) }
    }

    package var description: String {
        switch self {
        case .v4(let value):
            return [24, 16, 8, 0].map { "\(value >> $0 & 0xFF)" }.joined(separator: ".")
        case .v6(let value):
            let groups = stride(from: 112, through: 0, by: -16).map { UInt16(truncatingIfNeeded: value >> $0) }
            // The longest run of zeros of at least two groups is left out, the first one of equally long ones.
            var (best, bestCount) = (8, 1)
            var index = 0
            while index < 8 {
                let count = groups[index...].prefix { $0 == 0 }.count
                if count > bestCount { (best, bestCount) = (index, count) }
                index += max(1, count)
            }
            let texts = groups.map { String($0, radix: 16) }
            guard best < 8 else { return texts.joined(separator: ":") }
            return texts[..<best].joined(separator: ":") + "::"
                + texts[(best + bestCount)...].joined(separator: ":")
        }
    }
}

/// A range of addresses that share their first bits: `10.0.0.0/8`, `fc00::/7`, or one address.
package struct IPNetwork: Hashable, Sendable, CustomStringConvertible {
    package let address: IPAddress
    package let bits: Int

    /// Nil for a text of another form, for too many bits, and for an address with bits beyond the range.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = IPAddress(parts[0]) else { return nil }
        let width: Int
        switch address {
        case .v4: width = 32
        case .v6: width = 128
        }
        guard let bits = parts.count == 1 ? width : Int(parts[1]), (0...width).contains(bits) else { return nil }
        self.address = address
        self.bits = bits
        switch address {
        case .v4(let value): guard bits == 32 || value << UInt32(bits) == 0 else { return nil }
        case .v6(let value): guard bits == 128 || value << UInt128(bits) == 0 else { return nil }
        }
    }

    /// A network of the lists below.
    init(_ address: IPAddress, _ bits: Int) {
        self.address = address
        self.bits = bits
    }

    package func contains(_ other: IPAddress) -> Bool {
        switch (address, other) {
        case (.v4(let network), .v4(let value)): bits == 0 || (network ^ value) >> UInt32(32 - bits) == 0
        case (.v6(let network), .v6(let value)): bits == 0 || (network ^ value) >> UInt128(128 - bits) == 0
        default: false
        }
    }

    package var description: String { "\(address)/\(bits)" }
}
