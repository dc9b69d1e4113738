import Commands
import Credits
import Testing

@testable import Messaging

@Suite("Command messages")
struct CommandMessageTests {
    @Test("every kind of command is decoded as it was encoded")
    func roundTrip() throws {
        let requests = try Samples.requests
        let message = try ReceivedMessage(decoding: try Self.encoded(requests))
        #expect(message.sentAt == Instant(microseconds: 7))
        #expect(message.frames == requests.map { .request($0) })
    }

    @Test("the environment is read without the requests, and is unknown in a message of an older release")
    func environment() throws {
        let requests = try Samples.requests
        #expect(CommandMessage.environment(of: try Self.encoded(requests)) == EnvironmentID(3))
        #expect(CommandMessage.environment(of: Self.message(requests.map(Self.frame))) == nil)
        #expect(CommandMessage.environment(of: Array("{}".utf8)) == nil)
    }

    @Test("the size of a request is what it adds to a message, and at most 16 bytes more")
    func size() throws {
        for request in try Samples.requests {
            let added = try Self.encoded([request, request]).count - Self.encoded([request]).count
            #expect((added...added + 16).contains(EncodedRequest(request).size), "\(request.commands)")
        }
    }

    // The environment comes behind the requests: a message that ends before it is one of an older release.
    @Test("a message that is cut anywhere in its requests is refused")
    func truncation() throws {
        for request in try Samples.requests {
            let bytes = Self.message([Self.frame(request), Self.frame(request)])
            for length in bytes.indices where (try? ReceivedMessage(decoding: Array(bytes[..<length]))) != nil {
                Issue.record("\(request), cut at \(length), was read")
            }
        }
    }

    @Test("bytes that are not fields are refused", arguments: [[0], [0xFF], [9, 0], Array("{}".utf8)] as [[UInt8]])
    func noFields(rubbish: [UInt8]) throws {
        let bytes = try Self.encoded(try Samples.requests) + rubbish
        #expect(throws: CodingError.self) { try ReceivedMessage(decoding: rubbish) }
        #expect(throws: CodingError.self) { try ReceivedMessage(decoding: bytes) }
    }

    @Test("a message with any one byte changed is read or refused, and a message that is read can be written again")
    func changedBytes() throws {
        var read = 0
        for request in try Samples.requests {
            let bytes = try Self.encoded([request])
            for index in bytes.indices {
                for mask: UInt8 in [0x01, 0x80, 0xFF] {
                    var changed = bytes
                    changed[index] ^= mask
                    guard let message = try? ReceivedMessage(decoding: changed) else { continue }
                    read += 1
                    let requests = message.readableRequests
                    let again = try ReceivedMessage(decoding: try Self.encoded(requests))
                    if again.readableRequests != requests { Issue.record("byte \(index) of \(request)") }
                }
            }
        }
        #expect(read > 0)
    }

    // MARK: - Releases side by side

    @Test("a field that this release does not know is skipped, at every level")
    func unknownFields() throws {
        let request = try Samples.requests[1]
        var body = FieldWriter()
        request.write(to: &body)
        body.write(90, "of a later release")
        var frame = FieldWriter()
        frame.write(2, body.bytes)
        frame.write(3, fixed: 1)
        var message = FieldWriter()
        message.write(1, Instant(microseconds: 7))
        message.write(2, Int64(1))
        message.write(3, frame.bytes)
        message.write(99, Int64(5))
        #expect(try ReceivedMessage(decoding: message.bytes).frames == [.request(request)])
    }

    @Test("a request of a newer revision is recognised without being read, and its neighbours are read")
    func newerRevision() throws {
        let requests = try Samples.requests
        let newer = Self.frame(revision: MessageRevision.current + 1, body: [0xFF])
        let message = try ReceivedMessage(
            decoding: Self.message([Self.frame(requests[0]), newer, Self.frame(requests[1])]))
        #expect(
            message.frames == [
                .request(requests[0]), .newer(revision: MessageRevision.current + 1), .request(requests[1]),
            ])
        #expect(message.newestRevision == MessageRevision.current + 1)
    }

    @Test("a request that cannot be read is set apart with its bytes, and its neighbours are read")
    func unreadable() throws {
        let requests = try Samples.requests
        let broken = Self.frame(revision: nil, body: [0xFF])
        let message = try ReceivedMessage(
            decoding: Self.message([Self.frame(requests[0]), broken, Self.frame(requests[1])]))
        #expect(
            message.frames == [.request(requests[0]), .unreadable(.truncated, [0xFF]), .request(requests[1])])
        #expect(message.newestRevision == MessageRevision.first)
    }

    @Test("a field that an older reader must not skip raises the revision of its request alone")
    func since() {
        var writer = FieldWriter()
        writer.write(1) { $0.write(1, since: 4) { $0.write(1, "new") } }
        writer.write(2) { $0.write(1, "old") }
        #expect(writer.revision == 4)
    }

    // MARK: - Replies

    @Test("replies are decoded as they were encoded, and a cut one is refused")
    func replies() throws {
        let usage = PublicID(.usage, account: AccountID(7), number: 9)
        let reply = ReplyMessage(replies: [
            CommandReply(
                token: .max,
                results: [
                    CommandResult(
                        status: 201, isReplay: true, position: .account(AccountID(7), revision: 9),
                        body: .json([1, 2, 3])),
                    CommandResult(status: 422, isReplay: false, position: .none, body: .json([])),
                    CommandResult(
                        status: 201, isReplay: false, position: .account(AccountID(7), revision: 9), body: .id(usage)),
                    CommandResult(
                        status: 200, isReplay: false, position: .catalogue(EnvironmentID(-1), version: .max),
                        body: .json([0])),
                    CommandResult(
                        status: 201, isReplay: true, position: .none, body: .json([0]),
                        decidedAt: Instant(microseconds: 5)),
                ])
        ])
        let bytes = reply.encoded()
        #expect(try ReplyMessage(decoding: bytes) == reply)
        for length in bytes.indices {
            #expect(throws: CodingError.self) { _ = try ReplyMessage(decoding: Array(bytes[..<length])) }
        }
    }

    // MARK: - Messages by hand

    private static func encoded(_ requests: [CommandRequest]) throws -> [UInt8] {
        CommandMessage(
            sentAt: Instant(microseconds: 7), environmentID: EnvironmentID(3),
            requests: requests.map(EncodedRequest.init)
        ).encoded()
    }

    private static func frame(_ request: CommandRequest) -> [UInt8] {
        var body = FieldWriter()
        request.write(to: &body)
        return frame(revision: nil, body: body.bytes)
    }

    private static func frame(revision: Int?, body: [UInt8]) -> [UInt8] {
        var frame = FieldWriter()
        frame.write(1, revision.map { Int64($0) })
        frame.write(2, body)
        return frame.bytes
    }

    private static func message(_ frames: [[UInt8]]) -> [UInt8] {
        var message = FieldWriter()
        message.write(1, Instant(microseconds: 7))
        message.write(2, Int64(frames.count))
        for frame in frames { message.write(3, frame) }
        return message.bytes
    }
}
