import CProcess
import NIOCore
import NIOPosix

/// Threads for tasks that may take long, beside the event loops.
///
/// The threads have a lower priority than all others of the process. While every core is wanted, a thread of theirs gets
/// about a tenth as much time as another one. The operating system compares threads of one control group only, and where
/// `kernel.sched_autogroup_enabled` is set, of one session.
///
/// A task runs on these threads by `withTaskExecutorPreference`, on one of them from one `await` to the next. Tasks that are
/// ready take turns. A thread that such a task begins inherits the low priority, so nothing that lasts may be begun here.
package final class LongWorkThreads: TaskExecutor {
    private let pool: NIOThreadPool

    /// Starts the threads, one for each core if no number is given. They live as long as the process.
    package init(threads: Int = System.coreCount) {
        // The event loops exist before, so that they do not inherit the low priority.
        _ = MultiThreadedEventLoopGroup.singleton
        pool = NIOThreadPool(numberOfThreads: threads)
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

/// The event loops of the process as an executor, for a task that leaves `LongWorkThreads` before its end.
package final class EventLoopTasks: TaskExecutor {
    package static let shared = EventLoopTasks()

    private init() {}

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        MultiThreadedEventLoopGroup.singleton.any().execute {
            job.runSynchronously(on: self.asUnownedTaskExecutor())
        }
    }
}
