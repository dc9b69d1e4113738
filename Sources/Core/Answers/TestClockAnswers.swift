package import Catalogue
import Credits
package import JSON

extension JSONWriter {
    package mutating func testClock(_ clock: TestClock) {
        beginObject()
        member("id", clock.publicID)
        member("now", clock.now as Instant?)
        member("created_at", clock.createdAt as Instant?)
        member("updated_at", clock.updatedAt as Instant?)
        endObject()
    }
}

extension Problem {
    /// The refusal of a test clock in a live environment, where time is always real.
    package static let testClockInLiveMode = Problem(
        .testModeOnly, "Test clocks are for test environments. Use a key of the tenant's test environment.")
}
