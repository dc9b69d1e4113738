/// What happens to a use that costs more than there is.
package enum OveragePolicy: String, CaseIterable, Hashable, Sendable {
    /// It is refused, wholly.
    case block
    /// What is short becomes overage.
    case allow
    /// As `allow`, and the crossing is told.
    case notify
}
