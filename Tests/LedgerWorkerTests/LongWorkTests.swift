import Credits
import Foundation
import Glibc
import Postgres
import Runtime
import TestDatabases
import Testing

@testable import LedgerWorker

@Suite("Long work of the worker")
struct LongWorkTests {
    @Test("a connection that long work opens has the priority of all others")
    func connections() async throws {
        try await withDatabase { _, configuration in
            let usual = getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0)
            let opened = try await withTaskExecutorPreference(LongWorkThreads(threads: 1)) {
                try await PostgresConnection.connect(configuration)
            }
            let threads = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").filter {
                (try? String(contentsOfFile: "/proc/self/task/\($0)/comm", encoding: .utf8))?.hasPrefix("postgres")
                    == true
            }
            let values = threads.compactMap { id_t($0) }.map {
                getpriority(__priority_which_t(PRIO_PROCESS.rawValue), $0)
            }
            #expect(!values.isEmpty && values.allSatisfy { $0 == usual }, "\(values)")
            opened.close()
            await opened.closes()
        }
    }

    @Test("a shared transaction that ends early makes nobody slow, and one command that takes long does")
    func slow() {
        var shared = BatchPace()
        shared.add(EnvironmentID(1), commands: 1, time: .milliseconds(5))
        shared.add(EnvironmentID(2), commands: 1, time: .milliseconds(4))
        shared.isPartial = true
        #expect(shared.allowances(after: nil, allowed: 100).isEmpty)
        shared.add(EnvironmentID(1), commands: 1, time: .milliseconds(25))
        #expect(shared.allowances(after: nil, allowed: 100).keys.map(\.self) == [EnvironmentID(1)])
    }
}
