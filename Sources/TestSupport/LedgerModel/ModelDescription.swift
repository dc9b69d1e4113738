import Credits

extension ModelLedger.Share: CustomStringConvertible {
    package var description: String { "b\(block) \(amount)" }
}

extension ModelLedger.Entry: CustomStringConvertible {
    /// The entry as text, without fields that have their usual value.
    package var description: String {
        var parts = ["e\(sequence) \(type) \(amount) balance \(balanceAfter)"]
        func add(_ name: String, _ value: Any?) { if let value { parts.append("\(name) \(value)") } }
        func addNumber(_ name: String, _ number: Int64) { if number != 0 { add(name, number) } }
        addNumber("reserved", reservedDelta)
        addNumber("reserved_after", reservedAfter)
        addNumber("overage", overageDelta)
        addNumber("overage_after", overageAfter)
        if !allocation.isEmpty { add("blocks", allocation) }
        if !holds.isEmpty { add("holds", holds) }
        add("feature", feature)
        if !features.isEmpty { add("features", features) }
        add("units", units)
        add("added", added)
        if !quantities.isEmpty { add("quantities", quantities.sorted { $0.key < $1.key }) }
        if !attributes.isEmpty { add("attributes", attributes.sorted { $0.key < $1.key }) }
        add("version", version)
        add("reservation", reservation)
        add("refunds", refunds)
        add("counterparty", counterparty)
        add("payment", payment)
        addNumber("forfeited", forfeited)
        if isDeadline { parts.append("deadline") }
        if isSettlement { parts.append("settlement") }
        add("subscription", subscription)
        add("line", line)
        add("period", period)
        add("key", key)
        add("effective", effectiveAt)
        if recordedAt != effectiveAt { add("recorded", recordedAt) }
        return parts.joined(separator: " ")
    }
}
