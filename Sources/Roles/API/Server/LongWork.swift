import NIOPosix

/// Threads for work that may take long: large bodies, and reads from the database with their answers. The event loops
/// stay free for what is answered from memory, and the operating system divides the cores between both.
///
/// A neighbour's single use waited for seconds while two cores worked on bodies of 180 KB on the event loops; see
/// Sources/decisions/0032-long-work-off-the-event-loops.md.
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
