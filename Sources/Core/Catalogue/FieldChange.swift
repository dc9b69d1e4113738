/// What a change does to one field that may be empty.
package enum FieldChange<Value: Hashable & Sendable>: Hashable, Sendable {
    case keep
    /// Nil clears the field, or takes its default.
    case set(Value?)

    /// The field after the change.
    package func applied(to value: Value?) -> Value? {
        switch self {
        case .keep: value
        case .set(let new): new
        }
    }
}
