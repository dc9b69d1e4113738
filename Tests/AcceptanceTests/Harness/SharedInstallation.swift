import Testing
import Turns

/// All acceptance tests. They drive the real program over HTTP, with the real servers behind it.
@Suite(.sharedInstallation, .inTurns, .timeLimit(.minutes(10)))
enum Acceptance {
    /// Tests that start many processes run one at a time: all at once they would compete for the machine.
    @Suite(.serialized) enum Processes {}
}

extension Trait where Self == SharedInstallation {
    /// One installation for all tests that do not damage it. The first test starts it, and it is removed after the
    /// last.
    static var sharedInstallation: SharedInstallation { SharedInstallation() }
}

extension Trait where Self == TestTurns {
    /// At most eight tests at once: all of them together need longer than a request waits.
    static var inTurns: TestTurns { TestTurns() }
}

struct TestTurns: SuiteTrait, TestTrait, TestScoping {
    private static let turns = Turns(places: 8)

    var isRecursive: Bool { true }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await Self.turns.take(function)
    }
}

struct SharedInstallation: SuiteTrait, TestScoping {
    @TaskLocal private static var current: LazyInstallation?

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        let installation = LazyInstallation()
        let result: Result<Void, any Error>
        do {
            result = .success(try await Self.$current.withValue(installation) { try await function() })
        } catch {
            result = .failure(error)
        }
        try await installation.remove()
        try result.get()
    }

    /// The installation of the running test.
    static func get() async throws -> Installation {
        guard let current else { throw HarnessError("the test is not in the suite Acceptance") }
        return try await current.get()
    }
}

private actor LazyInstallation {
    private var starting: Task<Installation, any Error>?

    /// The longest wait for the outcome of a mutation keeps a busy machine from answering tests with 202.
    func get() async throws -> Installation {
        let task = starting ?? Task { try await Installation.start(settings: ["QUOTASTACK_COMMAND_WAIT_MS": "60000"]) }
        starting = task
        return try await task.value
    }

    func remove() async throws {
        guard let installation = try? await starting?.value else { return }
        let status = await installation.stopServer()
        let books = try await installation.run("verify")
        let log = installation.log
        try await installation.remove()
        if books.status != 0 { throw HarnessError("the books are not clean after all tests:\n\(books.output)") }
        if status != 0 {
            throw HarnessError("the server ended with status \(status ?? -1) after SIGTERM:\n\(log.suffix(4_000))")
        }
    }
}

/// Runs a test on its own installation, which the test may kill, and removes the installation afterwards.
///
/// - Parameter serves: False to start no `quotastack up`, because the test starts its own nodes.
func withInstallation(serves: Bool = true, _ body: (Installation) async throws -> Void) async throws {
    let installation = try await Installation.start(serves: serves)
    let result: Result<Void, any Error>
    do {
        result = .success(try await body(installation))
    } catch {
        result = .failure(error)
    }
    try await installation.remove()
    try result.get()
}
