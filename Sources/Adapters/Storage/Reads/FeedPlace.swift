package import Credits

/// A place in a feed of an environment, of entries or of events. Places are ordered by transaction, account and sequence.
package struct FeedPlace: Hashable, Comparable, Sendable {
    package let transaction: Int64
    package let account: AccountID
    package let sequence: Int64

    package init(transaction: Int64, account: AccountID, sequence: Int64) {
        self.transaction = transaction
        self.account = account
        self.sequence = sequence
    }

    /// The place before everything.
    package static let start = FeedPlace(before: 0)

    /// The place before everything of a transaction.
    package init(before transaction: Int64) {
        self.init(transaction: transaction, account: AccountID(0), sequence: 0)
    }

    package static func < (left: FeedPlace, right: FeedPlace) -> Bool {
        (left.transaction, left.account, left.sequence) < (right.transaction, right.account, right.sequence)
    }

    /// The place as a client sees it and gives it back.
    package var text: String { "\(transaction)-\(account.rawValue)-\(sequence)" }

    package init?(text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false).map { Int64($0) }
        guard parts.count == 3, let transaction = parts[0], let account = parts[1], let sequence = parts[2],
            transaction >= 0, account >= 0, sequence >= 0
        else { return nil }
        self.init(transaction: transaction, account: AccountID(account), sequence: sequence)
    }
}
