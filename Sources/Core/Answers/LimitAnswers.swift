import Credits
package import JSON
package import Ledger
package import Metering

extension JSONWriter {
    /// Writes a limit with its state, as a check and the list of limits show it.
    package mutating func limitState(_ state: LimitState) {
        beginObject()
        members(state)
        endObject()
    }

    /// Writes a limit with its definition and its state.
    ///
    /// - Parameter state: Nil for a limit that was lifted.
    package mutating func limit(_ key: LimitKey, _ state: LimitState?) {
        beginObject()
        if let state {
            members(state)
            definition(state.limit)
        } else {
            member("key", key.rawValue)
            member("limit", nil as Int64?)
            member("source", AppliedLimit.Source.endUser.rawValue)
        }
        endObject()
    }

    private mutating func members(_ state: LimitState) {
        member("key", state.applied.key.rawValue)
        member("unit", state.limit.unit.rawValue)
        member("limit", state.limit.amount)
        member("used", state.used)
        member("remaining", state.remaining)
        member("window", state.limit.window?.text)
        member("resets_at", state.resetsAt)
        member("source", state.applied.source.rawValue)
        if let since = state.applied.since { member("since", since as Instant?) }
        if let per = state.limit.per {
            member("per", per)
            member("value", state.value)
        }
    }

    /// Writes the members of a definition that its state does not show.
    private mutating func definition(_ limit: Limit) {
        guard case .object(let object) = limit.json else { return }
        for member in object.members where !["unit", "limit", "window", "per"].contains(member.key) {
            key(member.key)
            value(member.value)
        }
    }
}
