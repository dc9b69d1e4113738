import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import Testing

/// An HTTP server on a free port of the loopback interface, with answers from the test.
final class ScriptedServer: Sendable {
    struct Request: Sendable {
        /// The number of the request, from 1, in the order of arrival.
        var number: Int
        var method: String
        var path: String
        var headers: [String: String]
        var body: [UInt8]

        var text: String { String(decoding: body, as: UTF8.self) }
    }

    enum Reply: Sendable {
        case answer(Int, headers: [String: String] = [:], String)
        /// The head and half of the body are sent, then the connection is closed.
        case closedMidway
        /// The connection is closed without a byte.
        case closed
    }

    private struct State: Sendable {
        var requests: [Request] = []
        var underWay = 0
        var mostUnderWay = 0
    }

    private let state = Mutex(State())
    private let script: @Sendable (Request) -> Reply
    private let delay: TimeAmount

    /// - Parameter delay: The time by which every answer is delayed.
    init(delay: TimeAmount = .zero, script: @escaping @Sendable (Request) -> Reply) {
        self.script = script
        self.delay = delay
    }

    /// Listens while the body runs. The body receives the base URL.
    func run(_ body: (String) async throws -> Void) async throws {
        let server = self
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(
                        withPipeliningAssistance: false, withErrorHandling: false)
                    try channel.pipeline.syncOperations.addHandler(Handler(server))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(channel.localAddress?.port)
        do {
            try await body("http://127.0.0.1:\(port)")
        } catch {
            try? await channel.close()
            throw error
        }
        try await channel.close()
    }

    var requests: [Request] { state.withLock { $0.requests } }
    /// The most requests that waited for their answers at the same time.
    var mostUnderWay: Int { state.withLock { $0.mostUnderWay } }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let server: ScriptedServer
        private var head: HTTPRequestHead?
        private var body: [UInt8] = []

        init(_ server: ScriptedServer) {
            self.server = server
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): (self.head, body) = (head, [])
            case .body(let part): body += part.readableBytesView
            case .end:
                guard let head else { return }
                let reply = server.reply(to: head, body)
                let context = NIOLoopBound(context, eventLoop: context.eventLoop)
                context.value.eventLoop.scheduleTask(in: server.delay) { [server] in
                    server.state.withLock { $0.underWay -= 1 }
                    Self.send(reply, context.value)
                }
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }

        private static func send(_ reply: Reply, _ context: ChannelHandlerContext) {
            switch reply {
            case .closed: break
            case .closedMidway:
                write(.ok, ["Content-Length": "100"], "{\"accepted\":", context)
            case .answer(let status, let headers, let text):
                let length = ["Content-Length": "\(text.utf8.count)"]
                write(HTTPResponseStatus(statusCode: status), headers.merging(length) { $1 }, text, context)
                context.writeAndFlush(NIOAny(HTTPServerResponsePart.end(nil)), promise: nil)
                return
            }
            context.flush()
            context.close(promise: nil)
        }

        private static func write(
            _ status: HTTPResponseStatus, _ headers: [String: String], _ text: String,
            _ context: ChannelHandlerContext
        ) {
            let head = HTTPResponseHead(
                version: .http1_1, status: status, headers: HTTPHeaders(headers.map { ($0, $1) }))
            context.write(NIOAny(HTTPServerResponsePart.head(head)), promise: nil)
            context.write(NIOAny(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
        }
    }

    private func reply(to head: HTTPRequestHead, _ body: [UInt8]) -> Reply {
        let request = state.withLock { state in
            let request = Request(
                number: state.requests.count + 1, method: head.method.rawValue, path: head.uri,
                headers: Dictionary(head.headers.map { ($0.name.lowercased(), $0.value) }) { $1 }, body: body)
            state.requests.append(request)
            state.underWay += 1
            state.mostUnderWay = max(state.mostUnderWay, state.underWay)
            return request
        }
        return script(request)
    }
}
