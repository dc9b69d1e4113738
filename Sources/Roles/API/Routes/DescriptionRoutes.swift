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
    /// Made by the first request, because nodes start often and it costs some hundred milliseconds.
    private let file = Mutex<DocsFile?>(nil)

    func add(to router: Router<APIContext>) {
        router.get(RouterPath(Self.path)) { [self] request, _ in
            await withTaskExecutorPreference(LongWork.threads) { DocsRoutes.answer(request, described()) }
        }
    }

    /// Learns the routes, which are complete after this one was added.
    func learn(_ described: [(endpoint: Endpoint, operation: Operation)]) {
        operations.withLock { $0 = described }
    }

    private func described() -> DocsFile {
        file.withLock { known in
            let file = known ?? DocsFile(.json, OpenAPIDocument(operations.withLock { $0 }).json.bytes)
            known = file
            return file
        }
    }
}
