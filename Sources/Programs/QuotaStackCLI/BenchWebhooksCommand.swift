import ArgumentParser
import JSON
import LoadGenerator
import Logging
import Runtime

/// Measures the delivery of many events to local receivers, without and with a dead endpoint.
struct BenchWebhooksCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench-webhooks",
        abstract: "Measure the delivery of events to local receivers, one of them dead; ./ops/bench webhooks.",
        discussion: """
            The command needs an installation on this machine that allows deliveries to 127.0.0.1, and its root key. The \
            endpoints are disabled while the events are made, and the time counts from the moment at which they are \
            enabled. The rate is that from the first to the last delivery that arrived.
            """)

    /// As many as an environment may have.
    private static let endpointsOfTenant = 20

    @Option(help: "Deliveries of all endpoints together.") var deliveries = 50_000
    @Option(help: "Endpoints, in environments of 20.") var endpoints = 100
    @Option(help: "Seconds until which everything must have arrived.") var patience = 300.0

    func run() async throws {
        try LogSetup.start(level: try await Settings.load().logLevel)
        let living = try await measure(dead: 0)
        let withDead = try await measure(dead: 1)
        print(
            """
            | \(deliveries) deliveries to \(endpoints) endpoints | per second | median s | p99 s | last s |
            |---|---|---|---|---|
            \(living.line("all living"))
            \(withDead.line("one dead"))
            """)
    }

    private struct Measurement {
        let perSecond: Double
        /// Seconds from the enabling of the endpoints to each arrival, in order.
        let arrivals: [Double]

        func line(_ name: String) -> String {
            func text(_ seconds: Double) -> String { String((seconds * 100).rounded() / 100) }
            let p99 = arrivals[arrivals.count * 99 / 100]
            return
                "| \(name) | \(Int(perSecond)) | \(text(arrivals[arrivals.count / 2])) | \(text(p99)) | \(text(arrivals[arrivals.count - 1])) |"
        }
    }

    private func measure(dead: Int) async throws -> Measurement {
        let farm = ReceiverFarm(count: endpoints)
        let port = try await farm.listen()
        let events = deliveries / endpoints
        var paths: [(client: APIClient, path: String)] = []
        writeError("making \(endpoints) endpoints and \(events) events for each\n")
        for first in stride(from: 0, to: endpoints, by: Self.endpointsOfTenant) {
            let tenant = try await tenant()
            for number in first..<min(first + Self.endpointsOfTenant, endpoints) {
                // Nobody listens on port 9.
                let url = "http://127.0.0.1:\(number < dead ? 9 : port)/\(number)"
                let body = #"{"url":"\#(url)","event_types":["subscription.created"]}"#
                let made = try await tenant.client.call("POST", "/v1/webhook-endpoints", body: Array(body.utf8))
                guard let id = made["id"]?.text else { throw CallError("The webhook endpoint has no id.") }
                let path = "/v1/webhook-endpoints/\(id)"
                _ = try await tenant.client.call("PATCH", path, body: Array(#"{"enabled":false}"#.utf8))
                paths.append((tenant.client, path))
            }
            try await subscribe(events, tenant)
        }
        let begun = ContinuousClock.now
        for (client, path) in paths {
            _ = try await client.call("PATCH", path, body: Array(#"{"enabled":true}"#.utf8))
        }
        let expected = (endpoints - dead) * events
        while farm.received < expected {
            guard ContinuousClock.now - begun < .seconds(patience) else {
                throw CallError("Only \(farm.received) of \(expected) deliveries arrived in time.")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        let times = farm.arrivalTimes.flatMap(\.self).sorted()
        try await farm.close()
        guard let first = times.first, let last = times.last else { throw CallError("No delivery was expected.") }
        return Measurement(
            perSecond: Double(times.count) / max(0.001, (last - first).seconds),
            arrivals: times.map { ($0 - begun).seconds })
    }

    private func tenant() async throws -> (client: APIClient, target: LoadTarget) {
        let url = try apiURL(nil)
        guard let port = url.split(separator: ":").last.flatMap({ Int($0) }) else {
            throw ValidationError("The benchmark loads an installation on 127.0.0.1 only, not \(url).")
        }
        let answer = try await RootOptions.parse([]).client().call(
            "POST", "/v1/admin/tenants", body: Array(#"{"name":"benchmark"}"#.utf8))
        guard let key = answer["api_keys"]?["live"]?.text else {
            throw CallError("The answer to POST /v1/admin/tenants has no keys.")
        }
        return (APIClient(url: url, key: key), LoadTarget(port: port, apiKey: key))
    }

    /// Subscribes as many end users, each of which makes one event `subscription.created`.
    private func subscribe(_ count: Int, _ tenant: (client: APIClient, target: LoadTarget)) async throws {
        _ = try await tenant.client.call("POST", "/v1/plans", body: Array(#"{"key":"bench","name":"Bench"}"#.utf8))
        _ = try await tenant.client.call(
            "POST", "/v1/plans/bench/variants",
            body: Array(
                #"{"key":"bench","name":"Bench","billing_interval":{"unit":"month"},"billing_mode":"postpaid"}"#.utf8))
        let (target, connections) = (tenant.target, 32)
        let result = try await ClosedLoop(target: target, connections: connections, limit: .requests(count)).run(
            LoadScript(request: { connection, sequence in
                let number = sequence * connections + connection
                return target.post(
                    "/v1/subscriptions",
                    Array(#"{"end_user_id":"user_\#(number)","plan_variant_id":"bench"}"#.utf8))
            }))
        guard result.isClean else { throw CallError("/v1/subscriptions: \(result.firstFailure ?? "?")") }
    }
}
