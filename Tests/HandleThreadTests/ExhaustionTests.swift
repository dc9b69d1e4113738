import Glibc
import HandleThread
import Testing

@Suite("A system without free descriptors or threads")
struct ExhaustionTests {
    private final class Owner: HandleOwner {
        let descriptor: Int32? = nil
        let wantsToWrite = false
        let wakeAt: UInt64? = nil

        func receive(_ command: Int) {}
        func turn(readable: Bool, writable: Bool) {}
        func stop() {}
    }

    @Test("no free descriptor is an error, and the process goes on")
    func descriptors() async {
        await #expect(processExitsWith: .exitCode(42)) {
            var limit = rlimit(rlim_cur: 64, rlim_max: 64)
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            var threads: [HandleThread<Owner>] = []
            do throws(HandleThreadError) {
                // Another thread of the process may close a descriptor that this one has not taken yet.
                for _ in 0..<64 {
                    while dup(0) >= 0 {}
                    threads.append(try HandleThread(name: "test") { Owner() })
                }
            } catch {
                guard case .noDescriptor(EMFILE) = error else { exit(1) }
                exit(42)
            }
        }
    }

    @Test("no free thread is an error, and the process goes on")
    func threads() async {
        await #expect(processExitsWith: .exitCode(42)) {
            // The stack of a new thread needs address space.
            var limit = rlimit(rlim_cur: 1 << 20, rlim_max: 1 << 20)
            setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
            var threads: [HandleThread<Owner>] = []
            do throws(HandleThreadError) {
                // The first ones may get the stacks of threads that have ended.
                for _ in 0..<32 { threads.append(try HandleThread(name: "test") { Owner() }) }
            } catch {
                guard case .noThread(EAGAIN) = error else { exit(1) }
                exit(42)
            }
        }
    }
}
