import Glibc
import Runtime
import Testing

@Suite("Threads for long work")
struct LongWorkThreadsTests {
    @Test("tasks run there with a lower priority, and elsewhere with their own again")
    func priority() async {
        let threads = LongWorkThreads(threads: 2)
        let before = niceValue()
        let low = min(before + 10, 19)
        let values = await withTaskGroup(of: [Int32].self) { group in
            for _ in 0..<100 {
                group.addTask(executorPreference: threads) {
                    let first = niceValue()
                    await Task.yield()
                    let later = niceValue()
                    let onLoop = await withTaskExecutorPreference(EventLoopTasks.shared) { niceValue() }
                    return [first, later, onLoop]
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(values.count == 100 && values.allSatisfy { $0 == [low, low, before] }, "\(values.first ?? [])")
        #expect(niceValue() == before)
    }

    @Test("the time of a thread advances while it works, and not while it sleeps")
    func threadTime() {
        let start = ThreadTime.now
        while ThreadTime.now - start < .milliseconds(5) {}
        let clock = ContinuousClock.now
        let asleep = ThreadTime.now
        usleep(50_000)
        #expect(ContinuousClock.now - clock >= .milliseconds(50))
        #expect(ThreadTime.now - asleep < .milliseconds(25))
    }
}

/// The nice value of the calling thread.
private func niceValue() -> Int32 { getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0) }
