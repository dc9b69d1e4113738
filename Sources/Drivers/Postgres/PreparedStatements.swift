/// The statements that one connection has prepared, or is preparing.
///
/// A statement counts as prepared when the server has confirmed it. Until then only the group that prepares it may use
/// it: if that group is aborted first, the statement does not exist for later groups.
struct PreparedStatements {
    enum Choice: Equatable {
        /// Send it by its name.
        case use(name: String)
        /// Send a preparation with these parameter types first, then use it.
        case prepare(name: String, types: [UInt32])
        /// Send the whole text.
        case unnamed
    }

    private struct Entry {
        let name: String
        let types: [UInt32]
        /// The group whose preparation has not been answered yet; nil once it has been.
        var preparedBy: UInt64?
    }

    private let limit: Int
    private var entries: [String: Entry] = [:]
    private var lastName = 0

    /// - Parameter limit: The number of texts to prepare. Further texts are never prepared, and no text is evicted for
    ///   them: statements are literals, so a full memory means texts made at run time, which are not worth keeping.
    init(limit: Int = 512) {
        self.limit = limit
    }

    /// Decides how the group sends the statement. `types` holds 0 for a parameter that is null and may have any type.
    mutating func choose(_ sql: String, types: [UInt32], group: UInt64) -> Choice {
        guard let entry = entries[sql] else {
            return entries.count < limit ? prepare(sql, types, group) : .unnamed
        }
        if let preparedBy = entry.preparedBy, preparedBy != group { return .unnamed }
        guard entry.types.count == types.count else { return .unnamed }
        var merged = entry.types
        for (index, type) in types.enumerated() where type != 0 && type != merged[index] {
            guard merged[index] == 0 else { return .unnamed }
            merged[index] = type
        }
        // A parameter that was null in earlier uses has a type now, so a more exact preparation replaces the old one.
        return merged == entry.types ? .use(name: entry.name) : prepare(sql, merged, group)
    }

    mutating func preparationSucceeded(_ sql: String, name: String) {
        if entries[sql]?.name == name { entries[sql]?.preparedBy = nil }
    }

    mutating func preparationFailed(_ sql: String, name: String) {
        if entries[sql]?.name == name { entries[sql] = nil }
    }

    /// Forgets a statement that the server no longer has, or that no longer fits its tables.
    mutating func forget(_ sql: String) {
        entries[sql] = nil
    }

    private mutating func prepare(_ sql: String, _ types: [UInt32], _ group: UInt64) -> Choice {
        lastName += 1
        let name = "s\(lastName)"
        entries[sql] = Entry(name: name, types: types, preparedBy: group)
        return .prepare(name: name, types: types)
    }
}
