/// The treatment of a use that costs more than the spendable credits.
package enum OveragePolicy: String, CaseIterable, Hashable, Sendable {
    /// The use is refused as a whole.
    case block
    /// The uncovered part of the cost becomes overage.
    case allow
    /// Like `allow`. The tenant should be notified when overage begins; no notification exists yet.
    case notify
}
