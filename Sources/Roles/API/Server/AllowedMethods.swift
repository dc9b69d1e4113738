import Answers
import HTTPTypes
import Hummingbird
import Synchronization

/// The methods of each path, for requests that no route takes.
final class AllowedMethods: Sendable {
    private struct Path {
        /// The parts of the path; nil for a parameter.
        let parts: [Substring?]
        let methods: [HTTPRequest.Method]

        init(_ path: String, _ methods: Set<HTTPRequest.Method>) {
            parts = path.split(separator: "/").map { $0.hasPrefix("{") ? nil : $0 }
            let answered = methods.union(methods.contains(.get) ? [.head, .options] : [.options])
            self.methods = AllowedMethods.order.filter(answered.contains)
        }

        var parameterCount: Int { parts.count { $0 == nil } }

        func fits(_ path: [Substring]) -> Bool {
            parts.count == path.count && zip(parts, path).allSatisfy { $0 == nil || $0 == $1 }
        }
    }

    /// The order of methods in `Allow`.
    private static let order: [HTTPRequest.Method] = [.get, .head, .post, .put, .patch, .delete, .options]

    private let paths = Mutex<[Path]>([])

    /// Learns the routes. They are added to the router after the middleware that needs this.
    func learn(_ routes: [(method: HTTPRequest.Method, path: String)]) {
        let learned = Dictionary(grouping: routes, by: \.path).map { Path($0, Set($1.map(\.method))) }
        paths.withLock { $0 = learned }
    }

    /// The answer to a request that no route takes: 204 to OPTIONS and 405 to another method of a known path, both with
    /// `Allow`, and 404 to an unknown path. Cost: it grows with the number of routes.
    func answer(to request: Request, requestID: String) -> Response {
        guard let methods = methods(of: request.uri.path) else {
            return .problem(Problem(.notFound, "There is no endpoint with this path."), requestID: requestID)
        }
        let allowed = methods.map(\.rawValue).joined(separator: ", ")
        var response =
            request.method == .options
            ? Response(status: .noContent)
            : .problem(
                Problem(.methodNotAllowed, "This endpoint has no \(request.method.rawValue), only \(allowed)."),
                requestID: requestID)
        response.headers[.allow] = allowed
        return response
    }

    /// The methods of the path that fits best: a literal part is better than a parameter. The asterisk, which asks about
    /// the server, has all methods.
    private func methods(of path: String) -> [HTTPRequest.Method]? {
        if path == "*" { return Self.order }
        let parts = path.split(separator: "/")
        let fitting = paths.withLock { $0 }.filter { $0.fits(parts) }
        return fitting.min { $0.parameterCount < $1.parameterCount }?.methods
    }
}
