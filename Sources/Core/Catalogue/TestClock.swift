package import Credits

/// A clock of a test environment. It stands still until a request advances it. End users attached to it use it as their
/// time.
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
