/// A condition that did not become true in time.
package struct WaitedInVain: Error, CustomStringConvertible {
    package let description: String
}

/// Checks a condition every 20 ms until it holds.
///
/// - Parameter what: The condition as a clause, such as "the node is ready", for the text of the error.
/// - Throws: `WaitedInVain` when the condition does not hold after `seconds`.
package func waitUntil(
    _ what: String, within seconds: Int = 60, _ condition: () async throws -> Bool
) async throws {
    for _ in 0..<seconds * 50 {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(20))
    }
    throw WaitedInVain(description: "after \(seconds) s this condition did not hold: \(what)")
}
