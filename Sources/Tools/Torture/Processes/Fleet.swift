import ChildProcesses
import Glibc
import Synchronization

/// The installation under torture: its processes and its two servers.
final class Fleet: Sendable {
    let nodes: [Node]
    let postgres: Server
    let rabbitmq: Server
    private let findings = Mutex<[String]>([])
    private let givenUp = Mutex(0)
    private let hits = Mutex<[String: Int]>([:])

    init(nodes: [Node], postgres: Server, rabbitmq: Server) {
        self.nodes = nodes
        self.postgres = postgres
        self.rabbitmq = rabbitmq
    }

    var apiNodes: [Node] { nodes.filter { $0.role == .api } }
    /// Nodes that answer checks.
    var checkingNodes: [Node] { nodes.filter { [.api, .entitlements].contains($0.role) } }

    /// Unexpected behaviour of processes, in sentences.
    var reports: [String] { findings.withLock { $0 } }

    /// The number of processes that ended by themselves because they could not reach a server when they started.
    var startsGivenUp: Int { givenUp.withLock { $0 } }

    /// The number of times that a process ended itself, by failpoint.
    var failpointHits: [String: Int] { hits.withLock { $0 } }

    func report(_ sentence: String) {
        progress(sentence)
        findings.withLock { $0.append(sentence) }
    }

    func node(_ role: Node.Role, _ index: Int) -> Node {
        let candidates = nodes.filter { $0.role == role }
        return candidates[index % candidates.count]
    }

    func server(_ name: Server.Name) -> Server {
        name == .postgres ? postgres : rabbitmq
    }

    /// The name of the process that a fault hits.
    func name(of fault: Fault) -> String {
        switch fault.target {
        case .node(let role): node(role, fault.index).name
        case .server(let name): name.rawValue
        }
    }

    /// Starts a node, and restarts it whenever it ends unasked. An end without a failpoint or an unreachable server is
    /// reported.
    func start(_ node: Node) async throws {
        let began = ContinuousClock.now
        guard let (process, isEndWanted) = try await node.start() else { return }
        Task {
            let status = await process.ended()
            guard !isEndWanted() else { return }
            if status == 128 + SIGKILL, let failpoint = node.failpoint {
                hits.withLock { $0[failpoint, default: 0] += 1 }
            } else if status == 1, ContinuousClock.now - began < .seconds(15) {
                givenUp.withLock { $0 += 1 }
            } else {
                report("\(node.name) ended by itself with \(status)")
            }
            try? await Task.sleep(for: .milliseconds(200))
            try? await start(node)
        }
    }

    /// Waits until every process is ready.
    func waitUntilReady(_ http: HTTPCaller, within seconds: Int = 60) async throws {
        try await waitUntilReady(nodes, http, within: seconds)
    }

    /// Waits until some processes say that they are ready.
    func waitUntilReady(_ nodes: [Node], _ http: HTTPCaller, within seconds: Int = 60) async throws {
        for node in nodes {
            try await waitUntil("\(node.name) is ready", within: seconds) {
                if case .answered(let answer) = await http.send("GET", node, "/readyz", key: nil, limit: .seconds(3)) {
                    return answer.status == 200
                }
                return false
            }
        }
    }

    /// Asks a process to end. A process that does not end within 30 s, or ends with a failure, is reported.
    func terminate(_ node: Node) async {
        // A process handles signals once its services run, the last of which is its HTTP server.
        let isUp = node.isListening
        switch await node.terminate(within: 30) {
        case nil: report("\(node.name) did not stop within 30 s of SIGTERM")
        case 0: break
        case 128 + SIGTERM where !isUp: break
        case 1 where !isUp: givenUp.withLock { $0 += 1 }
        case let status?: report("\(node.name) ended with \(status) after SIGTERM")
        }
    }

    /// Asks all processes to end.
    func stop() async {
        await withTaskGroup(of: Void.self) { group in
            for node in nodes { group.addTask { await self.terminate(node) } }
        }
    }
}
