import NIOPosix

/// Threads for work that may take long: large bodies, and reads from the database with their answers. The event loops
/// stay free for what is answered from memory, and the operating system divides the cores between both.
///
/// Two cores that work on bodies of 180 KB made a neighbour's single use wait for seconds when both did it on the event
/// loops; Sources/decisions/0032-long-work-off-the-event-loops.md has the figures.
final class LongWork: TaskExecutor {
    static let threads = LongWork()

    /// The largest body that an event loop works on. It takes a fraction of a millisecond.
    static let smallBody = 16 << 10

    private init() {}

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        NIOThreadPool.singleton.submit { _ in job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
