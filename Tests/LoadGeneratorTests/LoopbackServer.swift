import NIOCore
import NIOPosix

/// A loopback server for the tests. It takes every read as one request, and a closure decides the answer.
struct LoopbackServer {
    /// The reaction to one request.
    enum Reaction: Sendable {
        /// Bytes that are sent one after another, each in its own write.
        case answer([String])
        /// The answer is delayed by the given number of milliseconds.
        case late(String, milliseconds: Int64)
        case close
        case silence
    }

    let port: Int
    private let group: MultiThreadedEventLoopGroup

    /// Runs a server while the closure runs, and passes it to the closure.
    static func with<Output: Sendable>(
        _ behaviour: ServerBehaviour, _ body: (LoopbackServer) async throws -> Output
    ) async throws -> Output {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            let channel = try await ServerBootstrap(group: group)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(Handler(behaviour))
                    }
                }
                .bind(host: "127.0.0.1", port: 0)
                .get()
            let output = try await body(LoopbackServer(port: channel.localAddress?.port ?? 0, group: group))
            try await group.shutdownGracefully()
            return output
        } catch {
            try await group.shutdownGracefully()
            throw error
        }
    }

    /// A complete response.
    static func response(_ status: Int, _ body: String = "{}") -> String {
        "HTTP/1.1 \(status) Whatever\r\nConnection: keep-alive\r\ncontent-LENGTH: \(body.utf8.count)\r\n\r\n\(body)"
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let behaviour: ServerBehaviour
        private var number = 0

        init(_ behaviour: ServerBehaviour) {
            self.behaviour = behaviour
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let reaction = behaviour.react(number, String(buffer: unwrapInboundIn(data)))
            number += 1
            switch reaction {
            case .answer(let pieces):
                for piece in pieces { context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: piece)), promise: nil) }
            case .late(let answer, let milliseconds):
                context.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(milliseconds)) {
                    context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: answer)), promise: nil)
                }
            case .close:
                context.close(promise: nil)
            case .silence:
                break
            }
        }
    }
}

/// The behaviour of a test's server.
struct ServerBehaviour: Sendable {
    /// Decides the reaction from the number of the request on its connection, from 0, and its text.
    let react: @Sendable (_ number: Int, _ request: String) -> LoopbackServer.Reaction

    init(_ react: @escaping @Sendable (_ number: Int, _ request: String) -> LoopbackServer.Reaction) {
        self.react = react
    }
}
