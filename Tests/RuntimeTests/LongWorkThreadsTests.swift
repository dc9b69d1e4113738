import Glibc
import Runtime
import Testing

@Suite("Threads for long work")
struct LongWorkThreadsTests {
    @Test("a task runs there with a lower priority, and elsewhere with its own again")
    func priority() async {
        let threads = LongWorkThreads()
        let before = niceValue()
        let there = await withTaskExecutorPreference(threads) { niceValue() }
        #expect(there == min(before + 10, 19))
        #expect(niceValue() == before)
    }

    @Test("every task of many gets its turn")
    func manyTasks() async {
        let threads = LongWorkThreads()
        let numbers = await withTaskGroup(of: Int.self) { group in
            for number in 0..<1_000 {
                group.addTask(executorPreference: threads) {
                    await Task.yield()
                    return number
                }
            }
            return await group.reduce(into: Set()) { $0.insert($1) }
        }
        #expect(numbers.count == 1_000)
    }

    /// The nice value of the calling thread.
    private func niceValue() -> Int32 { getpriority(PRIO_PROCESS, 0) }
}
