import Hummingbird
import JSON
import NIOCore
import Answers

/// The maximum sizes of request bodies, in bytes.
enum BodyLimit {
    static let single = 1 << 20
    static let batch = 8 << 20
}

extension Request {
    /// Reads the whole body. A byte order mark at its beginning is skipped: some programs write one before JSON and
    /// before NDJSON.
    ///
    /// - Throws: `Problem` when it is larger than the limit.
    func bytes(upTo limit: Int) async throws -> ByteBuffer {
        if let length = headers[.contentLength].flatMap(Int.init), length > limit { throw Self.tooLarge(limit) }
        do {
            var buffer = try await body.collect(upTo: limit)
            if buffer.readableBytesView.starts(with: [0xEF, 0xBB, 0xBF]) { buffer.moveReaderIndex(forwardBy: 3) }
            return buffer
        } catch is NIOTooManyBytesError {
            throw Self.tooLarge(limit)
        }
    }

    /// Reads the body as JSON. An empty body is an empty object.
    func json(upTo limit: Int = BodyLimit.single) async throws -> JSONValue {
        try requireMediaType(["application/json"])
        let buffer = try await bytes(upTo: limit)
        guard buffer.readableBytes > 0 else { return .object([:]) }
        return try Self.parse(buffer)
    }

    static func parse(_ buffer: ByteBuffer) throws(Problem) -> JSONValue {
        do throws(JSONError) {
            return try JSONParser.parse(buffer.readableBytesView)
        } catch {
            throw Problem(JSONProblems(error))
        }
    }

    /// Throws when the body has another content type. A body without a content type is read as JSON.
    func requireMediaType(_ allowed: [String]) throws(Problem) {
        guard let mediaType, !allowed.contains(mediaType) else { return }
        throw Problem(
            .unsupportedMediaType, "The body is \(mediaType). Send Content-Type: \(allowed.joined(separator: " or ")).")
    }

    /// The content type without its parameters, in lower case.
    var mediaType: String? {
        headers[.contentType].map { value in
            let end = value.firstIndex(of: ";") ?? value.endIndex
            return value[..<end].lowercased().filter { $0 != " " && $0 != "\t" }
        }
    }

    private static func tooLarge(_ limit: Int) -> Problem {
        Problem(.bodyTooLarge, "The body is larger than \(limit) bytes. Split it.")
    }
}

/// Reads a body with a reader, and turns the errors that the reader reports into a problem.
func read<Output>(
    _ value: JSONValue, pointer: String = "", _ body: (inout JSONReader) -> Output?
) throws(Problem) -> Output {
    do throws(JSONProblems) {
        return try JSONReader.read(value, pointer: pointer, body)
    } catch {
        throw Problem(error)
    }
}
