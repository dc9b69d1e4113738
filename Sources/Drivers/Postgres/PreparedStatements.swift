/// Which statements one connection has prepared, or is about to.
///
/// A statement counts as prepared when the server has said so. Until then only the group that prepares it may use it:
/// should that group be aborted before, others would run into a statement that does not exist.
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
        /// The group whose preparation has not been answered yet.
        var preparedBy: UInt64?
    }

    private let limit: Int
    private var entries: [String: Entry] = [:]
    private var lastName = 0

    /// - Parameter limit: Texts beyond it are never prepared. Nothing is thrown out for them: statements are literals,
    ///   so a full memory means texts made at run time, which are not worth keeping.
    init(limit: Int = 512) {
        self.limit = limit
    }

    /// How the group is to send the statement. `types` holds 0 where a parameter is null and may be anything.
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
        // A parameter that was null so far shows its type: the preparation is replaced by a more exact one.
        return merged == entry.types ? .use(name: entry.name) : prepare(sql, merged, group)
    }

    mutating func preparationSucceeded(_ sql: String, name: String) {
        if entries[sql]?.name == name { entries[sql]?.preparedBy = nil }
    }

    mutating func preparationFailed(_ sql: String, name: String) {
        if entries[sql]?.name == name { entries[sql] = nil }
    }

    /// The server no longer has the statement, or it no longer fits.
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
