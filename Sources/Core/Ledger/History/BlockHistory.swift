package import Credits

/// The entries of an account up to one of them, folded by one block.
package struct BlockHistory: Hashable, Sendable {
    /// The entries of one type that touched the block, added up.
    package struct Part: Hashable, Sendable {
        package let type: EntryType
        /// The change of what remains, mc.
        package let amount: Int64
        /// The change of what is held, mc.
        package let held: Int64
        /// How many entries.
        package let count: Int64
        /// The sequences of the first and the last of them.
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

    /// As it was granted; what remains of it is the sum of the parts.
    package let granted: GrantedBlock
    /// By first sequence.
    package let parts: [Part]

    package init(granted: GrantedBlock, parts: [Part]) {
        self.granted = granted
        self.parts = parts
    }

    package var remaining: Int64 { parts.reduce(0) { $0 + $1.amount } }
    package var held: Int64 { parts.reduce(0) { $0 + $1.held } }
    package var available: Int64 { remaining - held }
}

/// The entries of an account up to one of them, folded by one reservation: its holds.
package struct HoldHistory: Hashable, Sendable {
    /// The reservation's number.
    package let reservation: Int32
    package let featureKey: FeatureKey?
    /// What is held of each block, above zero, by block.
    package let allocations: [Allocation]
    /// The sequences of the first and the last entry of the reservation.
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
