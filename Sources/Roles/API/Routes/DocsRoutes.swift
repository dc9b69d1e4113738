import Docs
import Hummingbird
import NIOCore

/// The documentation, and the way to it from `/`. It needs no key and ignores a query.
struct DocsRoutes: Sendable {
    /// Two levels of pages below `/docs`. A route for each page would make a metric for each page.
    private static let paths: [RouterPath] = [
        "/docs", "/docs.md", "/docs/{page}", "/docs/{page}/{subpage}", "/llms.txt", "/llms-full.txt",
    ]

    static let operations: [(path: String, operation: Operation)] = [
        ("/", Operation("openDocs", "Leads to the documentation.", answers: [(302, .none)])),
        ("/docs", Operation("getDocs", "Shows the documentation.", answers: .file("text/html"))),
        ("/docs.md", Operation("getDocsTwin", "Shows it as Markdown.", answers: .file("text/markdown"))),
        ("/docs/{page}", Operation("getDocsPage", "Shows a page of the documentation.", answers: pages)),
        (
            "/docs/{page}/{subpage}",
            Operation("getDocsSubpage", "Shows a page of the documentation.", answers: pages)
        ),
        ("/llms.txt", Operation("getLLMs", "Lists the pages for programs.", answers: .file("text/markdown"))),
        ("/llms-full.txt", Operation("getLLMsFull", "Shows all pages in one file.", answers: .file("text/markdown"))),
    ]

    /// A page that is not there is a page too.
    private static let pages: [(Int, Operation.Content)] =
        .file("*/*") + [(404, .other(mediaType: "text/html"))]

    func add(to router: Router<APIContext>) {
        router.get("/") { _, _ in
            Response(status: .found, headers: [.location: "/docs", .cacheControl: "no-cache"])
        }
        for path in Self.paths {
            router.get(path) { request, _ in
                // The first request renders the pages.
                await withTaskExecutorPreference(LongWork.threads) { Self.answer(request) }
            }
        }
    }

    private static func answer(_ request: Request) -> Response {
        let path = request.uri.path
        let site = DocsSite.current
        let file = site.files[path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path]
        guard let file else { return response(site.missing, status: .notFound) }
        return answer(request, file)
    }

    /// The answer with a file, which is not sent to a client that has it.
    static func answer(_ request: Request, _ file: DocsFile) -> Response {
        let known = request.headers[.ifNoneMatch] ?? ""
        guard known != "*", !known.contains(file.tag) else {
            var response = response(file, status: .notModified)
            response.body = .init()
            return response
        }
        return response(file, status: .ok)
    }

    private static func response(_ file: DocsFile, status: HTTPResponse.Status) -> Response {
        Response(
            status: status,
            headers: [
                .contentType: file.kind.contentType, .eTag: file.tag,
                .cacheControl: file.isImmutable ? "public, max-age=31536000, immutable" : "no-cache",
                .contentSecurityPolicy: file.kind.contentSecurityPolicy, .xContentTypeOptions: "nosniff",
                .referrerPolicy: "no-referrer",
            ], body: .init(byteBuffer: ByteBuffer(bytes: file.bytes)))
    }
}
