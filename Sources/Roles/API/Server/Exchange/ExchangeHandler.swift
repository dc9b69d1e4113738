import Answers
import Hummingbird
import Logging
import NIOCore
import NIOHTTP1
import Runtime
import Synchronization

/// The last handler of a connection: starts a task for each request, sends its answer, and closes the connection when
/// a rule of HTTP or a deadline says so.
///
/// It lives on the connection's event loop. At any time it waits for one thing, and has at most one alarm for the
/// deadline of that.
final class ExchangeHandler: ChannelInboundHandler, NIOScheduledCallbackHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = ByteBuffer

    /// The thing that must happen before a deadline.
    private enum Awaited {
        /// The first byte of a request.
        case request
        /// The rest of a head.
        case head
        /// The rest of the body whose reading began at this instant.
        case body(since: NIODeadline)
        /// The client, to take the answer.
        case answer
        /// The client, to close its side after the last answer.
        case end
    }

    /// The body of an answer that is sent at once.
    enum Body: Sendable {
        /// None, although the head speaks of one: the answer to HEAD.
        case none(AnswerHead.Framing)
        case whole(ByteBuffer)
    }

    private let gate: MessageGate
    private let client: OpenConnection
    private let service: ExchangeService
    /// Answers plain checks; nil on a node without them.
    private let checks: CheckLane?
    /// Whether an answer that was given at once waits for its client.
    private var isAnsweringAtOnce = false
    private var context: ChannelHandlerContext?

    private var exchange: Exchange?
    /// Whether the request of `exchange` has been read to its end.
    private var isRead = false
    private var receivedBytes = 0
    private var hasSentContinue = false
    /// Whether `exchange` is being answered.
    private var isAnswering = false
    /// The framing of a stream that is being sent.
    private var streamFraming = AnswerHead.Framing.chunks
    /// Whether the connection ends with the current exchange.
    private var isLast = false
    private var isEnding = false
    /// The instant until which the exchange may last, because the node stops; nil while it does not.
    private var stopsAt: NIODeadline?
    private var inputIsClosed = false

    /// The requests that were answered since the event loop has last read from the connection.
    private var requestsInTurn = 0
    /// The number of these after which other connections have their turn. An event loop reads from no connection while it
    /// has tasks, and sixteen connections with a hundred requests each gave it tasks for 200 ms.
    private static let mostRequestsInTurn = 8
    /// The pause in which the event loop reads from the others.
    private static let turn = TimeAmount.microseconds(100)

    private var awaited: (Awaited, until: NIODeadline)?
    private var alarm: (NIOScheduledCallback, at: NIODeadline)?

    init(gate: MessageGate, client: OpenConnection, service: ExchangeService) {
        self.gate = gate
        self.client = client
        self.service = service
        checks = client.isOverflow ? nil : service.checks.map { CheckLane($0) }
    }

    // MARK: - The channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if checks != nil { gate.takesHead = { [unowned self] in answerAtOnce($0) } }
        wait(for: .head, until: .now() + (client.isOverflow ? ConnectionLimits.overflowHead : ConnectionLimits.head))
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        alarm?.0.cancel()
        gate.takesHead = nil
        self.context = nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        exchange?.fail(Self.hungUp)
        exchange = nil
        awaited = nil
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isEnding else { return }
        switch unwrapInboundIn(data) {
        case .head(let head) where exchange == nil: begin(head)
        case .head:
            // The decoder saw a second request in the bytes of a chunked body; see `MessageGate.mostCuts`.
            isLast = true
            gate.expect(.rest)
        case .body(let part) where !isRead:
            receivedBytes += part.readableBytes
            // The route asks for the next part. A body that it has not read is dropped.
            gate.isOpen = isAnswering
            if !isAnswering { exchange?.receive(part) }
        case .end where !isRead:
            isRead = true
            gate.expect(.nothing)
            if case .body? = awaited?.0 { awaited = nil }
            exchange?.receiveEnd()
        case .body, .end: break
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        requestsInTurn = 0
        awaitRestOfHead()
        context.fireChannelReadComplete()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed:
            inputIsClosed = true
            if isEnding {
                // An answer that is still being written ends the connection itself.
                if case .answer? = awaited?.0 { return }
                context.close(promise: nil)
            } else if exchange == nil, !isAnsweringAtOnce {
                if gate.hasPartOfHead { refuse(Self.malformed) } else { context.close(promise: nil) }
            } else if !isRead {
                exchange?.fail(Self.endedEarly)
            }
        case is ChannelShouldQuiesceEvent:
            isLast = true
            stopsAt = .now() + ConnectionLimits.stopping
            if exchange == nil, !isAnsweringAtOnce {
                context.close(promise: nil)
            } else if let (thing, until) = awaited {
                wait(for: thing, until: until)
            }
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case RequestHeadError.lineTooLong: refuse(Self.lineTooLong)
        case RequestHeadError.headersTooLarge: refuse(Self.headersTooLarge)
        case is RequestHeadError: refuse(Self.malformed)
        case is HTTPParserError where exchange == nil: refuse(Self.malformed)
        case let error as HTTPParserError:
            isLast = true
            gate.expect(.rest)
            if !isRead { exchange?.fail(error == .invalidEOFState ? Self.endedEarly : Self.malformedBody) }
        default:
            // A reset connection or a failed TLS handshake.
            service.logger.debug("a connection failed: \(error)")
            context.close(promise: nil)
        }
    }

    // MARK: - A request

    /// Answers a plain check at once, unless the connection is about to end.
    ///
    /// - Returns: Whether it was answered. Nothing has been done otherwise.
    private func answerAtOnce(_ head: ByteBuffer) -> Bool {
        guard let checks, exchange == nil, !isLast, !isEnding, !inputIsClosed, let context,
            let answer = checks.answer(head, context.channel.allocator)
        else { return false }
        gate.expect(.nothing)
        isAnsweringAtOnce = true
        flush(answer, size: answer.readableBytes) { $0?.finishAtOnce() }
        // The client has not taken it yet.
        if isAnsweringAtOnce { client.isServing.store(true, ordering: .relaxed) }
        return true
    }

    private func finishAtOnce() {
        isAnsweringAtOnce = false
        client.isServing.store(false, ordering: .relaxed)
        guard !isLast, !inputIsClosed else { return end() }
        awaitNextRequest()
    }

    private func begin(_ decoded: HTTPRequestHead) {
        guard let context else { return }
        awaited = nil
        (isRead, receivedBytes, hasSentContinue, isAnswering) = (false, 0, false, false)
        let head: RequestHead
        do throws(Problem) {
            head = try RequestHead(decoded, undecodableNames: gate.undecodableNames)
        } catch {
            return refuse(error, of: decoded)
        }
        gate.isOpen = false
        switch head.body {
        case .none: gate.expect(.nothing)
        case .length(let length): gate.expect(.body(length))
        case .chunks: gate.expect(.chunks)
        }
        if client.isOverflow {
            isLast = true
            guard HealthRoutes.paths.contains(String(head.request.path?.prefix { $0 != "?" } ?? "")) else {
                return refuse(Self.tooManyConnections, of: decoded)
            }
        }
        if !head.wantsToPersist { isLast = true }
        client.isServing.store(true, ordering: .relaxed)
        let exchange = Exchange(
            head, client: client, service: service, eventLoop: context.eventLoop, handler: self)
        self.exchange = exchange
        let channel = context.channel
        Task {
            let response = await exchange.response(on: channel)
            await exchange.answer(response)
        }
    }

    /// Reads on, because the route of an exchange waits for a part of its body.
    func readBody(of exchange: Exchange) {
        guard exchange === self.exchange, !isRead, !isAnswering, let context else { return }
        if exchange.head.expectsContinue, !hasSentContinue {
            hasSentContinue = true
            var answer = context.channel.allocator.buffer(capacity: 32)
            answer.writeStaticString("HTTP/1.1 100 Continue\r\n\r\n")
            context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
        }
        if awaited == nil {
            let now = NIODeadline.now()
            wait(for: .body(since: now), until: bodyDeadline(since: now))
        }
        gate.isOpen = true
        gate.forward()
    }

    // MARK: - Its answer

    /// Sends the whole answer of an exchange.
    func send(_ head: AnswerHead, _ body: Body, of exchange: Exchange) {
        guard exchange === self.exchange, !isAnswering else { return }
        isAnswering = true
        let (bytes, framing): (ByteBuffer?, AnswerHead.Framing) =
            switch body {
            case .none(.chunks) where exchange.head.isHTTP10: (nil, .close)
            case .none(let framing): (nil, framing)
            case .whole(let bytes): (bytes, .length)
            }
        let size = bytes?.readableBytes ?? 0
        let owner = size > ConnectionLimits.smallAnswer ? exchange.owner : nil
        if let owner, service.answers.take(size, for: owner) != nil {
            isAnswering = false
            let (head, body) = AnswerHead.problem(Self.answersNotTaken, requestID: exchange.requestID)
            return send(head, .whole(body), of: exchange)
        }
        finishReading()
        write(head, framing, bytes) { [service] handler in
            if let owner { service.answers.give(size, of: owner) }
            handler?.finish(exchange)
        }
    }

    /// Sends a chunk of the stream that answers an exchange.
    ///
    /// - Parameters:
    ///   - head: The head, before the first chunk.
    ///   - taken: Is resumed when the client has taken the chunk.
    func sendChunk(
        _ head: AnswerHead?, _ chunk: ByteBuffer, of exchange: Exchange,
        _ taken: CheckedContinuation<Void, any Error>
    ) {
        guard exchange === self.exchange, let context else {
            return taken.resume(throwing: ChannelError.ioOnClosedChannel)
        }
        let owner = exchange.owner
        guard service.answers.take(chunk.readableBytes, for: owner) == nil else {
            return taken.resume(throwing: Self.answersNotTaken)
        }
        var buffer = context.channel.allocator.buffer(capacity: 512)
        if let head {
            isAnswering = true
            finishReading()
            streamFraming = exchange.head.isHTTP10 ? .close : .chunks
            if exchange.head.isHTTP10 { isLast = true }
            head.write(into: &buffer, streamFraming, fate)
        }
        if streamFraming == .chunks { buffer.writeString(String(chunk.readableBytes, radix: 16) + "\r\n") }
        context.write(wrapOutboundOut(buffer), promise: nil)
        if streamFraming == .chunks {
            context.write(wrapOutboundOut(chunk), promise: nil)
            buffer.clear()
            buffer.writeStaticString("\r\n")
        } else {
            buffer = chunk
        }
        flush(buffer, size: chunk.readableBytes) { [service] handler in
            service.answers.give(chunk.readableBytes, of: owner)
            if handler != nil { taken.resume() } else { taken.resume(throwing: ChannelError.ioOnClosedChannel) }
        }
    }

    /// Ends the stream that answers an exchange.
    func endStream(of exchange: Exchange) {
        guard exchange === self.exchange, let context else { return }
        var buffer = context.channel.allocator.buffer(capacity: 8)
        if streamFraming == .chunks { buffer.writeStaticString("0\r\n\r\n") }
        flush(buffer, size: 0) { handler in handler?.finish(exchange) }
    }

    /// Ends an answer whose rest cannot be made: with a problem when nothing of it was sent, and else by closing the
    /// connection, so that the client misses the end.
    func abandon(_ exchange: Exchange) {
        guard exchange === self.exchange else { return }
        guard !isAnswering else {
            context?.close(promise: nil)
            return
        }
        let (head, body) = AnswerHead.problem(Self.cannotBeMade, requestID: exchange.requestID)
        send(head, .whole(body), of: exchange)
    }

    /// Refuses a request that no route gets, and closes the connection.
    ///
    /// - Parameter request: The head of the request; nil when it could not be read.
    private func refuse(_ problem: Problem, of request: HTTPRequestHead? = nil) {
        guard !isEnding else { return }
        service.metrics.refusedRequest(code: problem.code.rawValue)
        service.log.write(.info, "a request was refused before its route", ": \(problem.code.rawValue)")
        (exchange, isLast) = (nil, true)
        gate.expect(.rest)
        isEnding = true
        let (head, body) = AnswerHead.problem(
            problem, requestID: RequestID.text(request?.headers.first(name: "x-request-id")))
        let isHead = request.map { $0.method == .HEAD } ?? gate.beginsWithHead
        write(head, .length, isHead ? nil : body) { handler in handler?.end() }
    }

    private var fate: AnswerHead.Connection {
        if isLast { return .closes }
        return exchange?.head.isHTTP10 == true ? .persistsForHTTP10 : .persists
    }

    /// Reads the rest of a request whose body its route has not read, if it is here already. If it is not, the
    /// connection ends with this answer: otherwise a client could hold it with a body that never comes.
    private func finishReading() {
        awaited = nil
        if !isRead {
            gate.isOpen = true
            gate.forward()
        }
        if !isRead { isLast = true }
        if isLast { gate.expect(.rest) }
    }

    private func write(
        _ head: AnswerHead, _ framing: AnswerHead.Framing, _ body: ByteBuffer?,
        _ done: @escaping (ExchangeHandler?) -> Void
    ) {
        guard let context else { return done(nil) }
        let size = body?.readableBytes ?? 0
        let isSmall = size <= ConnectionLimits.smallAnswer
        var buffer = context.channel.allocator.buffer(capacity: 512 + (isSmall ? size : 0))
        head.write(into: &buffer, framing, fate)
        if let body, !isSmall {
            context.write(wrapOutboundOut(buffer), promise: nil)
            buffer = body
        } else if let body {
            buffer.writeImmutableBuffer(body)
        }
        flush(buffer, size: size, done)
    }

    /// Writes and flushes bytes.
    ///
    /// - Parameter done: Is called with the handler when the client has taken the bytes, and with nil when it will not.
    private func flush(_ bytes: ByteBuffer, size: Int, _ done: @escaping (ExchangeHandler?) -> Void) {
        guard let context else { return done(nil) }
        var isTaken = false
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenComplete { [self] result in
            isTaken = true
            if case .answer? = awaited?.0 { awaited = nil }
            if case .success = result { done(self) } else { done(nil) }
        }
        context.writeAndFlush(wrapOutboundOut(bytes), promise: promise)
        if !isTaken { wait(for: .answer, until: ConnectionLimits.transferDeadline(since: .now(), bytes: size)) }
    }

    /// Goes on after an answer.
    private func finish(_ exchange: Exchange) {
        guard exchange === self.exchange else { return }
        self.exchange = nil
        client.isServing.store(false, ordering: .relaxed)
        // The gate announces the end of the input when it holds no further request.
        guard !isLast, !inputIsClosed else { return end() }
        awaitNextRequest()
    }

    /// Reads the next request, at once or when other connections have had their turn.
    private func awaitNextRequest() {
        wait(for: .request, until: .now() + service.idle)
        requestsInTurn += 1
        guard requestsInTurn >= Self.mostRequestsInTurn, let context else { return readNext() }
        context.eventLoop.assumeIsolated().scheduleTask(in: Self.turn) { [self] in
            requestsInTurn = 0
            readNext()
        }
    }

    /// Reads the next request, unless the connection has ended.
    private func readNext() {
        guard exchange == nil, !isEnding, context != nil else { return }
        gate.expect(.head)
        gate.forward()
        awaitRestOfHead()
    }

    /// Ends the connection after its last answer. The client may still be sending: its bytes are dropped for a moment,
    /// because a connection that is closed with unread bytes is reset, and the client might lose the answer.
    private func end() {
        isEnding = true
        guard let context, !inputIsClosed, stopsAt == nil else {
            self.context?.close(promise: nil)
            return
        }
        gate.expect(.rest)
        // A client that is still sending its body takes the end of this side for a failure, and misses the answer.
        if isRead { context.close(mode: .output, promise: nil) }
        wait(for: .end, until: .now() + ConnectionLimits.lingering)
        gate.forward()
    }

    // MARK: - Deadlines

    private func wait(for thing: Awaited, until latest: NIODeadline) {
        let deadline = min(latest, stopsAt ?? latest)
        awaited = (thing, deadline)
        if let alarm, alarm.at <= deadline { return }
        setAlarm(deadline)
    }

    private func bodyDeadline(since start: NIODeadline) -> NIODeadline {
        let deadline = ConnectionLimits.transferDeadline(since: start, bytes: receivedBytes)
        return min(deadline, stopsAt ?? deadline)
    }

    private func awaitRestOfHead() {
        if case .request? = awaited?.0, gate.hasPartOfHead { wait(for: .head, until: .now() + ConnectionLimits.head) }
    }

    private func setAlarm(_ deadline: NIODeadline) {
        alarm?.0.cancel()
        alarm = nil
        guard let context,
            let scheduled = try? context.eventLoop.assumeIsolated().scheduleCallback(at: deadline, handler: self)
        else { return }
        alarm = (scheduled, deadline)
    }

    func handleScheduledCallback(eventLoop: some EventLoop) {
        alarm = nil
        guard let (thing, until) = awaited else { return }
        var deadline = until
        // Each part of a body moves its deadline.
        if case .body(let start) = thing {
            deadline = bodyDeadline(since: start)
        }
        guard deadline <= .now() else {
            awaited = (thing, deadline)
            return setAlarm(deadline)
        }
        expire(thing)
    }

    private func expire(_ thing: Awaited) {
        awaited = nil
        switch thing {
        case .request: close(.request)
        case .head where client.isOverflow: refuse(Self.tooManyConnections)
        case .head where gate.hasPartOfHead:
            note(.head)
            refuse(Self.headTooSlow)
        case .head: close(.head)
        case .body:
            note(.body)
            isLast = true
            exchange?.fail(stopsAt == nil ? Self.bodyTooSlow : Self.stopping)
        case .answer: close(.answer)
        case .end: context?.close(promise: nil)
        }
    }

    private func close(_ thing: ConnectionMetrics.Awaited) {
        note(thing)
        context?.close(promise: nil)
    }

    private func note(_ thing: ConnectionMetrics.Awaited) {
        service.metrics.timedOut(thing)
        // Idle connections are closed all the time.
        service.log.write(
            thing == .request ? .debug : .info, "a client was too slow", ", waiting for \(thing.rawValue)")
    }
}

extension ExchangeHandler {
    private static let malformed = Problem(.invalidRequest, "The request is not HTTP/1.1.")
    private static let malformedBody = Problem(
        .invalidRequest, "The body is not HTTP/1.1: a chunk has no valid size or no valid end.")
    private static let endedEarly = Problem(.invalidRequest, "The connection was closed before the end of the body.")
    private static let hungUp = Problem(.invalidRequest, "The client has closed the connection.")
    private static let lineTooLong = Problem(
        .uriTooLong, "The request line is longer than \(ConnectionLimits.requestLine) bytes.")
    private static let headersTooLarge = Problem(
        .headersTooLarge,
        "The headers are larger than \(ConnectionLimits.headers) bytes, or more than \(ConnectionLimits.headerLines)."
    )
    private static let headTooSlow = Problem(
        .requestTimeout,
        "The request did not arrive within \(ConnectionLimits.head.nanoseconds / 1_000_000_000) seconds.")
    private static let bodyTooSlow = Problem(
        .requestTimeout,
        """
        The body did not arrive within \(ConnectionLimits.transfer.nanoseconds / 1_000_000_000) seconds and one more \
        for each \(ConnectionLimits.leastRate >> 10) KiB.
        """)
    private static let stopping = Problem(
        .unavailable, "This node stops, and the body has not arrived. Nothing was done; send it again.")
    private static let tooManyConnections = Problem(
        .unavailable, "There are too many connections to this node, or from this address. Try again in a moment.")
    private static let cannotBeMade = Problem(.unavailable, "The answer cannot be made at the moment. Try again.")
    private static let answersNotTaken = Problem(
        .unavailable,
        """
        The clients of this environment leave too many answers unread. The outcome of this request is not shown; repeat \
        it with the same Idempotency-Key.
        """, texts: ["outcome": "unknown"])
}
