import Commands
import Credits
import Foundation
import Testing

@testable import Messaging

/// Messages as an earlier release wrote them. They may be in the queues when an installation is updated, and
/// fingerprints are computed from their bytes, so their form must never change.
@Suite("Recorded messages")
struct RecordedMessagesTests {
    @Test("recorded messages are read as their samples, and written with the same bytes")
    func recorded() throws {
        let samples = try Samples.requests
        let recorded = try lines()
        #expect(recorded.count == samples.count, "record a new sample with QUOTASTACK_TEST_RECORD=1")
        for (request, line) in zip(samples, recorded) {
            let bytes = bytes(line) ?? []
            #expect(try ReceivedMessage(decoding: bytes).frames == [.request(request)])
            // Later releases append fields to a message. The bytes of its requests stay.
            #expect(hexadecimal(request).hasPrefix(line), "\(request.commands)")
        }
    }

    /// The recorded messages, one per line. A recorded message is never replaced: only a sample without a line gets
    /// one.
    private func lines() throws -> [String] {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Recorded/messages.txt")
        var lines = (try? String(contentsOf: file, encoding: .utf8))?.split(separator: "\n").map(String.init) ?? []
        let samples = try Samples.requests
        if ProcessInfo.processInfo.environment["QUOTASTACK_TEST_RECORD"] != nil, lines.count < samples.count {
            lines += samples[lines.count...].map(hexadecimal)
            try (lines.joined(separator: "\n") + "\n").write(to: file, atomically: true, encoding: .utf8)
        }
        return lines
    }

    private func hexadecimal(_ request: CommandRequest) -> String {
        CommandMessage(
            sentAt: .epoch, environmentID: request.origin.environmentID, requests: [EncodedRequest(request)]
        ).encoded()
            .map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private func bytes(_ line: String) -> [UInt8]? {
        let digits = line.utf8.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
        guard digits.count == line.utf8.count, digits.count.isMultiple(of: 2) else { return nil }
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }
}
