/// Something that went wrong in the harness, in a sentence.
struct HarnessError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// Asks again and again, 20 ms apart, until the condition holds: the one place of these tests that waits for time to
/// pass.
///
/// - Throws: When it still does not hold after `seconds`.
func waitUntil(_ what: String, within seconds: Int = 60, _ condition: () async throws -> Bool) async throws {
    for _ in 0..<seconds * 50 {
        if try await condition() { return }
        try await ContinuousClock().sleep(for: .milliseconds(20))
    }
    throw HarnessError("after \(seconds) s it is still not so that \(what)")
}
