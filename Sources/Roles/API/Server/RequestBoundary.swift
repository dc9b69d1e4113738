import Answers
import CoreMetrics
import Hummingbird
import Logging
import Postgres
import Runtime

/// The outermost layer of every request: gives the request an id, turns every error into a problem, logs and measures.
struct RequestBoundary: RouterMiddleware {
    let logger: Logger
    private let seconds: RouteHistograms
    private let failed: Counter

    init(metrics: MetricsRegistry, logger: Logger) {
        self.logger = logger
        seconds = RouteHistograms(metrics)
        failed = metrics.counter("quotastack_api_errors_total", "Requests answered with a 5xx status.")
    }

    func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        var context = context
        context.requestID = Self.requestID(request)
        var response: Response
        do {
            response = try await next(request, context)
        } catch let problem as Problem {
            response = .problem(problem, requestID: context.requestID)
        } catch let error as HTTPError {
            response = .problem(Self.problem(error), requestID: context.requestID)
        } catch {
            let isOutage = error is PostgresError
            logger.error("a request failed: \(error)", metadata: Self.metadata(request, context))
            let problem =
                isOutage
                ? Problem(.unavailable, "The database cannot be reached at the moment. Try again.")
                : Problem(.internalError, "The request could not be served. Quote the request id to the operators.")
            response = .problem(problem, requestID: context.requestID)
        }
        response.headers[.requestID] = context.requestID
        let duration = ContinuousClock.now - start
        seconds.observe(
            duration.seconds, method: request.method.rawValue, route: context.coreContext.endpointPath.value)
        // A 503 from `/readyz` is the regular answer of a node that is not ready, so it is neither counted nor logged
        // as a failure.
        if response.status.code >= 500, request.uri.path != "/readyz" {
            failed.increment()
            logger.warning(
                "a request was answered \(response.status.code)", metadata: Self.metadata(request, context))
        }
        logger.debug(
            "request",
            metadata: Self.metadata(request, context).merging([
                "status": "\(response.status.code)", "ms": "\(Int(duration.seconds * 1_000))",
            ]) { $1 })
        return response
    }

    /// The metadata of a log line: the request's route and never its path, which can contain an end user's id.
    private static func metadata(_ request: Request, _ context: APIContext) -> Logger.Metadata {
        [
            "request_id": "\(context.requestID)", "method": "\(request.method)",
            "route": "\(context.coreContext.endpointPath.value ?? "none")",
        ]
    }

    /// The client's request id when it has 1 to 64 visible ASCII characters, else a random one.
    private static func requestID(_ request: Request) -> String {
        if let sent = request.headers[.requestID], (1...64).contains(sent.utf8.count),
            sent.utf8.allSatisfy({ (33...126).contains($0) })
        {
            return sent
        }
        return "req_" + String(UInt64.random(in: 0...UInt64.max), radix: 36)
    }

    /// The problem for a request that the router or the server itself refuses.
    private static func problem(_ error: HTTPError) -> Problem {
        switch error.status.code {
        case 404, 405: Problem(.notFound, "There is no endpoint with this method and path.")
        case 413: Problem(.bodyTooLarge, "The body is larger than the server accepts.")
        default: Problem(.invalidRequest, "The request cannot be read.")
        }
    }
}
