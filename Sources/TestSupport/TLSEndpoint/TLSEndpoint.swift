import NIOCore
import NIOPosix
import NIOSSL

/// A loopback server that presents a certificate and then sends nothing. It tests clients that must reject the
/// connection.
package enum TLSEndpoint {
    /// The server's behaviour before the TLS handshake.
    package enum Opening: Sendable {
        /// Starts with the handshake, as AMQPS does.
        case handshake
        /// Accepts PostgreSQL's SSLRequest.
        case agreement
        /// Rejects PostgreSQL's SSLRequest.
        case refusal
    }

    /// Runs the body while the server listens.
    ///
    /// - Parameters:
    ///   - name: The base name of the certificate and key files `NAME.pem` and `NAME.key` in the folder.
    ///   - isOld: True for a server that supports at most TLS 1.1.
    ///   - body: Receives the port.
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

/// Answers PostgreSQL's SSLRequest, which has eight bytes.
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

/// Closes the connection on an error. A client that rejects the certificate is expected.
private final class ErrorEnd: ChannelInboundHandler {
    typealias InboundIn = Any

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
