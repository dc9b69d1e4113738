import Answers
import CoreMetrics
import Hummingbird
import Logging
import Postgres
import Runtime

/// The outermost layer of every request: gives it an id, turns every error into a problem, logs and measures.
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
        // A node that is not ready yet says so in its answer; that is no failure to look into.
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

    /// What a log line says of a request: its route and never its path, which names a tenant's end users.
    private static func metadata(_ request: Request, _ context: APIContext) -> Logger.Metadata {
        [
            "request_id": "\(context.requestID)", "method": "\(request.method)",
            "route": "\(context.coreContext.endpointPath.value ?? "none")",
        ]
    }

    /// The client's id where it is usable (1 to 64 visible ASCII characters), else one of our own.
    private static func requestID(_ request: Request) -> String {
        if let sent = request.headers[.requestID], (1...64).contains(sent.utf8.count),
            sent.utf8.allSatisfy({ (33...126).contains($0) })
        {
            return sent
        }
        return "req_" + String(UInt64.random(in: 0...UInt64.max), radix: 36)
    }

    /// What the router and the server itself refuse.
    private static func problem(_ error: HTTPError) -> Problem {
        switch error.status.code {
        case 404, 405: Problem(.notFound, "There is nothing at this path for this method.")
        case 413: Problem(.bodyTooLarge, "The body is larger than the server takes.")
        default: Problem(.invalidRequest, "The request cannot be read.")
        }
    }
}
