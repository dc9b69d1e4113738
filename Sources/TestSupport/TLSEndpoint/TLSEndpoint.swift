import NIOCore
import NIOPosix
import NIOSSL

/// A server on loopback that presents a certificate and then says nothing: for clients that ought to turn away before.
package enum TLSEndpoint {
    /// What it does before the handshake.
    package enum Opening: Sendable {
        /// Begins with it, as AMQPS does.
        case handshake
        /// Agrees to it when asked by PostgreSQL's SSLRequest.
        case agreement
        /// Answers PostgreSQL's SSLRequest with no.
        case refusal
    }

    /// Runs the body while the server listens.
    ///
    /// - Parameters:
    ///   - name: Of the files with a certificate and its key: `NAME.pem` and `NAME.key` in the folder.
    ///   - isOld: True for a server that speaks nothing newer than TLS 1.1.
    ///   - body: Gets the port.
    package static func serving<Value>(
        _ name: String, in folder: String, _ opening: Opening, isOld: Bool = false,
        _ body: (Int) async throws -> Value
    ) async throws -> Value {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile("\(folder)/\(name).pem").map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: "\(folder)/\(name).key", format: .pem)))
        configuration.minimumTLSVersion = .tlsv1
        if isOld { configuration.maximumTLSVersion = .tlsv11 }
        let context = try NIOSSLContext(configuration: configuration)
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handlers = channel.pipeline.syncOperations
                    switch opening {
                    case .handshake: try handlers.addHandler(NIOSSLServerHandler(context: context))
                    case .agreement: try handlers.addHandler(RequestAnswer(context))
                    case .refusal: try handlers.addHandler(RequestAnswer(nil))
                    }
                    try handlers.addHandler(ErrorEnd())
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let result: Result<Value, any Error>
        do {
            result = .success(try await body(server.localAddress?.port ?? 0))
        } catch {
            result = .failure(error)
        }
        try await server.close()
        return try result.get()
    }
}

/// Answers the eight bytes of an SSLRequest.
private final class RequestAnswer: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let context: NIOSSLContext?

    init(_ context: NIOSSLContext?) {
        self.context = context
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let answer = ByteBuffer(string: self.context == nil ? "N" : "S")
        context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
        guard let tls = self.context else { return }
        do {
            try context.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls), position: .after(self))
            context.pipeline.syncOperations.removeHandler(self, promise: nil)
        } catch {
            context.close(promise: nil)
        }
    }
}

/// A client that turned away is no error worth a word.
private final class ErrorEnd: ChannelInboundHandler {
    typealias InboundIn = Any

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
