import HTTPTypes
import Hummingbird
import NIOCore

/// Writes the body of an answer to the connection of its exchange.
///
/// A body of a known length is in memory: it is sent whole with its head. A stream is sent chunk by chunk, and the next
/// chunk is made when the client has taken the one before.
struct AnswerWriter: ResponseBodyWriter {
    private let exchange: Exchange
    private let head: AnswerHead
    private let hasLength: Bool
    private var whole = ByteBuffer()
    private var hasBegun = false

    init(exchange: Exchange, head: AnswerHead, hasLength: Bool) {
        self.exchange = exchange
        self.head = head
        self.hasLength = hasLength
    }

    mutating func write(_ buffer: ByteBuffer) async throws {
        guard !hasLength else {
            if whole.readableBytes == 0 { whole = buffer } else { whole.writeImmutableBuffer(buffer) }
            return
        }
        guard buffer.readableBytes > 0 else { return }
        let begins = hasBegun ? nil : head
        hasBegun = true
        try await exchange.stream(begins, buffer)
    }

    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {
        let (exchange, head) = (exchange, head)
        if hasLength {
            exchange.onEventLoop { [whole] in $0.send(head, .whole(whole), of: exchange) }
        } else if hasBegun {
            exchange.onEventLoop { $0.endStream(of: exchange) }
        } else {
            exchange.onEventLoop { handler in handler.send(head.withoutBody, .whole(ByteBuffer()), of: exchange) }
        }
    }
}

extension Exchange {
    /// Sends a chunk of a stream, and returns when the client has taken it.
    ///
    /// - Parameter head: The head, before the first chunk.
    fileprivate func stream(_ head: AnswerHead?, _ chunk: ByteBuffer) async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            onEventLoop { handler in handler.sendChunk(head, chunk, of: self, continuation) }
        }
    }
}
