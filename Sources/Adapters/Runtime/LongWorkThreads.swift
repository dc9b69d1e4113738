import CProcess
import NIOCore
import NIOPosix

/// Threads for tasks that may take long, beside the event loops.
///
/// The threads have a lower priority than all others: the operating system lets short requests, and the servers on the same
/// machine, run first. When these want every core, the threads still get about a tenth of them. A task runs on them by
/// `withTaskExecutorPreference`, until its next `await` at a time; tasks take turns in the order in which they become ready.
package final class LongWorkThreads: TaskExecutor {
    private let pool = NIOThreadPool(numberOfThreads: System.coreCount)

    /// Starts one thread for each core. The threads live as long as the process.
    package init() {
        pool.start()
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        pool.submit { _ in
            quotastack_let_others_run_first()
            job.runSynchronously(on: self.asUnownedTaskExecutor())
        }
    }
}
