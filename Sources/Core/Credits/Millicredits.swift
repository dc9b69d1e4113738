/// An amount of credit: an integer number of millicredits (1 credit = 1,000 mc), between −(2^53 − 1) and 2^53 − 1.
///
/// JSON clients read every integer of that range exactly. An operation whose result would leave the range throws
/// `AmountOutOfRange`; nothing wraps around, and only `changed(by:)` traps.
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

    /// Two amounts in range cannot overflow 64 bits, so only the range must be checked.
    package static func + (left: Millicredits, right: Millicredits) throws(AmountOutOfRange) -> Millicredits {
        try Millicredits(left.rawValue + right.rawValue)
    }

    package static func - (left: Millicredits, right: Millicredits) throws(AmountOutOfRange) -> Millicredits {
        try Millicredits(left.rawValue - right.rawValue)
    }

    /// The amount after a change that the caller has already checked.
    ///
    /// - Precondition: The sum is in range. It is checked again here, because a wrong entry can never be taken back.
    package func changed(by difference: Int64) -> Millicredits {
        let (sum, overflow) = rawValue.addingReportingOverflow(difference)
        precondition(!overflow && abs(sum) <= Self.limit, "a caller let an amount leave its range")
        return Millicredits(unchecked: sum)
    }

    /// The negated amount. It always exists, because the range is symmetric.
    package static prefix func - (amount: Millicredits) -> Millicredits {
        Millicredits(unchecked: -amount.rawValue)
    }
}

/// The error for a sum, product or input outside the range of `Millicredits`.
package struct AmountOutOfRange: Error, Hashable {
    package init() {}
}
