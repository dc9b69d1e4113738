import Credits
import Testing

@testable import API

@Suite("Token bucket")
struct TokenBucketTests {
    /// Numbers of requests, at times in milliseconds from the start, and how many of them pass.
    typealias Step = (at: Int, requests: Int, pass: Int)

    @Test(
        "as many requests pass as the rate allows",
        arguments: [
            ("one second's worth at once, and no more", 5, [(0, 9, 5)]),
            ("a token comes back in its time and not before", 5, [(0, 5, 5), (199, 1, 0), (200, 1, 1), (201, 1, 0)]),
            ("unused tokens are not saved beyond a second", 5, [(0, 5, 5), (60_000, 9, 5)]),
            ("half a second brings half", 10, [(0, 10, 10), (500, 9, 5)]),
            ("one a second", 1, [(0, 3, 1), (999, 1, 0), (1_000, 2, 1), (2_500, 2, 1), (2_999, 1, 0), (3_000, 1, 0)]),
            ("refused requests cost nothing", 1, [(0, 1, 1), (500, 100, 0), (1_000, 1, 1)]),
            ("thirds add up", 3, [(0, 3, 3), (333, 1, 0), (334, 1, 1), (667, 1, 1), (1_000, 1, 1), (1_001, 1, 0)]),
            ("the largest rate", 1_000_000, [(0, 0, 0), (0, 1_000_001, 1_000_000), (1, 1_001, 1_000)]),
            ("a clock that stands still", 2, [(10, 2, 2), (10, 1, 0), (9, 1, 0), (0, 1, 0), (510, 1, 1)]),
        ] as [(String, Int64, [Step])])
    func table(name: String, rate: Int64, steps: [Step]) {
        let start = ContinuousClock.now
        var bucket = TokenBucket(rate: rate, at: start)
        for step in steps {
            let now = start + .milliseconds(step.at)
            let passed = (0..<step.requests).count { _ in bucket.take(rate: rate, at: now) }
            #expect(passed == step.pass, "\(name), at \(step.at) ms")
        }
    }

    @Test("a lower rate applies at once; a higher rate fills the bucket over time")
    func changedRate() {
        let start = ContinuousClock.now
        var bucket = TokenBucket(rate: 100, at: start)
        #expect((0..<9).count { _ in bucket.take(rate: 2, at: start) } == 2)
        #expect((0..<9).count { _ in bucket.take(rate: 100, at: start) } == 0)
        #expect((0..<99).count { _ in bucket.take(rate: 100, at: start + .milliseconds(500)) } == 50)
    }

    @Test("each environment has its own bucket")
    func environments() {
        let limiter = RateLimiter()
        let now = ContinuousClock.now
        for number: Int32 in 1...3 {
            #expect(limiter.admits(EnvironmentID(number), rate: 1, at: now))
            #expect(!limiter.admits(EnvironmentID(number), rate: 1, at: now))
        }
    }
}
