import ChildProcesses
import Glibc

/// The private PostgreSQL or RabbitMQ server. `ops/lib/servers` starts it; signals are sent to it directly.
struct Server: Sendable {
    enum Name: String, Sendable {
        case postgres, rabbitmq
    }

    let name: Name
    /// The folder in which `ops/lib/servers` keeps the servers that it has started.
    let home: String
    let script: String

    /// The id of the server process; nil when it does not run.
    var identifier: pid_t? {
        guard let line = readFile("\(home)/run/\(name.rawValue)")?.split(separator: "\n").first else { return nil }
        let parts = line.split(separator: " ")
        guard parts.count == 2, let identifier = pid_t(parts[0]),
            let process = ProcessTable.process(identifier), process.isAlive, process.startTime == parts[1]
        else { return nil }
        return identifier
    }

    /// Sends a signal, and waits until the server and all its children have ended.
    func end(by signal: Int32) async throws {
        guard let identifier else { return }
        let children = ProcessTable.children(of: identifier)
        Glibc.kill(identifier, signal)
        try await waitUntil("\(name.rawValue) and its children have ended") {
            ProcessTable.process(identifier)?.isAlive != true
                && !children.contains { ProcessTable.process($0.identifier) == $0 }
        }
    }

    /// Suspends the server and its children. PostgreSQL's backends are separate processes; the postmaster is suspended
    /// first, so that it starts no more of them.
    func freeze() {
        guard let identifier else { return }
        Glibc.kill(identifier, SIGSTOP)
        for child in ProcessTable.children(of: identifier) { Glibc.kill(child.identifier, SIGSTOP) }
    }

    func thaw() {
        guard let identifier else { return }
        for child in ProcessTable.children(of: identifier) { Glibc.kill(child.identifier, SIGCONT) }
        Glibc.kill(identifier, SIGCONT)
    }

    /// Starts the server and waits until it listens.
    func start() async throws {
        _ = try await call("start")
    }

    /// The numbers of ready and of unacknowledged messages, by queue.
    func queues() async throws -> [String: (ready: Int, unacknowledged: Int)] {
        var queues: [String: (ready: Int, unacknowledged: Int)] = [:]
        for line in try await call("queues").split(separator: "\n") {
            let parts = line.split(separator: "\t")
            guard parts.count == 3, let ready = Int(parts[1]), let unacknowledged = Int(parts[2]) else { continue }
            queues[String(parts[0])] = (ready, unacknowledged)
        }
        return queues
    }

    /// Deletes a queue with its messages.
    func deleteQueue(_ name: String) async throws {
        _ = try await call("delete-queue", name)
    }

    private func call(_ action: String, _ arguments: String...) async throws -> String {
        let log = "\(home)/log/\(action)-\(name.rawValue).\(UInt32.random(in: 0...UInt32.max))"
        defer { _ = unlink(log) }
        let result = try await ChildProcess.run(
            ["/bin/bash", script, home, action, name.rawValue] + arguments,
            environment: ["PATH": environmentVariable("PATH") ?? "/usr/bin:/bin", "LANG": "C.UTF-8"], logPath: log)
        guard result.status == 0 else {
            throw TortureError("\(action) \(name.rawValue) failed with status \(result.status): \(result.output)")
        }
        return result.output
    }
}

/// Reads processes from `/proc`.
enum ProcessTable {
    struct Process: Equatable {
        let identifier: pid_t
        let parent: pid_t
        let isAlive: Bool
        let startTime: Substring

        static func == (left: Process, right: Process) -> Bool {
            left.identifier == right.identifier && left.startTime == right.startTime && left.isAlive == right.isAlive
        }
    }

    static func process(_ identifier: pid_t) -> Process? {
        guard let text = readFile("/proc/\(identifier)/stat"), let name = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: name)...].split(separator: " ")
        guard fields.count > 19, let parent = pid_t(fields[1]) else { return nil }
        return Process(
            identifier: identifier, parent: parent, isAlive: fields[0] != "Z" && fields[0] != "X",
            startTime: fields[19])
    }

    static func children(of parent: pid_t) -> [Process] {
        guard let folder = opendir("/proc") else { return [] }
        defer { closedir(folder) }
        var found: [Process] = []
        while let item = readdir(folder) {
            let name = withUnsafePointer(to: &item.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard let identifier = pid_t(name), let process = process(identifier), process.parent == parent else {
                continue
            }
            found.append(process)
        }
        return found
    }
}
