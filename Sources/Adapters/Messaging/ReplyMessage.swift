package import Commands
import Credits

/// One message of a reply queue. A reply is a hint: a sender that does not understand it, or never gets it, finds the
/// same result in the database.
package struct ReplyMessage: Hashable, Sendable {
    package var replies: [CommandReply]

    package init(replies: [CommandReply]) {
        self.replies = replies
    }

    package func encoded() -> [UInt8] {
        var writer = FieldWriter(capacity: 4_096)
        writer.write(1, Int64(replies.count))
        writer.write(2, each: replies)
        return writer.bytes
    }

    /// Encoded messages with all the replies, in order. A message has at most about `limit` bytes, or one reply.
    package static func messages(of replies: [CommandReply], upTo limit: Int) -> [[UInt8]] {
        var messages: [[UInt8]] = []
        var part: [CommandReply] = []
        var size = 0
        for reply in replies {
            let next = reply.results.reduce(16) { $0 + $1.json.count + 48 }
            if !part.isEmpty, size + next > limit {
                messages.append(ReplyMessage(replies: part).encoded())
                (part, size) = ([], 0)
            }
            part.append(reply)
            size += next
        }
        if !part.isEmpty { messages.append(ReplyMessage(replies: part).encoded()) }
        return messages
    }

    /// - Throws: `CodingError` when the bytes are not a reply message.
    package init(decoding bytes: [UInt8]) throws(CodingError) {
        replies = try FieldReader.read(bytes) { (reader) throws(CodingError) in
            let count = try reader.int64(1, "number of replies")
            let replies: [CommandReply] = try reader.values(2)
            guard Int64(replies.count) == count else { throw .truncated }
            return replies
        }
    }
}

extension CommandReply: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, fixed: token)
        writer.write(2, each: results)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(token: try reader.fixed(1, "token"), results: try reader.values(2))
    }
}

extension CommandResult: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, Int64(status))
        if isReplay { writer.write(2, true) }
        writer.write(3, position)
        switch body {
        case .json(let bytes): writer.write(4, bytes)
        case .id(let id): writer.write(5, id.bits)
        }
        writer.write(6, decidedAt)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        guard let status = UInt16(exactly: try reader.int64(1, "status")) else { throw .invalid(field: "status") }
        let isReplay = try reader.optionalBool(2, "flag") ?? false
        let position: Position = try reader.value(3, "position")
        let body: Body
        if let json = try reader.optionalBytes(4) {
            body = .json(json)
        } else {
            body = .id(PublicID(.usage, try reader.value(5, "id")))
        }
        self.init(
            status: status, isReplay: isReplay, position: position, body: body,
            decidedAt: try reader.optionalInstant(6))
    }
}

extension Position: FieldCodable {
    func write(to writer: inout FieldWriter) {
        switch self {
        case .none: break
        case .account(let account, let revision):
            writer.write(1, account.rawValue)
            writer.write(3, revision)
        case .catalogue(let environment, let version):
            writer.write(2, Int64(environment.rawValue))
            writer.write(3, version)
        }
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        if let account = try reader.optionalInt64(1) {
            self = .account(AccountID(account), revision: try reader.int64(3, "revision"))
        } else if let environment = try reader.optionalInt32(2, "environment") {
            self = .catalogue(EnvironmentID(environment), version: try reader.int64(3, "version"))
        } else {
            self = .none
        }
    }
}
