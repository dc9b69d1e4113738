import Catalogue
package import Commands
package import Credits
import Ledger

/// One message of a command queue: the requests of an environment that were waiting for the queue, each in a frame of
/// its own.
///
/// An unreadable request therefore does not affect its neighbours. A request of a newer release is recognised by the
/// revision in its frame, before anything else of it is read.
package struct CommandMessage: Hashable, Sendable {
    /// The time of sending, by the sender's clock.
    package let sentAt: Instant
    package let environmentID: EnvironmentID
    package let requests: [EncodedRequest]

    package init(sentAt: Instant, environmentID: EnvironmentID, requests: [EncodedRequest]) {
        self.sentAt = sentAt
        self.environmentID = environmentID
        self.requests = requests
    }

    package func encoded() -> [UInt8] {
        var writer = FieldWriter(capacity: 32 + requests.reduce(0) { $0 + $1.size })
        writer.write(1, sentAt)
        writer.write(2, Int64(requests.count))
        for request in requests { writer.write(3, request.frame) }
        writer.write(4, Int64(environmentID.rawValue))
        return writer.bytes
    }

    /// The environment of an encoded message. Nil for one of an older release, whose requests may belong to several
    /// environments, and for bytes that are no message. Costs a walk over the frames, without reading them.
    package static func environment(of bytes: [UInt8]) -> EnvironmentID? {
        let number = try? FieldReader.read(bytes) { (reader) throws(CodingError) in
            try reader.optionalInt32(4, "environment")
        }
        return number.flatMap { $0 }.map { EnvironmentID($0) }
    }
}

/// A request as the bytes of its frame, so that the size of a message is known before it is made.
package struct EncodedRequest: Hashable, Sendable {
    fileprivate let frame: RequestFrame

    package init(_ request: CommandRequest) {
        frame = RequestFrame(request)
    }

    /// The bytes that the request adds to a message, up to some bytes of tags.
    package var size: Int { frame.body.count + 16 }
}

/// A command message as a worker reads it, with a result for every frame.
package struct ReceivedMessage: Sendable {
    package enum Frame: Hashable, Sendable {
        case request(CommandRequest)
        /// A newer release wrote it. The message must stay in the queue.
        case newer(revision: Int)
        /// Its revision is known, but the request cannot be read. The bytes are kept for the operators.
        case unreadable(CodingError, [UInt8])
    }

    package let sentAt: Instant
    package let frames: [Frame]

    /// - Throws: `CodingError` when the bytes are not a command message at all.
    package init(decoding bytes: [UInt8]) throws(CodingError) {
        (sentAt, frames) = try FieldReader.read(bytes) { (reader) throws(CodingError) in
            let sentAt = try reader.instant(1, "time of sending")
            let count = try reader.int64(2, "number of requests")
            let frames = try reader.messages(3) { (reader) throws(CodingError) in try RequestFrame.read(&reader) }
            // A message that was cut at the end of a frame would otherwise silently lose its later requests.
            guard Int64(frames.count) == count else { throw .truncated }
            return (sentAt, frames)
        }
    }

    /// The highest revision that a frame demands of its reader.
    package var newestRevision: Int {
        frames.reduce(MessageRevision.first) { newest, frame in
            if case .newer(let revision) = frame { max(newest, revision) } else { newest }
        }
    }

    /// The requests that could be read, in order.
    package var readableRequests: [CommandRequest] {
        frames.compactMap { frame in
            if case .request(let request) = frame { request } else { nil }
        }
    }
}

/// A request with the revision that its reader must have.
private struct RequestFrame: FieldCodable, Hashable {
    private let revision: Int
    fileprivate let body: [UInt8]

    init(_ request: CommandRequest) {
        var writer = FieldWriter(capacity: 256)
        request.write(to: &writer)
        revision = writer.revision
        body = writer.bytes
    }

    func write(to writer: inout FieldWriter) {
        if revision > MessageRevision.first { writer.write(1, Int64(revision)) }
        writer.write(2, body)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        revision = Int(truncatingIfNeeded: try reader.optionalInt64(1) ?? Int64(MessageRevision.first))
        body = try reader.byteArray(2, "request")
    }

    static func read(_ reader: inout FieldReader) throws(CodingError) -> ReceivedMessage.Frame {
        let frame = try RequestFrame(from: &reader)
        guard frame.revision <= MessageRevision.current else { return .newer(revision: frame.revision) }
        do throws(CodingError) {
            return .request(
                try FieldReader.read(frame.body) { (reader) throws(CodingError) in try CommandRequest(from: &reader) })
        } catch {
            return .unreadable(error, frame.body)
        }
    }
}

extension CommandRequest: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, fixed: token)
        writer.write(2, origin)
        writer.write(3, wantsBodies)
        switch commands {
        case .account(let commands): writer.write(4, each: commands)
        case .catalogue(let command): writer.write(5, command)
        }
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        let token = try reader.fixed(1, "token")
        let origin: RequestOrigin = try reader.value(2, "origin")
        let wantsBodies = try reader.bool(3, "flag")
        let accountCommands: [AccountCommand] = try reader.values(4)
        let commands: Commands =
            accountCommands.isEmpty ? .catalogue(try reader.value(5, "command")) : .account(accountCommands)
        self.init(token: token, origin: origin, wantsBodies: wantsBodies, commands: commands)
    }
}

extension RequestOrigin: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, Int64(environmentID.rawValue))
        writer.write(2, actor.keyID)
        writer.write(3, actor.address)
        writer.write(4, requestID)
        writer.write(5, traceParent)
        if let attempt { writer.write(6, fixed: attempt) }
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(
            environmentID: EnvironmentID(try reader.int32(1, "environment")),
            actor: Actor(keyID: try reader.optional(2), address: try reader.optionalString(3, "address")),
            requestID: try reader.string(4, "request id"), traceParent: try reader.optionalString(5, "trace context"),
            attempt: try reader.optionalFixed(6))
    }
}

extension CommandIdentity: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, id)
        writer.write(2, idempotencyKey?.text)
        writer.write(3, idempotencyKey?.fingerprint)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        let id: Bits128 = try reader.value(1, "command id")
        let text = try reader.optionalString(2, "idempotency key")
        let fingerprint: Bits128? = try reader.optional(3)
        switch (text, fingerprint) {
        case (let text?, let fingerprint?):
            self.init(id: id, idempotencyKey: IdempotencyKey(text: text, fingerprint: fingerprint))
        case (nil, nil): self.init(id: id, idempotencyKey: nil)
        default: throw .invalid(field: "idempotency key")
        }
    }
}

extension AccountCommand {
    /// The bytes of the command in a message. Costs an encoding.
    package var encodedSize: Int {
        var writer = FieldWriter(capacity: 256)
        write(to: &writer)
        return writer.bytes.count
    }
}

extension AccountCommand: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, identity)
        writer.write(2, endUserID.rawValue)
        writer.write(3, action)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(
            identity: try reader.value(1, "identity"),
            endUserID: try reader.parsed(2, "end user id") { EndUserID($0) },
            action: try reader.value(3, "action"))
        if case .transfer(let transfer) = action, transfer.receiver == endUserID { throw .invalid(field: "receiver") }
    }
}

extension CatalogueCommand: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, identity)
        writer.write(2, action)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(identity: try reader.value(1, "identity"), action: try reader.value(2, "action"))
    }
}
