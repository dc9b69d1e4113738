/// An amount of credit: an integer number of millicredits (1 credit = 1,000 mc), between −(2^53 − 1) and 2^53 − 1.
///
/// The range is the one in which a JSON client reads every integer exactly. What would leave it is refused by throwing
/// `AmountOutOfRange`; nothing here wraps and nothing traps.
package struct Millicredits: Hashable, Comparable, Sendable {
    /// The largest absolute amount, 2^53 − 1.
    package static let limit: Int64 = (1 << 53) - 1
    package static let zero = Millicredits(unchecked: 0)
    package static let max = Millicredits(unchecked: limit)

    package let rawValue: Int64

    /// - Throws: `AmountOutOfRange` outside ±(2^53 − 1).
    package init(_ value: Int64) throws(AmountOutOfRange) {
        guard value >= -Self.limit, value <= Self.limit else { throw AmountOutOfRange() }
        rawValue = value
    }

    /// - Throws: `AmountOutOfRange` outside ±(2^53 − 1).
    @_disfavoredOverload
    package init(_ value: Int128) throws(AmountOutOfRange) {
        guard value >= Int128(-Self.limit), value <= Int128(Self.limit) else { throw AmountOutOfRange() }
        rawValue = Int64(value)
    }

    private init(unchecked value: Int64) {
        rawValue = value
    }

    package static func < (left: Millicredits, right: Millicredits) -> Bool {
        left.rawValue < right.rawValue
    }

    /// Two amounts in range never overflow 64 bits, so the range check alone decides.
    package static func + (left: Millicredits, right: Millicredits) throws(AmountOutOfRange) -> Millicredits {
        try Millicredits(left.rawValue + right.rawValue)
    }

    package static func - (left: Millicredits, right: Millicredits) throws(AmountOutOfRange) -> Millicredits {
        try Millicredits(left.rawValue - right.rawValue)
    }

    /// The amount after a change that was checked before.
    ///
    /// - Precondition: The sum is in range. The books guarantee it; that they do is worth a check on every entry.
    package func changed(by difference: Int64) -> Millicredits {
        let (sum, overflow) = rawValue.addingReportingOverflow(difference)
        precondition(!overflow && abs(sum) <= Self.limit, "an amount out of range reached the books")
        return Millicredits(unchecked: sum)
    }

    /// The same amount with the other sign; the range is symmetric, so it always exists.
    package static prefix func - (amount: Millicredits) -> Millicredits {
        Millicredits(unchecked: -amount.rawValue)
    }
}

/// A sum, product or input left the range of `Millicredits`.
package struct AmountOutOfRange: Error, Hashable {
    package init() {}
}
