import Answers
import Hummingbird
import Logging
import NIOCore
import Runtime
import Synchronization

/// One request and its answer, between the connection on its event loop and the route in its task.
///
/// The route reads the body part by part. Each part is read from the connection when the route asks for it, so a
/// refusal that comes before is sent without the body. The bytes that the request holds are counted for its owner until
/// the answer is made.
final class Exchange: Sendable {
    private struct State {
        var owner: MemoryShares.Owner
        /// Parts that have come and were not asked for yet: usually none.
        var parts: CircularBuffer<ByteBuffer> = []
        var isComplete = false
        var failure: Problem?
        var reader: CheckedContinuation<ByteBuffer?, any Error>?
        /// The bytes that are counted for the owner.
        var counted = 0
        var isOver = false

        mutating func takeReader() -> CheckedContinuation<ByteBuffer?, any Error>? {
            defer { reader = nil }
            return reader
        }
    }

    let head: RequestHead
    /// The request's id for problems that are found before the route or instead of its answer.
    let requestID: String
    let client: OpenConnection
    let service: ExchangeService
    private let eventLoop: any EventLoop
    private let handler: NIOLoopBound<ExchangeHandler>
    private let state: Mutex<State>

    init(
        _ head: RequestHead, client: OpenConnection, service: ExchangeService, eventLoop: any EventLoop,
        handler: ExchangeHandler
    ) {
        self.head = head
        self.client = client
        self.service = service
        self.eventLoop = eventLoop
        self.handler = NIOLoopBound(handler, eventLoop: eventLoop)
        requestID = RequestID.text(head.request.headerFields[.requestID])
        state = Mutex(State(owner: .address(client.address)))
    }

    /// The owner of the bytes that the request holds: first the client's address, and the environment once its key is
    /// known.
    var owner: MemoryShares.Owner {
        get { state.withLock { $0.owner } }
        set { state.withLock { $0.owner = newValue } }
    }

    /// Whether the client wants the head of the answer only.
    private var isHead: Bool { head.request.method == .head }

    // MARK: - The body, as the route reads it

    /// The next part; nil after the last one.
    ///
    /// - Throws: `Problem` when the rest of the body does not come or is not HTTP.
    func nextPart() async throws -> ByteBuffer? {
        try await withCheckedThrowingContinuation { continuation in
            let next = state.withLock { state -> Result<ByteBuffer?, Problem>? in
                if let part = state.parts.popFirst() { return .success(part) }
                if let failure = state.failure { return .failure(failure) }
                if state.isComplete { return .success(nil) }
                state.reader = continuation
                return nil
            }
            if let next {
                continuation.resume(with: next)
            } else {
                onEventLoop { handler in handler.readBody(of: self) }
            }
        }
    }

    /// Counts bytes for the owner, and waits until it may have them.
    ///
    /// - Throws: `Problem` when it may not have them in time.
    func count(_ bytes: Int) async throws {
        let owner = owner
        do throws(MemoryShares.Refusal) {
            try await service.bodies.take(bytes, for: owner, within: ConnectionLimits.memoryWait)
        } catch {
            throw Problem(error)
        }
        let isOver = state.withLock { state in
            if !state.isOver { state.counted += bytes }
            return state.isOver
        }
        if isOver { service.bodies.give(bytes, of: owner) }
    }

    // MARK: - The body, as the connection delivers it

    func receive(_ part: ByteBuffer) {
        let reader = state.withLock { state in
            if state.reader == nil, !state.isOver { state.parts.append(part) }
            return state.takeReader()
        }
        reader?.resume(returning: part)
    }

    func receiveEnd() {
        let reader = state.withLock { state in
            state.isComplete = true
            return state.takeReader()
        }
        reader?.resume(returning: nil)
    }

    /// Says that the rest of the body will not come.
    func fail(_ problem: Problem) {
        let reader = state.withLock { state in
            state.failure = problem
            return state.takeReader()
        }
        reader?.resume(throwing: problem)
    }

    // MARK: - The answer

    /// The answer of the route. A GET answers HEAD.
    func response(on channel: any Channel) async -> Response {
        var context = APIContext(source: ApplicationRequestContextSource(channel: channel, logger: service.logger))
        context.exchange = self
        context.requestID = requestID
        var request = head.request
        if isHead { request.method = .get }
        let body =
            head.body == .none
            ? RequestBody(buffer: ByteBuffer()) : RequestBody(asyncSequence: IncomingBody(exchange: self))
        do {
            return try await service.routes.respond(to: Request(head: request, body: body), context: context)
        } catch {
            // `RequestBoundary` has answered every error before.
            return .problem(Problem(.internalError, "The request could not be served."), requestID: requestID)
        }
    }

    /// Sends the route's answer.
    func answer(_ response: Response) async {
        endOfRequest()
        let head = AnswerHead(status: response.status, fields: response.headers)
        let length = response.body.contentLength
        guard !isHead, response.status.mayHaveBody else {
            return onEventLoop { $0.send(head, .none(length == nil ? .chunks : .length), of: self) }
        }
        do {
            let writer = AnswerWriter(exchange: self, head: head, hasLength: length != nil)
            guard length == nil else { return try await response.body.write(writer) }
            // A stream is made while it is sent.
            try await withTaskExecutorPreference(LongWork.threads) { try await response.body.write(writer) }
        } catch {
            service.log.write(.notice, "an answer ended before its end", ": \(error)")
            onEventLoop { $0.abandon(self) }
        }
    }

    /// Gives back the bytes of the request.
    private func endOfRequest() {
        let (counted, owner) = state.withLock { state in
            defer { state.counted = 0 }
            state.isOver = true
            state.parts = []
            return (state.counted, state.owner)
        }
        service.bodies.give(counted, of: owner)
    }

    /// Runs work with the connection's handler, on its event loop.
    func onEventLoop(_ work: @escaping @Sendable (ExchangeHandler) -> Void) {
        if eventLoop.inEventLoop {
            work(handler.value)
        } else {
            eventLoop.execute { [handler] in work(handler.value) }
        }
    }
}

extension Problem {
    fileprivate init(_ refusal: MemoryShares.Refusal) {
        switch refusal {
        case .share:
            self.init(
                .rateLimited,
                "Too many bytes of this environment's requests are being worked on. Nothing was done; send fewer large bodies at once."
            )
        case .process:
            self.init(.unavailable, "This node works on too many bytes. Nothing was done; try again in a moment.")
        }
    }
}
