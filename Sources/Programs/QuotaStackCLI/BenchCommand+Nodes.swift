import AsyncHTTPClient
import ChildProcesses
import Glibc
import JSON
import LoadGenerator
import NIOCore
import NIOHTTP1
import Runtime

// The scenarios that need a second node.

extension BenchCommand {
    /// The time from the answer to a use on the first node to the answer of a check on a second node that had to wait
    /// for it.
    func freshness(_ target: LoadTarget) async throws -> [BenchmarkRow] {
        let node = try await SecondNode.start()
        defer { node.stop() }
        _ = try await node.ready()
        let url = try apiURL(nil)
        let key = target.apiKey ?? ""
        var latency = LatencyHistogram()
        for number in 0..<Int(200 * seconds) {
            let endUser = "user_\(number % endUsers)"
            var use = HTTPClientRequest(url: url + "/v1/usage")
            use.method = .POST
            use.headers.add(name: "Content-Type", value: "application/json")
            use.body = .bytes(
                ByteBuffer(string: #"{"end_user_id":"\#(endUser)","feature_key":"api_calls","units":1}"#))
            let (used, body) = try await send(use, key)
            guard let position = used.headers.first(name: "QuotaStack-Position") else {
                throw CallError("The use has no position: \(body)")
            }
            var check = HTTPClientRequest(
                url: node.url + "/v1/entitlements/check?end_user_id=\(endUser)&feature_key=api_calls")
            check.headers.add(name: "QuotaStack-Min-Position", value: position)
            let start = ContinuousClock.now
            let (checked, answer) = try await send(check, key)
            guard checked.status == .ok else { throw CallError("The check failed: \(answer)") }
            latency.record(nanoseconds: UInt64(max(0, (ContinuousClock.now - start).seconds) * 1e9))
        }
        return [
            BenchmarkRow(
                scenario: "freshness p99", ours: .nanoseconds(latency.summary.p99), latency: latency.summary)
        ]
    }

    /// The cold start of a node, and the memory that its end users take. The memory of a node without end users is not
    /// subtracted.
    func replica() async throws -> [BenchmarkRow] {
        let node = try await SecondNode.start()
        defer { node.stop() }
        let seconds = try await node.ready()
        let memory = node.memory ?? 0
        progress("\(memory / endUsers) bytes for each of \(endUsers) end users, with those of a node without any")
        return [
            BenchmarkRow(
                scenario: "replica", ours: .perSecond(Double(endUsers) / seconds), peakMemory: memory)
        ]
    }

    private func send(_ request: HTTPClientRequest, _ key: String) async throws -> (HTTPClientResponse, String) {
        var request = request
        request.headers.add(name: "Authorization", value: "Bearer \(key)")
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(30))
        return (response, String(buffer: try await response.body.collect(upTo: 1 << 20)))
    }
}

/// An entitlement node beside the measured installation, of the build that runs this command.
private struct SecondNode {
    let url: String
    private let process: ChildProcess
    private let start: ContinuousClock.Instant

    static func start() async throws -> SecondNode {
        let port = try LoopbackPorts.next()
        var variables = ChildProcess.inheritedEnvironment
        variables["QUOTASTACK_PORT"] = "\(port)"
        variables["QUOTASTACK_HOST"] = "127.0.0.1"
        variables["QUOTASTACK_LOG_LEVEL"] = "error"
        let program = CommandLine.arguments[0]
        let folder = program.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        let start = ContinuousClock.now
        let process = try await ChildProcess.start(
            ["\(folder)/quotastack-entitlements"], environment: variables,
            logPath: "/tmp/quotastack-bench-node-\(port).log")
        return SecondNode(url: "http://127.0.0.1:\(port)", process: process, start: start)
    }

    /// The seconds until the node is ready.
    func ready() async throws -> Double {
        while ContinuousClock.now - start < .seconds(120) {
            if process.hasEnded { throw CallError("The second node ended: \(process.log.suffix(500))") }
            let answer = try? await HTTPClient.shared.execute(
                HTTPClientRequest(url: url + "/readyz"), timeout: .seconds(2))
            if answer?.status == .ok { return (ContinuousClock.now - start).seconds }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw CallError("The second node was not ready in two minutes.")
    }

    var memory: Int? { process.identifier.flatMap { MachineFacts.residentMemory(ofProcess: $0) } }

    func stop() {
        process.signal(SIGTERM)
        _ = unlink(process.logPath)
    }
}
