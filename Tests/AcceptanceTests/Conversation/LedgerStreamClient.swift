import AsyncHTTPClient
import ChildProcesses
import JSON
import NIOCore
import NIOHTTP1
import Synchronization

/// A client of `GET /v1/ledger/stream`. It reads in a task of its own until it is ended.
final class LedgerStreamClient: Sendable {
    struct Event: Sendable {
        let id: String
        let data: JSONValue
    }

    private struct State {
        var events: [Event] = []
        /// The number of events that the test has taken.
        var taken = 0
        /// The last id of any kind.
        var place: String?
        var isOver = false
        var lines = ""
    }

    private let state = Mutex(State())
    private let reading = Mutex<Task<Void, Never>?>(nil)

    fileprivate init(_ body: HTTPClientResponse.Body) {
        let task = Task { [self] in
            do {
                for try await chunk in body { read(String(buffer: chunk)) }
            } catch {
                // A stream that was cut off is over too.
            }
            state.withLock { $0.isOver = true }
        }
        reading.withLock { $0 = task }
    }

    var place: String? { state.withLock { $0.place } }

    /// Waits for a number of further events, in the order in which they came.
    func events(_ count: Int) async throws -> [Event] {
        try await waitUntil("\(count) events of the stream") {
            state.withLock { $0.events.count - $0.taken >= count || $0.isOver }
        }
        return try state.withLock { state in
            guard state.events.count - state.taken >= count else {
                throw HarnessError("the stream ended after \(state.events.count - state.taken) of \(count) events")
            }
            defer { state.taken += count }
            return Array(state.events[state.taken..<state.taken + count])
        }
    }

    /// Waits until the server ends the stream.
    func ended() async throws {
        try await waitUntil("the stream ends") { state.withLock { $0.isOver } }
    }

    /// Closes the connection.
    func end() { reading.withLock { $0 }?.cancel() }

    /// Reads the text of server-sent events: fields line by line, and an empty line after each event.
    private func read(_ text: String) {
        state.withLock { state in
            state.lines += text
            while let end = state.lines.firstRange(of: "\n\n") {
                let event = String(state.lines[..<end.lowerBound])
                state.lines.removeSubrange(..<end.upperBound)
                var fields: [String: String] = [:]
                for line in event.split(separator: "\n") where !line.hasPrefix(":") {
                    let parts = line.split(separator: ":", maxSplits: 1).map(String.init)
                    fields[parts[0]] = parts.count > 1 ? String(parts[1].drop { $0 == " " }) : ""
                }
                if let id = fields["id"] { state.place = id }
                guard let text = fields["data"], let id = fields["id"],
                    let data = try? JSONParser.parse(Array<UInt8>(text.utf8))
                else { continue }
                state.events.append(Event(id: id, data: data))
            }
        }
    }
}

extension Client {
    /// Opens a stream of the ledger, and waits until it has begun.
    ///
    /// - Parameter place: The last id that the client has seen.
    func watch(_ query: String = "", after place: String? = nil) async throws -> LedgerStreamClient {
        var request = HTTPClientRequest(url: url + "/v1/ledger/stream" + query)
        if let key { request.headers.add(name: "Authorization", value: "Bearer \(key)") }
        if let place { request.headers.add(name: "Last-Event-ID", value: place) }
        let response = try await http.execute(request, timeout: .minutes(5))
        guard response.status == .ok, response.headers.first(name: "content-type") == "text/event-stream" else {
            throw HarnessError("the stream was answered \(response.status)")
        }
        let stream = LedgerStreamClient(response.body)
        try await waitUntil("the stream begins") { stream.place != nil }
        return stream
    }
}
