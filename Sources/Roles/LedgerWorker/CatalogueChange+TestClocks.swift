import Credits
import Answers
import Storage

extension CatalogueChange {
    func createTestClock(_ instant: Instant, kind: EnvironmentKind?, now: Instant) async throws -> Answer {
        guard kind == .test else { return refused(.testClockInLiveMode) }
        let clock = TestClockRecord(id: newID(at: now, 0), now: instant, createdAt: now, updatedAt: now)
        try await TestClockStore.insert(clock, environmentID: environmentID, on: connection)
        return answer(201) { $0.testClock(clock) }
    }

    /// Moves a clock; the accounts on it follow with commands of their own.
    func advanceTestClock(
        _ id: Bits128, to instant: Instant, kind: EnvironmentKind?, now: Instant
    ) async throws -> Answer {
        guard kind == .test else { return refused(.testClockInLiveMode) }
        guard let clock = try await TestClockStore.find(id, environmentID: environmentID, on: connection) else {
            return refused(Problem(.notFound, "There is no test clock with that id in this environment."))
        }
        guard instant >= clock.now else {
            return refused(
                Problem(
                    .invalidRequest,
                    "to is \(instant), before what the clock shows (\(clock.now)). Time goes forward only.",
                    errors: [Problem.FieldError(pointer: "/to", detail: "must not be before what the clock shows")]))
        }
        let moved = try await TestClockStore.set(
            id, to: instant, environmentID: environmentID, now: now, on: connection)
        return answer(200) { $0.testClock(moved) }
    }
}
