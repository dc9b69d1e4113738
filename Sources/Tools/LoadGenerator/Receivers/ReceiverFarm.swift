import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// Receivers of webhooks on one port of 127.0.0.1, one for each path `/<number>`. They accept everything and note when it came.
package final class ReceiverFarm: Sendable {
    private let arrivals: Mutex<[[ContinuousClock.Instant]]>
    private let total = Atomic<Int>(0)
    private let group: MultiThreadedEventLoopGroup
    private let channel: Mutex<(any Channel)?> = Mutex(nil)

    /// - Parameter count: The number of receivers.
    package init(count: Int) {
        arrivals = Mutex(Array(repeating: [], count: count))
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    }

    /// Listens until `close`.
    ///
    /// - Returns: The port.
    package func listen() async throws -> Int {
        let listening = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 4_096)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: false)
                    try channel.pipeline.syncOperations.addHandler(Handler(self))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        channel.withLock { $0 = listening }
        return listening.localAddress?.port ?? 0
    }

    package func close() async throws {
        try await channel.withLock { $0 }?.close()
        try await group.shutdownGracefully()
    }

    /// The number of requests that have arrived.
    package var received: Int { total.load(ordering: .relaxed) }

    /// When the requests of each receiver have arrived, in order.
    package var arrivalTimes: [[ContinuousClock.Instant]] { arrivals.withLock { $0 } }

    private func note(_ path: String) {
        guard let number = Int(path.dropFirst()) else { return }
        let isKnown = arrivals.withLock { arrivals in
            guard arrivals.indices.contains(number) else { return false }
            arrivals[number].append(.now)
            return true
        }
        if isKnown { total.add(1, ordering: .relaxed) }
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private static let head = HTTPResponseHead(
            version: .http1_1, status: .ok, headers: ["content-length": "0"])
        private let farm: ReceiverFarm
        private var path = ""

        init(_ farm: ReceiverFarm) {
            self.farm = farm
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): path = head.uri
            case .body: break
            case .end:
                farm.note(path)
                context.write(wrapOutboundOut(.head(Self.head)), promise: nil)
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }
    }
}
