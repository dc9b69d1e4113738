package import Credits
package import JSON

/// Reads fields that requests and stored terms share.
extension JSONReader {
    /// An amount that is not negative.
    package mutating func optionalAmount(_ key: String) -> Millicredits? {
        optionalInt64(key, .amount, in: 0...Millicredits.limit).flatMap { try? Millicredits($0) }
    }

    /// `credits`, above zero, required.
    package mutating func credits() -> Millicredits? {
        int64("credits", .amount, in: 1...Millicredits.limit).flatMap { try? Millicredits($0) }
    }

    /// `credits`, above zero.
    package mutating func optionalCredits() -> Millicredits? {
        optionalInt64("credits", .amount, in: 1...Millicredits.limit).flatMap { try? Millicredits($0) }
    }

    /// `priority` of a block.
    package mutating func priority() -> Int16? {
        optionalInt64("priority", .plain, in: 0...100).map { Int16($0) }
    }

    package mutating func optionalCurrency() -> String? {
        optionalString("currency", expected: Self.currencyExpectation, Self.currency)
    }

    package static let currencyExpectation = "three capital letters, as in ISO 4217"

    package static func currency(_ text: String) -> String? {
        text.utf8.count == 3 && text.utf8.allSatisfy { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) }
            ? text : nil
    }
}
