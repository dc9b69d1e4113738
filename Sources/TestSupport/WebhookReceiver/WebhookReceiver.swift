import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// A receiver of webhooks on a free port of 127.0.0.1. It keeps every request, and a script chooses the answers.
package final class WebhookReceiver: Sendable {
    package struct Request: Sendable {
        /// The number of the request, from 1, in the order of arrival.
        package let number: Int
        package let path: String
        /// By name in lower case.
        package let headers: [String: String]
        package let body: [UInt8]

        package var text: String { String(decoding: body, as: UTF8.self) }
    }

    package enum Reply: Sendable {
        case answer(Int, headers: [String: String] = [:], String = "")
        /// The connection stays open and no byte is sent.
        case silence
        /// The connection is closed without a byte.
        case closed

        package static let accepted = Reply.answer(200)
    }

    private struct State {
        var requests: [Request] = []
        var connections = 0
        var underWay = 0
        var mostUnderWay = 0
    }

    package typealias Script = @Sendable (Request) -> Reply

    private let state = Mutex(State())
    private let script: Script
    private let channel = Mutex<(any Channel)?>(nil)

    private init(_ script: @escaping Script) {
        self.script = script
    }

    /// Listens while the body runs.
    ///
    /// - Parameter script: Called on an event loop, for each request in the order of arrival.
    package static func serving<Value>(
        _ script: @escaping Script = { _ in .accepted }, _ body: (WebhookReceiver) async throws -> Value
    ) async throws -> Value {
        let receiver = WebhookReceiver(script)
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: 1_024)
            .childChannelInitializer { channel in
                receiver.state.withLock { $0.connections += 1 }
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: false)
                    try channel.pipeline.syncOperations.addHandler(Handler(receiver))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        receiver.channel.withLock { $0 = channel }
        let result: Result<Value, any Error>
        do {
            result = .success(try await body(receiver))
        } catch {
            result = .failure(error)
        }
        try? await channel.close()
        return try result.get()
    }

    package var port: Int { channel.withLock { $0?.localAddress?.port } ?? 0 }
    package var url: String { "http://127.0.0.1:\(port)/hooks" }
    package var requests: [Request] { state.withLock { $0.requests } }
    /// The number of connections that were opened.
    package var connections: Int { state.withLock { $0.connections } }
    /// The most requests that waited for their answers at the same time.
    package var mostUnderWay: Int { state.withLock { $0.mostUnderWay } }

    private func reply(to head: HTTPRequestHead, _ body: [UInt8]) -> Reply {
        let request = state.withLock { state in
            let request = Request(
                number: state.requests.count + 1, path: head.uri,
                headers: Dictionary(head.headers.map { ($0.name.lowercased(), $0.value) }) { $1 }, body: body)
            state.requests.append(request)
            state.underWay += 1
            state.mostUnderWay = max(state.mostUnderWay, state.underWay)
            return request
        }
        return script(request)
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let receiver: WebhookReceiver
        private var head: HTTPRequestHead?
        private var body: [UInt8] = []

        init(_ receiver: WebhookReceiver) {
            self.receiver = receiver
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): (self.head, body) = (head, [])
            case .body(let part): body += part.readableBytesView
            case .end:
                guard let head else { return }
                let reply = receiver.reply(to: head, body)
                switch reply {
                case .silence: return
                case .closed: context.close(promise: nil)
                case .answer(let status, let headers, let text):
                    var fields = HTTPHeaders(headers.map { ($0, $1) })
                    fields.add(name: "content-length", value: "\(text.utf8.count)")
                    let head = HTTPResponseHead(
                        version: .http1_1, status: HTTPResponseStatus(statusCode: status), headers: fields)
                    context.write(wrapOutboundOut(.head(head)), promise: nil)
                    context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
                    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
                }
                receiver.state.withLock { $0.underWay -= 1 }
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }
    }
}
