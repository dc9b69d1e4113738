/// A change of one optional field.
package enum FieldChange<Value: Hashable & Sendable>: Hashable, Sendable {
    case keep
    /// Sets the field; nil clears it, or restores its default.
    case set(Value?)

    /// The field after the change.
    package func applied(to value: Value?) -> Value? {
        switch self {
        case .keep: value
        case .set(let new): new
        }
    }
}
