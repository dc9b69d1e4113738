import Logging
import Runtime
import Testing

@Suite("Retries") struct RetryTests {
    private struct Away: Error {}

    /// The pauses before the first attempts of work that always fails.
    private func pauses(_ count: Int, isSpread: Bool) async -> [Duration] {
        let retry = Retry(
            pause: .milliseconds(100), longestPause: .milliseconds(500), isSpread: isSpread,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, failure: "away")
        var pauses: [Duration] = []
        await #expect(throws: Away.self) {
            try await retry.untilSuccess { pause in
                pauses.append(pause)
                return pauses.count < count
            } _: {
                throw Away()
            }
        }
        return pauses
    }

    @Test("Pauses double up to the longest one")
    func doubling() async {
        #expect(await pauses(5, isSpread: false) == [100, 200, 400, 500, 500].map { .milliseconds($0) })
    }

    @Test("Spread pauses are shortened by up to a half, and differ")
    func spread() async {
        let spread = await pauses(200, isSpread: true)
        let longest: [Duration] = [.milliseconds(100), .milliseconds(200), .milliseconds(400)]
        for (pause, most) in zip(spread, longest + Array(repeating: .milliseconds(500), count: 197)) {
            #expect(pause >= most / 2 && pause <= most)
        }
        #expect(Set(spread).count > 100)
    }
}
