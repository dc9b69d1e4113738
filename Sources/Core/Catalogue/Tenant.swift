package import Credits

/// A tenant of the installation. It has two environments: live and test.
package struct Tenant: Hashable, Sendable {
    package let id: Bits128
    package let name: String
    package let createdAt: Instant

    package init(id: Bits128, name: String, createdAt: Instant) {
        self.id = id
        self.name = name
        self.createdAt = createdAt
    }
}
