import Answers
import Hummingbird
import NIOCore

extension Response {
    /// A JSON answer.
    static func json(_ body: [UInt8], status: Int = 200, isProblem: Bool = false) -> Response {
        var headers = HTTPFields()
        headers[.contentType] = isProblem ? "application/problem+json" : "application/json"
        return Response(
            status: .init(code: status), headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: body)))
    }

    static func problem(_ problem: Problem, requestID: String) -> Response {
        var response = Response.json(
            problem.json(requestID: requestID), status: Int(problem.code.status), isProblem: true)
        // A rate limit allows the next request within a second.
        if [429, 503].contains(problem.code.status) { response.headers[.retryAfter] = "1" }
        if problem.code.status == 401 { response.headers[.wwwAuthenticate] = "Bearer" }
        return response
    }
}
