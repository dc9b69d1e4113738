import Answers
import Failpoints
import Hummingbird
import JSON
import Metering
import NIOCore

/// The maximum size of a request body, once it is inflated.
///
/// The parsed values of a body take up to 80 bytes each, many times the bytes of a body that consists of small ones. A
/// thread turns them into what a command needs before it takes up other work, so a node holds the values of one body
/// per thread: 32 MiB each.
struct BodyLimit {
    let bytes: Int
    /// The number of JSON values. An event of a batch of 10,000 can have 40.
    let values: Int

    static let single = BodyLimit(bytes: 1 << 20, values: 100_000)
    static let rule = BodyLimit(bytes: PriceLimit.bytes, values: 100_000)
    static let batch = BodyLimit(bytes: 8 << 20, values: 400_000)
}

extension Request {
    /// Reads the whole body. A byte order mark at its beginning is skipped: some programs write one before JSON and
    /// before NDJSON.
    ///
    /// - Parameter mediaTypes: The content types that a body may have. An empty body may have any: clients name one for
    ///   a form that has no fields.
    /// - Throws: `Problem` when the body is larger than the limit or of another type. When its head already says so, the
    ///   body is not kept.
    func bytes(upTo limit: BodyLimit, _ mediaTypes: [String]) async throws -> ByteBuffer {
        let length = headers[.contentLength].flatMap(Int.init) ?? 0
        if length > limit.bytes {
            // Many clients miss a refusal that comes while they still send. A body that is not much too large is
            // therefore read and dropped before.
            let isSent = headers[.expect] == nil && headers[.contentEncoding] == nil
            if isSent, length <= 2 * BodyLimit.batch.bytes { for try await _ in body {} }
            throw Self.tooLarge(limit)
        }
        if length > 0 { try requireMediaType(mediaTypes) }
        do {
            var buffer = try await body.collect(upTo: limit.bytes)
            if buffer.readableBytes > 0 { try requireMediaType(mediaTypes) }
            if buffer.readableBytesView.starts(with: [0xEF, 0xBB, 0xBF]) { buffer.moveReaderIndex(forwardBy: 3) }
            return buffer
        } catch is NIOTooManyBytesError {
            throw Self.tooLarge(limit)
        }
    }

    /// Reads the body as JSON. An empty body is an empty object.
    func json(upTo limit: BodyLimit = .single) async throws -> JSONValue {
        let buffer = try await bytes(upTo: limit, ["application/json"])
        guard buffer.readableBytes > 0 else { return .object([:]) }
        return try Self.parse(buffer, limit)
    }

    static func parse(_ buffer: ByteBuffer, _ limit: BodyLimit) throws(Problem) -> JSONValue {
        do throws(JSONError) {
            return try JSONParser.parse(
                buffer.readableBytesView, maximumValues: KnownBug.noValueLimit.isActive ? .max : limit.values)
        } catch {
            throw Problem(JSONProblems(error))
        }
    }

    /// The content type without its parameters, in lower case.
    var mediaType: String? {
        headers[.contentType]?.split(separator: ";", omittingEmptySubsequences: false).first?.trimmingBlanks
            .lowercased()
    }

    /// Throws when the body has another content type, or another charset than UTF-8. A body without a content type is
    /// read as JSON.
    private func requireMediaType(_ allowed: [String]) throws(Problem) {
        guard let mediaType else { return }
        guard allowed.contains(mediaType) else {
            throw Problem(
                .unsupportedMediaType,
                "The body is \(mediaType). Send Content-Type: \(allowed.joined(separator: " or ")).")
        }
        guard let charset, !["utf-8", "utf8", "us-ascii"].contains(charset) else { return }
        throw Problem(.unsupportedMediaType, "The body is in the charset \(charset). Send it in UTF-8.")
    }

    /// The parameter `charset` of the content type, in lower case and without quotes.
    private var charset: String? {
        for parameter in (headers[.contentType] ?? "").split(separator: ";").dropFirst() {
            let parts = parameter.split(separator: "=", maxSplits: 1).map(\.trimmingBlanks)
            if parts.count == 2, parts[0].lowercased() == "charset" {
                return parts[1].lowercased().filter { $0 != "\"" }
            }
        }
        return nil
    }

    private static func tooLarge(_ limit: BodyLimit) -> Problem {
        Problem(.bodyTooLarge, "The body is larger than \(limit.bytes) bytes. Split it.")
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
