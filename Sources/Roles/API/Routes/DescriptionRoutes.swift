import Docs
import Hummingbird
import JSON
import Synchronization

/// The description of the API in OpenAPI. It needs no key.
final class DescriptionRoutes: Sendable {
    private static let path = "/openapi.json"
    static let operations: [(path: String, operation: Operation)] = [
        (path, Operation("getOpenAPI", "Shows this description of the API.", answers: .file("application/json")))
    ]

    private let operations = Mutex<[(endpoint: Endpoint, operation: Operation)]>([])
    /// Begins with `prepare` or with the first request, and not at the start: nodes start often, and the document costs
    /// some hundred milliseconds. Requests wait for the task without holding a thread: the threads for long work serve
    /// all tenants.
    private let making = Mutex<Task<DocsFile, Never>?>(nil)

    func add(to router: Router<APIContext>) {
        router.get(RouterPath(Self.path)) { [self] request, _ in
            DocsRoutes.answer(request, await described())
        }
    }

    /// Learns the routes, which are complete after this one was added.
    func learn(_ described: [(endpoint: Endpoint, operation: Operation)]) {
        operations.withLock { $0 = described }
    }

    /// Makes the document, so that no request waits for it.
    func prepare() async { _ = await described() }

    private func described() async -> DocsFile {
        let task = making.withLock { known in
            let task =
                known
                ?? Task(executorPreference: LongWork.threads) { [operations = operations.withLock { $0 }] in
                    DocsFile(.json, OpenAPIDocument(operations).json.bytes)
                }
            known = task
            return task
        }
        return await task.value
    }
}
