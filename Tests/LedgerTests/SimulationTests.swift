import Glibc
import Testing

@Suite("Queue, crashes and lag change nothing in the books")
struct SimulationTests {
    @Test("Every command has one effect, the books are those of a run without faults, and checks agree with debits")
    func simulation() throws {
        var counts: [String: Int] = [:]
        let commands = getenv("QUOTASTACK_TEST_COMMANDS").flatMap { UInt64(String(cString: $0)) } ?? 60_000
        for seed in 1...max(6, commands / 10_000) {
            var simulation = try Simulation(seed: seed, commandsPerEndUser: 40)
            try simulation.run()
            #expect(simulation.problems.isEmpty, "seed \(seed): \(simulation.problems.joined(separator: "\n"))")
            counts.merge(simulation.counts, uniquingKeysWith: +)
        }
        let happened = [
            "retries", "duplicates", "replays", "advances", "crashes before the commit", "crashes behind the commit",
            "lost answers", "checks", "subscription.activated", "subscription.renewed", "subscription.paused",
        ]
        for name in happened { #expect(counts[name] ?? 0 > 10, "\(name): \(counts)") }
        let ends = [
            "subscription.past_due", "subscription.resumed", "subscription.expired", "subscription.fallback_started",
        ]
        for name in ends { #expect(counts[name] ?? 0 > 0, "\(name): \(counts)") }
    }

    @Test("Every deliberate defect is found", arguments: Simulation.Defect.allCases)
    func defects(defect: Simulation.Defect) throws {
        let found = try (1...UInt64(5)).contains { seed in
            var simulation = try Simulation(seed: seed, commandsPerEndUser: 40, defect: defect)
            try simulation.run()
            return !simulation.problems.isEmpty
        }
        #expect(found)
    }
}
