import Answers
import Catalogue
import Credits
import Storage

extension CatalogueChange {
    func createTestClock(_ instant: Instant, kind: EnvironmentKind?, now: Instant) async throws -> Answer {
        guard kind == .test else { return refused(.testClockInLiveMode) }
        guard try await hasRoom(in: TestClockRow.table) else { return refused(.tooMany("test clocks")) }
        let clock = TestClock(id: newID(at: now, 0), now: instant, createdAt: now, updatedAt: now)
        try await TestClockStore.insert(clock, environmentID: environmentID, on: connection)
        return Answer(201) { $0.testClock(clock) }
    }

    /// Moves a test clock forward. The accounts on the clock are advanced by commands of their own, which the API
    /// sends.
    func advanceTestClock(
        _ id: Bits128, to instant: Instant, kind: EnvironmentKind?, now: Instant
    ) async throws -> Answer {
        guard kind == .test else { return refused(.testClockInLiveMode) }
        guard let clock = try await TestClockStore.find(id, environmentID: environmentID, on: connection) else {
            return refused(.unknownTestClock)
        }
        guard instant >= clock.now else {
            return refused(
                Problem(
                    .invalidRequest,
                    "to is \(instant), which is before the clock's instant (\(clock.now)). A clock only moves forward.",
                    errors: [Problem.FieldError(pointer: "/to", detail: "must not be before the clock's instant")]))
        }
        let moved = TestClock(id: id, now: instant, createdAt: clock.createdAt, updatedAt: now)
        try await TestClockStore.update(moved, environmentID: environmentID, on: connection)
        return Answer(200) { $0.testClock(moved) }
    }
}
