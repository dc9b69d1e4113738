package import Credits
package import Ledger

extension Entry {
    /// The entry as an earlier release wrote it: its hash covers the clear text.
    ///
    /// - Parameters:
    ///   - previous: The hash of the entry before; zero for the first.
    ///   - owner: The end user of the account.
    ///   - counterparty: The end user on the other side of a transfer, whom an entry of version 1 names by id.
    /// - Returns: Nil if the hash cannot be computed.
    package func ofVersion1(after previous: EntryHash, of owner: EntryOwner, counterparty: EndUserID?) -> Entry? {
        var cause = cause
        cause.details.counterparty = counterparty
        cause.details.counterpartyEntry = nil
        func copy(_ hash: EntryHash) -> Entry {
            Entry(
                sequence: sequence, type: type, amount: amount, reservedDelta: reservedDelta,
                overageDelta: overageDelta, balanceAfter: balanceAfter, reservedAfter: reservedAfter,
                overageAfter: overageAfter, allocations: allocations, holds: holds, cause: cause,
                effectiveAt: effectiveAt, recordedAt: recordedAt, hash: hash, version: .clear)
        }
        return copy(.zero).expectedHash(after: previous, of: owner).map(copy)
    }
}
