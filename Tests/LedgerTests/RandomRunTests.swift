import Glibc
import Testing

@Suite("The core and the model agree on whatever happens")
struct RandomRunTests {
    private static let stepsPerRun = 250

    /// `QUOTASTACK_TEST_COMMANDS` is how many steps are played in all, `QUOTASTACK_TEST_SEED` names a single run.
    private static let seeds: [UInt64] = {
        if let seed = number("QUOTASTACK_TEST_SEED") { return [seed] }
        let first = number("QUOTASTACK_TEST_FIRST_SEED") ?? 1
        let runs = (number("QUOTASTACK_TEST_COMMANDS") ?? 60_000) / UInt64(stepsPerRun)
        return Array(first..<first + max(1, runs))
    }()

    private static func number(_ name: String) -> UInt64? {
        getenv(name).flatMap { UInt64(String(cString: $0)) }
    }

    /// Seeds in parts, so that a million commands are not thousands of test cases.
    private static let parts: [[UInt64]] = {
        let size = max(1, seeds.count / 24)
        return stride(from: 0, to: seeds.count, by: size).map { Array(seeds[$0..<min($0 + size, seeds.count)]) }
    }()

    @Test("Random commands have the same outcomes, entries, blocks, reservations and answers in both", arguments: parts)
    func randomRuns(seeds: [UInt64]) throws {
        for seed in seeds {
            var run = try RandomRun(seed: seed)
            for number in 1...Self.stepsPerRun {
                var problems = try run.step()
                if number == Self.stepsPerRun { problems += try run.finish() }
                guard !problems.isEmpty else { continue }
                Issue.record(
                    """
                    \(problems.joined(separator: "\n"))
                    at step \(number) of QUOTASTACK_TEST_SEED=\(seed). Like this script, which is shorter:
                    \(run.shrunk())
                    """)
                return
            }
        }
    }
}
