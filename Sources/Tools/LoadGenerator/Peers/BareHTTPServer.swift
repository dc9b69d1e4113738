package import NIOCore
import NIOHTTP1
import NIOPosix

/// The simplest server with SwiftNIO's HTTP codec: every request gets the same bytes as its answer.
///
/// A peer for latency and throughput: the time that a server takes beyond this one is spent on its own work.
package struct BareHTTPServer: Sendable {
    package let port: Int
    private let group: MultiThreadedEventLoopGroup
    private let channel: any Channel

    /// Starts the server on a free port of the loopback interface, with its own event loop threads.
    package static func start(answer: ByteBuffer, threads: Int = 1) async throws -> BareHTTPServer {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: threads)
        do {
            let channel = try await ServerBootstrap(group: group)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .serverChannelOption(.backlog, value: 256)
                .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
                        try channel.pipeline.syncOperations.addHandler(SameAnswer(answer))
                    }
                }
                .bind(host: "127.0.0.1", port: 0)
                .get()
            return BareHTTPServer(port: channel.localAddress?.port ?? 0, group: group, channel: channel)
        } catch {
            try await group.shutdownGracefully()
            throw error
        }
    }

    /// Closes the port and all connections. Call it once.
    package func stop() async throws {
        try await channel.close()
        try await group.shutdownGracefully()
    }
}

private final class SameAnswer: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let body: ByteBuffer
    private let head: HTTPResponseHead

    init(_ body: ByteBuffer) {
        self.body = body
        let headers: HTTPHeaders = [
            "content-type": "application/json", "content-length": String(body.readableBytes),
        ]
        head = HTTPResponseHead(version: .http1_1, status: .ok, headers: headers)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .end = unwrapInboundIn(data) else { return }
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }
}
