import Glibc
import NIOCore

/// The first handler of a connection after TLS. It passes one request at a time to the HTTP decoder, and reads from the
/// socket only for the part of a request that is wanted.
///
/// A head is collected until its blank line has come, is held to the limits of its size, and is passed on whole. The
/// bytes of a body are passed on while the route wants them. A request that a client sends before the previous one is
/// answered stays here as bytes. So a connection never holds more than one decoded request, and no more of its body
/// than one read.
///
/// `ExchangeHandler` steers it: it calls `expect` with what follows each head, and after each answer.
final class MessageGate: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer

    /// The next thing that the client sends.
    enum Part {
        case head
        /// Nothing that may be passed on now: the request has been read and is being answered.
        case nothing
        /// This many bytes of a body.
        case body(Int)
        /// A body in chunks, whose end the decoder finds.
        case chunks
        /// Bytes that nobody wants. They are read and dropped.
        case rest
    }

    /// Whether bytes of a body are passed on. It has no meaning for other parts.
    var isOpen = false
    /// Is offered each head that begins while nothing else is under way, and returns whether it has answered the request.
    var takesHead: ((ByteBuffer) -> Bool)?
    /// The header names, in lower case, whose values in the current head are not UTF-8; empty for the request line.
    private(set) var undecodableNames: Set<String> = []
    /// Whether the current request line begins with `HEAD`, also where the rest of the head cannot be read.
    private(set) var beginsWithHead = false
    /// Whether bytes of a head have come, and not all.
    var hasPartOfHead: Bool {
        if case .head = part { held.readableBytes > 0 } else { false }
    }

    private var context: ChannelHandlerContext?
    private var held = ByteBuffer()
    private var part = Part.head
    private var head = HeadScan()
    private var chunkEnd = BlankLine()
    /// The number of times that a chunked body was cut at a blank line.
    private var cuts = 0
    private var isForwarding = false
    private var headWasRead = false
    private var isReadPending = false
    private var inputIsClosed = false

    /// A blank line ends a chunked body, but can also be data of it. After this many in one body, the gate stops
    /// looking for the end. The decoder then also sees a request that follows the body in the same read, and
    /// `ExchangeHandler` closes the connection.
    private static let mostCuts = 1_000
    /// The bytes of further requests that are held while one is answered. The kernel delivers more than one read when
    /// the client has closed its side.
    private static let mostHeld = 4 * ConnectionLimits.read

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        held.clear()
    }

    // MARK: - Steering

    /// Says what comes next. `forward` must follow, except in a call from the decoder.
    func expect(_ next: Part) {
        headWasRead = true
        part = next
        switch next {
        case .head: head = HeadScan()
        case .chunks: (chunkEnd, cuts) = (BlankLine(), 0)
        case .nothing, .body, .rest: break
        }
    }

    /// Passes on what may be passed on, and reads more if that is not enough. A call from inside a call has no effect:
    /// the outer one goes on.
    func forward() {
        guard !isForwarding, let context else { return }
        isForwarding = true
        while let (bytes, isHead) = next() {
            if isHead, !inputIsClosed, let takesHead, takesHead(bytes) { continue }
            headWasRead = false
            context.fireChannelRead(wrapInboundOut(bytes))
            // The decoder found no head in what looked like one.
            if case .nothing = part, !headWasRead { context.fireErrorCaught(RequestHeadError.malformed) }
        }
        isForwarding = false
        if inputIsClosed, hasAnnounceableEnd {
            inputIsClosed = false
            context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        }
        if isReadPending, wantsBytes {
            isReadPending = false
            context.read()
        }
    }

    private var wantsBytes: Bool {
        switch part {
        case .head, .rest: true
        case .nothing: false
        case .body, .chunks: isOpen
        }
    }

    /// Whether the end of the input comes next for the handlers behind this one.
    private var hasAnnounceableEnd: Bool {
        switch part {
        case .head, .rest: true
        case .nothing, .body, .chunks: held.readableBytes == 0
        }
    }

    // MARK: - Bytes

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if case .rest = part { return }
        if held.readableBytes == 0 { held = bytes } else { held.writeBuffer(&bytes) }
        if case .nothing = part, held.readableBytes > Self.mostHeld {
            context.close(promise: nil)
            return
        }
        forward()
    }

    func read(context: ChannelHandlerContext) {
        if wantsBytes { context.read() } else { isReadPending = true }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard event as? ChannelEvent == .inputClosed else { return context.fireUserInboundEventTriggered(event) }
        inputIsClosed = true
        forward()
    }

    /// The next bytes for the decoder; nil when none may be passed on now.
    private func next() -> (bytes: ByteBuffer, isHead: Bool)? {
        guard held.readableBytes > 0 else { return nil }
        switch part {
        case .nothing: return nil
        case .rest:
            held.clear()
            return nil
        case .head: return nextHead().map { ($0, true) }
        case .body(let remaining):
            guard isOpen else { return nil }
            let bytes = held.readSlice(length: min(remaining, held.readableBytes))
            part = .body(remaining - (bytes?.readableBytes ?? 0))
            return bytes.map { ($0, false) }
        case .chunks:
            guard isOpen else { return nil }
            let end = cuts < Self.mostCuts ? held.withUnsafeReadableBytes { chunkEnd.end(in: $0) } : nil
            if end != nil { cuts += 1 }
            return held.readSlice(length: end ?? held.readableBytes).map { ($0, false) }
        }
    }

    private func nextHead() -> ByteBuffer? {
        held.moveReaderIndex(forwardBy: held.withUnsafeReadableBytes { head.emptyLines(in: $0) })
        beginsWithHead = held.readableBytesView.starts(with: "HEAD ".utf8)
        switch held.withUnsafeReadableBytes({ head.advance(over: $0) }) {
        case .isIncomplete: return nil
        case .isRefused(let error):
            part = .rest
            context?.fireErrorCaught(error)
            return nil
        case .isComplete(let length):
            part = .nothing
            let bytes = held.readSlice(length: length)
            undecodableNames = bytes.map { $0.withUnsafeReadableBytes(HeadScan.undecodableNames) } ?? []
            return bytes
        }
    }
}
