/// The rows of a price in their order, with an index for the look-up by an event's attributes.
///
/// A row is indexed by one of the attributes that it asks for: the one with the most different values among all rows. A
/// look-up costs one dictionary access for each indexed attribute and compares only the rows that ask for the event's
/// value of it. A price list by model therefore compares one row, however many models it has.
package struct PriceRows: Hashable, Sendable {
    package let rows: [Price.Row]
    /// The numbers of the rows by the attribute and the value that they are indexed by, in rising order.
    private let numbers: [String: [AttributeValue: [Int]]]
    /// The first row that matches every event; the number of rows if there is none.
    private let fallback: Int

    init(_ rows: [Price.Row]) {
        var values: [String: Set<AttributeValue>] = [:]
        for row in rows { for (name, value) in row.match.values { values[name, default: []].insert(value) } }
        var numbers: [String: [AttributeValue: [Int]]] = [:]
        for (number, row) in rows.enumerated() {
            let named = row.match.values.max { left, right in
                (values[left.key]?.count ?? 0, right.key) < (values[right.key]?.count ?? 0, left.key)
            }
            guard let named else { continue }
            numbers[named.key, default: [:]][named.value, default: []].append(number)
        }
        self.rows = rows
        self.numbers = numbers
        fallback = rows.firstIndex { $0.match.values.isEmpty } ?? rows.count
    }

    /// The index of the first row whose attributes the event has; nil when there is none.
    func firstIndex(matching attributes: Attributes) -> Int? {
        var first = fallback
        for (name, byValue) in numbers {
            guard let value = attributes.values[name], let candidates = byValue[value] else { continue }
            for number in candidates {
                guard number < first else { break }
                if rows[number].match.isSubset(of: attributes) { first = number }
            }
        }
        return first < rows.count ? first : nil
    }

    package static func == (left: PriceRows, right: PriceRows) -> Bool {
        left.rows == right.rows
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(rows)
    }
}
