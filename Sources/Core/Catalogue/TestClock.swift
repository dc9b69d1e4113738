package import Credits

/// A clock of a test environment. It stands until somebody advances it; the end users attached to it live by it.
package struct TestClock: Hashable, Sendable {
    package let id: Bits128
    /// The instant that the clock shows.
    package let now: Instant
    package let createdAt: Instant
    package let updatedAt: Instant

    package init(id: Bits128, now: Instant, createdAt: Instant, updatedAt: Instant) {
        self.id = id
        self.now = now
        self.createdAt = createdAt
        self.updatedAt = updatedAt
    }

    package var publicID: PublicID { PublicID(.testClock, id) }
}
