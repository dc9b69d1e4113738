import Logging
import NIOCore
import NIOPosix
import Runtime
import ServiceLifecycle

/// Listens on an address and gives each connection its handlers.
struct Listener: Sendable {
    let host: String
    let port: Int
    let pipeline: ConnectionPipeline
    let log: SparseLog

    /// Serves until a graceful shutdown. It then accepts no more connections, and returns when the open ones have their
    /// answers. The cancellation of the task closes them at once.
    func run() async throws {
        let server = try await bootstrap.bind(host: host, port: port).get()
        let isGraceful = (try? await gracefulShutdown()) != nil
        try? await server.close()
        await pipeline.connections.close(afterAnswers: isGraceful)
    }

    private var bootstrap: ServerBootstrap {
        ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: 4_096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { [log] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers([
                        // A pause, because the connection that cannot be accepted stays in the kernel's queue and would
                        // be tried again at once.
                        AcceptBackoffHandler(shouldForwardIOErrorCaught: true) { _ in .milliseconds(50) },
                        AcceptErrorHandler(log: log),
                    ])
                }
            }
            // A client may close its side after its request and still gets the answer.
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(minimum: 512, initial: 2_048, maximum: ConnectionLimits.read)
            )
            .childChannelInitializer { [pipeline] channel in pipeline.add(to: channel) }
    }
}

/// Survives connections that cannot be accepted, such as those for which the process has no descriptor: the error ends
/// here, and the listening socket stays open.
private final class AcceptErrorHandler: ChannelInboundHandler {
    typealias InboundIn = any Channel

    private let log: SparseLog

    init(log: SparseLog) {
        self.log = log
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        log.write(.warning, "a connection could not be accepted", ": \(error)")
    }
}
