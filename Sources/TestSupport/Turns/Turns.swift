/// A number of places that are taken in the order in which they are asked for.
///
/// Tests that all run at once wait for the machine with the deadlines of their requests running. With few places most
/// of them wait before they begin.
package actor Turns {
    private var free: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    /// - Parameter places: The number of tests that may run at once.
    package init(places: Int) { free = places }

    /// Waits for a place, runs the body, and gives the place back.
    package nonisolated func take<Value, Failure>(
        _ body: () async throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        await wait()
        let result: Result<Value, Failure>
        do throws(Failure) {
            result = .success(try await body())
        } catch {
            result = .failure(error)
        }
        await giveBack()
        return try result.get()
    }

    private func wait() async {
        if free > 0 {
            free -= 1
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
    }

    private func giveBack() {
        if waiting.isEmpty {
            free += 1
        } else {
            waiting.removeFirst().resume()
        }
    }
}
