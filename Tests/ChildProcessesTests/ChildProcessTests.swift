import ChildProcesses
import Glibc
import Testing

@Suite("Child processes")
struct ChildProcessTests {
    @Test("a command gives its output, and its status where that is not 0")
    func output() async throws {
        #expect(try await ChildProcess.output(of: ["sh", "-c", "echo one; echo two >&2"]) == "one\ntwo\n")
        let error = await #expect(throws: CommandFailure.self) {
            try await ChildProcess.output(of: ["sh", "-c", "echo broken; exit 3"])
        }
        #expect(error?.description == "sh failed with status 3: broken\n")
        await #expect(throws: CommandFailure.self) { try await ChildProcess.output(of: ["/nonexistent/program"]) }
    }

    @Test("a running process can be read and ended by a signal")
    func signal() async throws {
        try await withTemporaryDirectory { directory in
            let process = try await ChildProcess.start(
                ["sh", "-c", "echo started; exec cat < /dev/zero > /dev/null"],
                environment: ChildProcess.inheritedEnvironment, logPath: "\(directory)/log")
            try await waitUntil("the process has started") { process.log == "started\n" }
            #expect(!process.hasEnded)
            process.signal(SIGTERM)
            #expect(await process.ended() == 128 + 15)
            process.signal(SIGTERM)
            #expect(await process.ended() == 128 + 15)
        }
    }

    @Test("a condition that never holds ends the wait")
    func waitedInVain() async {
        let error = await #expect(throws: WaitedInVain.self) {
            try await waitUntil("pigs fly", within: 1) { false }
        }
        #expect(error?.description == "after 1 s this condition did not hold: pigs fly")
    }
}
