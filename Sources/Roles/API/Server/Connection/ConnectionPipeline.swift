import NIOCore
import NIOHTTP1
import NIOSSL

/// The handlers of a connection, in the order in which bytes from the client pass them:
///
/// 1. `NIOSSLServerHandler`, for HTTPS.
/// 2. `MessageGate` passes on one request at a time, holds its head to the limits of size, and reads its body only when
///    it is wanted.
/// 3. `HTTPRequestDecoder` of NIO parses.
/// 4. `ExchangeHandler` starts the route of each request, sends its answer, and keeps the deadlines.
///
/// Answers pass them in the opposite order.
struct ConnectionPipeline: Sendable {
    /// Nil for plain HTTP.
    let tls: NIOSSLContext?
    let connections: OpenConnections
    let service: ExchangeService

    /// Adds the handlers to a connection that was accepted, and counts it until it is closed.
    func add(to channel: any Channel) -> EventLoopFuture<Void> {
        channel.eventLoop.makeCompletedFuture {
            let client = connections.add(channel)
            channel.closeFuture.whenComplete { _ in connections.remove(client) }
            let gate = MessageGate()
            let pipeline = channel.pipeline.syncOperations
            if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls)) }
            try pipeline.addHandler(gate)
            try pipeline.addHandler(ByteToMessageHandler(HTTPRequestDecoder(limitConfiguration: Self.decoderLimits)))
            try pipeline.addHandler(ExchangeHandler(gate: gate, client: client, service: service))
        }
    }

    /// The gate has held the head to its limits. These also bound the trailers of a chunked body.
    private static var decoderLimits: NIOHTTPDecoderLimitConfiguration {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = ConnectionLimits.headers
        limits.maxHeaderListSize = ConnectionLimits.requestLine + 2 * ConnectionLimits.headers
        limits.maxHeaderFieldCount = 2 * ConnectionLimits.headerLines
        return limits
    }
}
