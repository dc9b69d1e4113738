/// A condition that did not come true in time, in a sentence.
package struct WaitedInVain: Error, CustomStringConvertible {
    package let description: String
}

/// Asks again and again, 20 ms apart, until the condition holds.
///
/// - Parameter what: The condition as the end of the sentence "it is not so that …".
/// - Throws: `WaitedInVain` when it still does not hold after `seconds`.
package func waitUntil(
    _ what: String, within seconds: Int = 60, _ condition: () async throws -> Bool
) async throws {
    for _ in 0..<seconds * 50 {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(20))
    }
    throw WaitedInVain(description: "after \(seconds) s it is still not so that \(what)")
}
