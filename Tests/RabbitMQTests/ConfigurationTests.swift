import RabbitMQ
import Testing

@Suite struct ConfigurationTests {
    @Test("a URL gives every part, percent-decoded")
    func everyPart() throws {
        let configuration = try AMQPConfiguration(
            url: "amqp://us%40er:pa%3Ass@broker.example:5673/prod%2Feu?heartbeat=7")
        #expect(configuration.user == "us@er")
        #expect(configuration.endpoints[0].host == "broker.example")
        #expect(configuration.endpoints[0].port == 5673)
        #expect(configuration.virtualHost == "prod/eu")
        #expect(configuration.heartbeatSeconds == 7)
        #expect(configuration.tls == nil)
    }

    @Test("absent parts have their usual values", arguments: ["amqp://broker", "amqp://broker/", "amqp://broker/%2F"])
    func defaults(url: String) throws {
        let configuration = try AMQPConfiguration(url: url)
        #expect(configuration.user == "guest")
        #expect(configuration.endpoints[0].port == 5672)
        #expect(configuration.virtualHost == "/")
        #expect(configuration.heartbeatSeconds == 10)
        #expect(configuration.connectTimeout == .seconds(5))
    }

    @Test("a URL names several nodes, each with its port")
    func severalNodes() throws {
        let configuration = try AMQPConfiguration(url: "amqp://u:p@a:1,b,[::1]:3/v?connection_timeout=2400")
        #expect(configuration.endpoints.map(\.description) == ["a:1", "b:5672", "[::1]:3"])
        #expect(configuration.virtualHost == "v")
        #expect(configuration.description == "amqp://u:***@a:1,b:5672,[::1]:3 virtual host v")
        let each = configuration.eachEndpoint
        #expect(each.map(\.description) == ["a:1", "b:5672", "[::1]:3"].map { "amqp://u:***@\($0) virtual host v" })
        #expect(each.allSatisfy { $0.connectTimeout == .seconds(1) })
    }

    @Test("TLS verifies the broker unless told otherwise")
    func tls() throws {
        let verifying = try AMQPConfiguration(url: "amqps://[::1]?cacertfile=/etc/broker%20ca.pem")
        #expect(verifying.endpoints[0].host == "::1")
        #expect(verifying.endpoints[0].port == 5671)
        #expect(verifying.tls?.verifiesPeer == true)
        #expect(verifying.tls?.authoritiesFile == "/etc/broker ca.pem")
        let trusting = try AMQPConfiguration(url: "amqps://broker?verify=verify_none")
        #expect(trusting.tls?.verifiesPeer == false)
    }

    @Test(
        "a URL that cannot be used is refused without quoting it",
        arguments: [
            "hunter2", "http://u:hunter2@broker", "amqp://u:hunter2@", "amqp://u:hunter2@broker:0",
            "amqp://u:hunter2@broker:port", "amqp://u:hunter2%4@broker", "amqp://u:hunter2%FF@broker",
            "amqp://u:hunter2@broker?verify=verify_none", "amqps://u:hunter2@broker?verify=no",
            "amqps://u:hunter2@broker?certfile=/c", "amqp://u:hunter2@broker?heartbeat=x",
            "amqp://u:hunter2%00@broker", "amqp://u:hunter2@[::1", "amqp://u:hunter2@a,", "amqp://u:hunter2@a:1,:2",
        ])
    func refused(url: String) {
        let error = #expect(throws: AMQPConfigurationError.self) { try AMQPConfiguration(url: url) }
        #expect(error?.description.contains("hunter2") == false)
    }

    @Test("no way of printing a configuration shows the password")
    func passwordIsHidden() throws {
        let configuration = try AMQPConfiguration(url: "amqp://user:hunter2@broker/")
        var dumped = ""
        dump(configuration, to: &dumped)
        dump([configuration], to: &dumped)
        dumped += "\(configuration) \(String(reflecting: configuration)) \(Optional(configuration) as Any)"
        #expect(!dumped.contains("hunter2"))
        #expect(dumped.contains("amqp://user:***@broker:5672"))
    }
}
