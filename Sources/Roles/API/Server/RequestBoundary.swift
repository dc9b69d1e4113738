import Answers
import CoreMetrics
import Hummingbird
import Logging
import Postgres
import Runtime

/// The outermost layer of every request: gives the request an id, turns every error into a problem, logs and measures.
struct RequestBoundary: RouterMiddleware {
    let logger: Logger
    private let log: SparseLog
    private let methods: AllowedMethods
    private let seconds: RouteHistograms
    private let failed: Counter

    /// - Parameter methods: The methods of each path. They may be added after the boundary, and before the first
    ///   request.
    init(
        methods: AllowedMethods, seconds: RouteHistograms, metrics: MetricsRegistry, log: SparseLog, logger: Logger
    ) {
        self.logger = logger
        self.log = log
        self.methods = methods
        self.seconds = seconds
        failed = metrics.counter("quotastack_api_errors_total", "Requests answered with a 5xx status.")
    }

    func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        var response: Response
        do {
            response = try await next(request, context)
        } catch let problem as Problem {
            response = .problem(problem, requestID: context.requestID)
        } catch is HTTPError {
            response = methods.answer(to: request, requestID: context.requestID)
        } catch let error as PostgresError {
            // A busy database and a tenant's full line are the regular work of the limits.
            log.write(
                error.condition == .busy ? .info : .error, "a request failed in the database", ": \(error)",
                metadata: Self.metadata(request, context))
            response = .problem(Problem(error), requestID: context.requestID)
        } catch {
            logger.error("a request failed: \(error)", metadata: Self.metadata(request, context))
            let problem = Problem(
                .internalError, "The request could not be served. Quote the request id to the operators.")
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
            log.write(
                .warning, "a request was answered \(response.status.code)",
                metadata: Self.metadata(request, context))
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
}
