import RabbitMQ
import TLSEndpoint
import Testing

/// The broker of the tests has a certificate for localhost from a private authority.
@Suite(.timeLimit(.minutes(5))) struct TLSTests {
    private struct Missing: Error, CustomStringConvertible {
        let description = "the variables for TLS are not set: ./ops/test starts servers with TLS and sets them"
    }

    private let url: String
    private let folder: String

    init() throws {
        guard let url = environment("QUOTASTACK_TEST_AMQP_TLS_URL"),
            let folder = environment("QUOTASTACK_TEST_TLS_FOLDER")
        else { throw Missing() }
        self.url = url
        self.folder = folder
    }

    @Test("messages of every size pass over a verified connection, in both directions and in order")
    func verified() async throws {
        let configuration = try AMQPConfiguration(url: url)
        try await Broker.withQueue { queue in
            try await Broker.withPublisher(configuration) { publisher, _ in
                var running = try await RunningConsumer(configuration, queues: [queue], prefetch: 1_000)
                let sizes = [0, 1, 16_383, 16_384, 16_385, 131_072, 1_000_003] + (0..<300).map { $0 * 37 }
                for size in sizes {
                    try await publisher.publish(
                        AMQPMessage(routingKey: queue, body: [UInt8](repeating: UInt8(size % 251), count: size)))
                }
                let deliveries = await running.next(sizes.count)
                #expect(deliveries.map(\.body.count) == sizes)
                #expect(zip(deliveries, sizes).allSatisfy { $0.body.allSatisfy { [size = $1] in $0 == size % 251 } })
                running.consumer.acknowledge(deliveries.map(\.tag))
                await running.stop()
            }
        }
    }

    @Test("a broker whose certificate is not from a trusted authority is refused")
    func wrongAuthority() async throws {
        let text = try await refusal(url.replacing("authority.pem", with: "stranger.pem"))
        #expect(text.contains("SSL"), "\(text)")
    }

    @Test("a broker with a certificate for another name is refused")
    func wrongName() async throws {
        let text = try await refusal(url.replacing("localhost", with: "127.0.0.1"))
        #expect(text.contains("hostname"), "\(text)")
    }

    @Test("a broker with an expired certificate is refused")
    func expired() async throws {
        let text = try await TLSEndpoint.serving("expired", in: folder, .handshake) { try await refusal(url(port: $0)) }
        #expect(text.contains("SSL"), "\(text)")
    }

    @Test("a broker that speaks nothing newer than TLS 1.1 is refused")
    func oldVersion() async throws {
        let text = try await TLSEndpoint.serving("server", in: folder, .handshake, isOld: true) {
            try await refusal(url(port: $0))
        }
        #expect(text.contains("SSL"), "\(text)")
    }

    @Test("a broker that does not speak TLS is refused")
    func plainText() async throws {
        let plain = try Broker.configuration()
        let text = try await refusal(url(port: Int(plain.endpoints[0].port)))
        #expect(text.contains("SSL"), "\(text)")
    }

    @Test("files that cannot be read are named by their purpose")
    func unreadableFiles() async throws {
        let authorities = try await refusal(url.replacing("authority.pem", with: "nothing.pem"))
        #expect(authorities.contains("certificate authorities"), "\(authorities)")
        let key = try await refusal("\(url)&certfile=\(folder)/client.pem&keyfile=\(folder)/server.key")
        #expect(key.contains("client certificate or its key"), "\(key)")
    }

    @Test("a client certificate is presented, and one that the broker does not trust is refused")
    func clientCertificate() async throws {
        let trusted = try AMQPConfiguration(url: "\(url)&certfile=\(folder)/client.pem&keyfile=\(folder)/client.key")
        try await AMQPTopology.check([], configuration: trusted)
        _ = try await refusal("\(url)&certfile=\(folder)/stranger.pem&keyfile=\(folder)/stranger.key")
    }

    private func url(port: Int) throws -> String {
        let configured = try AMQPConfiguration(url: url)
        return url.replacing("localhost:\(configured.endpoints[0].port)/", with: "localhost:\(port)/")
    }

    /// The error of a connection that must fail.
    private func refusal(_ url: String) async throws -> String {
        let error = await #expect(throws: AMQPError.self) {
            try await AMQPTopology.check([], configuration: try AMQPConfiguration(url: url))
        }
        return "\(try #require(error))"
    }
}
