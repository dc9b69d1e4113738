/// A position in the write-ahead log (`pg_lsn`), counted in bytes. Positions only grow.
package struct WALPosition: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let value: UInt64

    package init(_ value: UInt64) {
        self.value = value
    }

    /// Parses PostgreSQL's form, two hexadecimal halves: "0/16B3748".
    package init?(_ text: String) {
        let halves = text.split(separator: "/", omittingEmptySubsequences: false)
        guard halves.count == 2, halves.allSatisfy({ (1...8).contains($0.utf8.count) && $0.first != "+" }),
            let high = UInt32(halves[0], radix: 16), let low = UInt32(halves[1], radix: 16)
        else { return nil }
        value = UInt64(high) << 32 | UInt64(low)
    }

    package static let zero = WALPosition(0)

    package static func < (one: WALPosition, other: WALPosition) -> Bool {
        one.value < other.value
    }

    package var description: String {
        let high = String(value >> 32, radix: 16, uppercase: true)
        let low = String(value & 0xFFFF_FFFF, radix: 16, uppercase: true)
        return "\(high)/\(low)"
    }
}
