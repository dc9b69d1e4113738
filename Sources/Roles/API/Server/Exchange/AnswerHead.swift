import Answers
import HTTPTypes
import Hummingbird
import NIOCore
import NIOHTTP1

/// The status line and the headers of an answer.
struct AnswerHead: Sendable {
    /// How the client finds the end of the body.
    enum Framing: Hashable {
        /// By `Content-Length` among the fields, or because the status has no body.
        case length
        case chunks
        /// By the end of the connection: the body of an unknown length for a client of HTTP/1.0.
        case close
    }

    /// The fate of the connection, as the client is told.
    enum Connection: Hashable {
        case persists
        /// It persists for a client of HTTP/1.0, which expects to be told.
        case persistsForHTTP10
        case closes
    }

    let status: HTTPResponse.Status
    private(set) var fields: HTTPFields

    init(status: HTTPResponse.Status, fields: HTTPFields) {
        self.status = status
        self.fields = fields
    }

    /// The head of an answer whose body turned out to be empty.
    var withoutBody: AnswerHead {
        var copy = self
        copy.fields[.contentLength] = "0"
        return copy
    }

    /// Appends the head, with its blank line.
    func write(into buffer: inout ByteBuffer, _ framing: Framing, _ connection: Connection) {
        buffer.writeStaticString("HTTP/1.1 ")
        buffer.writeString(String(status.code))
        buffer.writeStaticString(" ")
        buffer.writeString(HTTPResponseStatus(statusCode: status.code).reasonPhrase)
        for field in fields where field.name != .contentLength || status.mayHaveBody {
            buffer.writeStaticString("\r\n")
            buffer.writeString(field.name.rawName)
            buffer.writeStaticString(": ")
            buffer.writeString(field.value)
        }
        buffer.writeStaticString("\r\nDate: ")
        buffer.writeString(HTTPDate.now)
        switch framing {
        case .chunks: buffer.writeStaticString("\r\nTransfer-Encoding: chunked")
        case .length, .close: break
        }
        switch connection {
        case .persists: break
        case .persistsForHTTP10: buffer.writeStaticString("\r\nConnection: keep-alive")
        case .closes: buffer.writeStaticString("\r\nConnection: close")
        }
        buffer.writeStaticString("\r\n\r\n")
    }
}

extension AnswerHead {
    /// The answer that says a problem, with its body, when no route answers.
    static func problem(_ problem: Problem, requestID: String) -> (AnswerHead, ByteBuffer) {
        let body = problem.json(requestID: requestID)
        var fields = Response.problem(problem, requestID: requestID).headers
        fields[.requestID] = requestID
        fields[.contentLength] = String(body.count)
        return (
            AnswerHead(status: HTTPResponse.Status(code: Int(problem.code.status)), fields: fields),
            ByteBuffer(bytes: body)
        )
    }
}

extension HTTPResponse.Status {
    /// RFC 9110, section 6.4.1: an answer of another status has no body and no length.
    var mayHaveBody: Bool { code >= 200 && code != 204 && code != 304 }
}
