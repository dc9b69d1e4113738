package import Credits

/// The entries of an account up to a given entry, summed for one block.
package struct BlockHistory: Hashable, Sendable {
    /// The sum of the entries of one type that changed the block.
    package struct Part: Hashable, Sendable {
        package let type: EntryType
        /// The change of the remaining credits, in millicredits.
        package let amount: Int64
        /// The change of the held credits, in millicredits.
        package let held: Int64
        /// The number of entries.
        package let count: Int64
        /// The sequence of the first of these entries; `last` is that of the last one.
        package let first: Int64
        package let last: Int64

        package init(type: EntryType, amount: Int64, held: Int64, count: Int64, first: Int64, last: Int64) {
            self.type = type
            self.amount = amount
            self.held = held
            self.count = count
            self.first = first
            self.last = last
        }
    }

    /// The block as it was granted. Its remaining credits are the sum of the parts.
    package let granted: GrantedBlock
    /// In order of `first`.
    package let parts: [Part]

    package init(granted: GrantedBlock, parts: [Part]) {
        self.granted = granted
        self.parts = parts
    }

    package var remaining: Int64 { parts.reduce(0) { $0 + $1.amount } }
    package var held: Int64 { parts.reduce(0) { $0 + $1.held } }
    package var available: Int64 { remaining - held }
}

/// The entries of an account up to a given entry, summed for one reservation: its holds.
package struct HoldHistory: Hashable, Sendable {
    /// The reservation's number.
    package let reservation: Int32
    package let featureKey: FeatureKey?
    /// The held credits of each block, above zero, in order of the block's number.
    package let allocations: [Allocation]
    /// The sequence of the first entry that changed these holds; `last` is that of the last one.
    package let first: Int64
    package let last: Int64

    package init(reservation: Int32, featureKey: FeatureKey?, allocations: [Allocation], first: Int64, last: Int64) {
        self.reservation = reservation
        self.featureKey = featureKey
        self.allocations = allocations
        self.first = first
        self.last = last
    }

    package var held: Int64 { allocations.reduce(0) { $0 + $1.amount } }
}
