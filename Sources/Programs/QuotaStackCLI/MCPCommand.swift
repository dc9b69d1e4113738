import API
import ArgumentParser
import Credits
import Docs
import Glibc
import JSON
import MCP
import NIOCore
import NIOPosix

/// Serves the Model Context Protocol on standard input and output, for editors and agents that start the command.
struct MCPCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mcp",
        abstract: "Serve the Model Context Protocol on standard input and output, for editors and agents.",
        discussion: """
            The tools search and read the documentation, which needs no installation, and with an API key they ask the \
            installation: checks, balances, explanations, the ledger, usage, plans and subscriptions, as far as the key's \
            scopes allow. Tools that change anything need the key of a test environment.

            The key comes from QUOTASTACK_TEST_KEY or QUOTASTACK_LIVE_KEY, or from the file that the variable with _FILE \
            behind its name names. /docs/ai-editors shows the configuration of each editor.
            """)

    @OptionGroup var options: EnvironmentOptions

    func run() async throws {
        let server = MCPServer(site: DocsSite.current)
        let installation = try installation()
        let caller = MCPCaller(
            environment: installation?.environment,
            tools: { await installation?.tools() ?? Tool.all.filter { $0.isShown(in: nil) } },
            send: { call throws(ToolFailure) in
                guard let installation else {
                    throw ToolFailure(
                        "No installation is configured. Set QUOTASTACK_URL and QUOTASTACK_TEST_KEY in the editor's settings."
                    )
                }
                return try await installation.send(call)
            })
        var lines = MessageLines()
        while let line = try await lines.next() {
            let reply: MCPReply
            if let message = line.bytes {
                reply = await server.reply(to: message, headers: nil, caller: caller)
            } else {
                reply = .tooLarge
            }
            if let body = reply.body { try write(body + [UInt8(ascii: "\n")]) }
        }
    }

    /// The installation whose API the tools call; nil when none is configured.
    private func installation() throws -> MCPInstallation? {
        guard let key = try options.optionalKey() else { return nil }
        guard let kind = APIKey.kind(of: key), kind != .root else {
            throw ValidationError("The key is not the key of an environment. Check that it was copied whole.")
        }
        return MCPInstallation(
            client: APIClient(url: try apiURL(options.url), key: key), environment: kind == .live ? .live : .test)
    }

    /// Writes bytes to standard output.
    private func write(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            guard count >= 0 || errno == EINTR else { throw CallError("The client has closed its end.") }
            rest = rest.dropFirst(max(count, 0))
        }
    }
}

/// The API of an installation, as the tools call it.
private struct MCPInstallation: Sendable {
    let client: APIClient
    let environment: EnvironmentKind

    /// Makes a call of a tool.
    func send(_ call: APICall) async throws(ToolFailure) -> APIAnswer {
        do {
            let answer = try await client.exchange(
                call.method, call.target, body: call.body, idempotencyKey: call.idempotencyKey,
                upTo: MCPLimits.answerBytes)
            return APIAnswer(status: Int(answer.status), body: answer.bytes)
        } catch is NIOTooManyBytesError {
            throw .answerTooLarge
        } catch {
            throw ToolFailure("\(error)")
        }
    }

    /// The tools that the key may use. The installation knows the scopes of the key, and which endpoints it has, so its
    /// own list decides; when it does not answer, only the tools of the documentation are shown.
    func tools() async -> [Tool] {
        let question = #"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#
        var names: Set<String> = []
        do {
            let answer = try await client.call("POST", "/mcp", body: Array(question.utf8))
            names = Set((answer["result"]?["tools"]?.items ?? []).compactMap { $0["name"]?.text })
        } catch {
            writeError("The tools of the API are not shown: \(error)\n")
        }
        return Tool.all.filter { $0.endpoint == nil || names.contains($0.name) }
    }
}

/// The lines of standard input, each of which is a message. Nothing is read ahead of the message that is being answered,
/// beyond one piece.
private struct MessageLines {
    /// A line; without its bytes when it is longer than a message may be.
    struct Line {
        let bytes: [UInt8]?
    }

    private var piece = ArraySlice<UInt8>()
    private var isAtEnd = false

    /// - Returns: Nil at the end of the input. Empty lines are skipped.
    mutating func next() async throws -> Line? {
        var line: [UInt8] = []
        var isTooLong = false
        while true {
            if piece.isEmpty, !isAtEnd { try await readPiece() }
            guard !piece.isEmpty else { break }
            let end = piece.firstIndex(of: UInt8(ascii: "\n"))
            let part = piece[..<(end ?? piece.endIndex)]
            piece = end.map { piece[($0 + 1)...] } ?? []
            if line.count + part.count > MCPLimits.messageBytes { isTooLong = true }
            if isTooLong { line = [] } else { line += part }
            guard end != nil else { continue }
            if isTooLong { return Line(bytes: nil) }
            if line.contains(where: { ![0x20, 0x09, 0x0D].contains($0) }) { return Line(bytes: line) }
            line = []
        }
        return line.isEmpty ? nil : Line(bytes: line)
    }

    /// Reads what is there, on a thread for blocking calls.
    private mutating func readPiece() async throws {
        let bytes = try await NIOThreadPool.singleton.runIfActive { () -> [UInt8] in
            var buffer = [UInt8](repeating: 0, count: 16 << 10)
            while true {
                let count = Glibc.read(STDIN_FILENO, &buffer, buffer.count)
                if count < 0, errno == EINTR { continue }
                return Array(buffer.prefix(max(count, 0)))
            }
        }
        isAtEnd = bytes.isEmpty
        piece = bytes[...]
    }
}
