package import Credits
package import JSON

/// A test clock as it is shown.
package struct TestClockRecord: Hashable, Sendable {
    package let id: Bits128
    /// What it shows.
    package let now: Instant
    package let createdAt: Instant
    package let updatedAt: Instant

    package init(id: Bits128, now: Instant, createdAt: Instant, updatedAt: Instant) {
        self.id = id
        self.now = now
        self.createdAt = createdAt
        self.updatedAt = updatedAt
    }
}

extension JSONWriter {
    package mutating func testClock(_ clock: TestClockRecord) {
        beginObject()
        member("id", PublicID(.testClock, clock.id))
        member("now", clock.now as Instant?)
        member("created_at", clock.createdAt as Instant?)
        member("updated_at", clock.updatedAt as Instant?)
        endObject()
    }
}

extension Problem {
    /// Time is real in a live environment.
    package static let testClockInLiveMode = Problem(
        .testModeOnly, "Test clocks are for test environments. Use a key of the tenant's test environment.")
}
