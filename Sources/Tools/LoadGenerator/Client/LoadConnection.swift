import NIOCore

/// Decides, on one event loop, when its connections send requests, and receives the answers.
protocol LoadDriver: AnyObject {
    /// A response is complete. The connection is free for the next request.
    func connection(_ connection: LoadConnection, answeredAt now: UInt64)
    /// The connection can no longer be used. Called at most once per connection.
    func connection(_ connection: LoadConnection, failed error: any Error)
}

/// A keep-alive connection with at most one request in flight. It is the only handler of its channel.
final class LoadConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// The index of the connection among those of the run.
    let index: Int
    /// The number of requests that were sent, which is also the sequence number of the next one.
    private(set) var sequence = 0
    /// The start of the latency of the request in flight, in nanoseconds of the monotonic clock.
    private(set) var startedAt: UInt64 = 0
    private(set) var isAwaitingAnswer = false
    var scanner = ResponseScanner()

    private var driver: (any LoadDriver)?
    private var context: ChannelHandlerContext?

    init(index: Int, driver: any LoadDriver) {
        self.index = index
        self.driver = driver
    }

    /// Sends a request whose latency counts from `start`. The previous request must have been answered.
    func send(_ request: ByteBuffer, countedFrom start: UInt64) {
        guard let context else { return }
        precondition(!isAwaitingAnswer, "the connection already has a request in flight")
        isAwaitingAnswer = true
        sequence += 1
        startedAt = start
        context.writeAndFlush(wrapOutboundOut(request), promise: nil)
    }

    /// Closes the connection; the driver is not called any more.
    func close() {
        driver = nil
        context?.close(promise: nil)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        do {
            guard isAwaitingAnswer else {
                throw ResponseError(description: "the server sent bytes without a request")
            }
            let isComplete = try buffer.withUnsafeReadableBytes { bytes in
                Result { () throws(ResponseError) in try scanner.consume(bytes) }
            }.get()
            guard isComplete else { return }
        } catch {
            fail(error)
            return
        }
        isAwaitingAnswer = false
        driver?.connection(self, answeredAt: NIODeadline.now().uptimeNanoseconds)
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(ResponseError(description: "the server closed a connection"))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(error)
    }

    private func fail(_ error: any Error) {
        let driver = driver
        close()
        driver?.connection(self, failed: error)
    }
}
