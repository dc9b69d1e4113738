package import Credits

/// The key of an account: the environment and the tenant's name for the end user. Accounts are locked in the order of
/// their keys.
package struct AccountKey: Hashable, Comparable, Sendable {
    package let environmentID: EnvironmentID
    package let endUserID: EndUserID

    package init(environmentID: EnvironmentID, endUserID: EndUserID) {
        self.environmentID = environmentID
        self.endUserID = endUserID
    }

    package static func < (left: AccountKey, right: AccountKey) -> Bool {
        (left.environmentID, left.endUserID) < (right.environmentID, right.endUserID)
    }
}

/// The key of a command, unique in the installation.
package struct CommandKey: Hashable, Comparable, Sendable {
    package let environmentID: EnvironmentID
    package let id: Bits128

    package init(environmentID: EnvironmentID, id: Bits128) {
        self.environmentID = environmentID
        self.id = id
    }

    /// The key of the command that a client's idempotency key names.
    package init(environmentID: EnvironmentID, idempotencyKey: String) {
        self.init(
            environmentID: environmentID,
            id: Bits128(digestOf: Array("\(environmentID.rawValue)\n\(idempotencyKey)".utf8)))
    }

    package static func < (left: CommandKey, right: CommandKey) -> Bool {
        (left.environmentID, left.id) < (right.environmentID, right.id)
    }
}

/// The key of a payment: the environment and the payment provider's id.
package struct PaymentKey: Hashable, Comparable, Sendable {
    package let environmentID: EnvironmentID
    package let externalID: String

    package init(environmentID: EnvironmentID, externalID: String) {
        self.environmentID = environmentID
        self.externalID = externalID
    }

    /// Compares bytes, as PostgreSQL does.
    package static func == (left: PaymentKey, right: PaymentKey) -> Bool {
        left.environmentID == right.environmentID && left.externalID.utf8.elementsEqual(right.externalID.utf8)
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(environmentID)
        var text = externalID
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }

    package static func < (left: PaymentKey, right: PaymentKey) -> Bool {
        left.environmentID == right.environmentID
            ? left.externalID.utf8.lexicographicallyPrecedes(right.externalID.utf8)
            : left.environmentID < right.environmentID
    }
}
