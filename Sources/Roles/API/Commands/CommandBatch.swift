import Answers
import Commands
import Credits
import Hummingbird
import JSON
import Ledger
import Messaging
import NIOCore
import Replica

/// A batch of usage events or of grants. Each item succeeds or fails by itself.
struct CommandBatch {
    /// The items of a batch.
    enum Kind {
        case events, grants

        /// The member of the body that has the items.
        var member: String { self == .events ? "events" : "grants" }
        var singular: String { self == .events ? "event" : "grant" }

        /// Reads the items as objects, to describe the body. A batch itself reads each item alone, so that it fails alone.
        func describe(_ reader: inout JSONReader) -> [Item]? {
            reader.objects(member, count: 1...CommandLimits.perBatch) { read(&$0) }
        }

        /// Reads an item, and reports its errors to the reader.
        func read(_ reader: inout JSONReader) -> Item? {
            switch self {
            case .events:
                guard let sent = UsageRequest(&reader) else { return nil }
                return Item(endUserID: sent.endUserID, action: .use(sent.event), idempotencyKey: sent.idempotencyKey)
            case .grants:
                let endUserID = reader.endUserID()
                let key = reader.optionalString("idempotency_key", length: 1...IdempotencyKey.maximumBytes)
                let grant = reader.grant()
                guard let endUserID, let grant else { return nil }
                return Item(endUserID: endUserID, action: .grant(grant), idempotencyKey: key)
            }
        }
    }

    /// An item as a client sent it.
    struct Item {
        let endUserID: EndUserID
        let action: AccountAction
        let idempotencyKey: String?
    }

    private let kind: Kind
    private let services: APIServices
    private let caller: Caller
    private let headers: MutationHeaders
    private var commands: [(index: Int, command: AccountCommand)] = []
    private var outcomes: [ItemOutcome] = []
    private var listedErrors = 0

    /// The errors that are listed in full: those of an item are at most twenty.
    private static let mostListedErrors = 1_000

    /// The outcome of one item.
    private enum ItemOutcome {
        case waiting
        /// The entry is that of a grant; an event has the number of its entry in its own id.
        case accepted(id: String, entryID: String?, isReplay: Bool, Position)
        /// The problem as JSON.
        case rejected([UInt8])
    }

    init(_ kind: Kind, services: APIServices, caller: Caller, headers: MutationHeaders) {
        self.kind = kind
        self.services = services
        self.caller = caller
        self.headers = headers
    }

    // MARK: - Reading

    /// Reads an object with the items in one member, or one item per line of NDJSON.
    mutating func read(_ request: Request) async throws {
        let linesTypes = ["application/x-ndjson", "application/ndjson", "application/jsonl"]
        let buffer = try await request.bytes(upTo: .batch, ["application/json"] + linesTypes)
        if let mediaType = request.mediaType, linesTypes.contains(mediaType) {
            for line in try lines(of: buffer.readableBytesView) {
                do throws(Problem) {
                    add(try Request.parse(ByteBuffer(line), .single), pointer: "")
                } catch {
                    reject(error)
                }
            }
        } else {
            let body = try Request.parse(buffer, .batch)
            let items = try API.read(body) { $0.array(kind.member) }
            try checkCount(items.count)
            for (index, item) in items.enumerated() { add(item, pointer: "/\(kind.member)/\(index)") }
        }
    }

    /// The lines that are not blank.
    private func lines(of bytes: ByteBufferView) throws(Problem) -> [ByteBufferView] {
        var lines: [ByteBufferView] = []
        var rest = bytes
        // One line more than are allowed is enough to refuse the batch.
        while !rest.isEmpty, lines.count <= CommandLimits.perBatch {
            let line = rest.prefix { $0 != UInt8(ascii: "\n") }
            rest = rest[line.endIndex...].dropFirst()
            let isBlank = line.allSatisfy {
                $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\r") || $0 == UInt8(ascii: "\t")
            }
            if !isBlank { lines.append(line) }
        }
        try checkCount(lines.count)
        return lines
    }

    private func checkCount(_ count: Int) throws(Problem) {
        guard (1...CommandLimits.perBatch).contains(count) else {
            throw Problem(
                .invalidRequest,
                "A batch has 1 to \(CommandLimits.perBatch) \(kind.member); this one has \(count > CommandLimits.perBatch ? "more" : "\(count)").",
                errors: [
                    Problem.FieldError(
                        pointer: "/\(kind.member)", detail: "must have 1 to \(CommandLimits.perBatch) items")
                ])
        }
    }

    private mutating func add(_ value: JSONValue, pointer: String) {
        let sent: Item
        do throws(Problem) {
            sent = try API.read(value, pointer: pointer) { kind.read(&$0) }
        } catch {
            return reject(error)
        }
        // Without a key of its own, an item's key is the batch's key and the item's index.
        let key = sent.idempotencyKey ?? headers.idempotencyKey.map { "\($0)#\(outcomes.count)" }
        guard key.map({ $0.utf8.count <= IdempotencyKey.maximumBytes }) ?? true else {
            return reject(
                Problem(
                    .invalidRequest,
                    "The batch's Idempotency-Key is too long: with the \(kind.singular)'s index it exceeds 255 bytes."))
        }
        commands.append(
            (
                outcomes.count,
                AccountCommand(
                    identity: CommandNaming(environmentID: caller.environmentID, idempotencyKey: key).identity(
                        content: sent.action.content(endUserID: sent.endUserID)), endUserID: sent.endUserID,
                    action: sent.action)
            ))
        outcomes.append(.waiting)
    }

    /// Rejects the next item. A batch lists a bounded number of errors, and after them the first error of an item.
    private mutating func reject(_ problem: Problem) {
        var problem = problem
        if listedErrors > Self.mostListedErrors { problem.errors = Array(problem.errors.prefix(1)) }
        listedErrors += problem.errors.count
        outcomes.append(.rejected(Self.json(problem)))
    }

    private static func json(_ problem: Problem) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        problem.write(into: &json)
        json.endObject()
        return json.bytes
    }

    // MARK: - Sending

    /// Sends the commands, in requests of at most `CommandLimits.perRequest` commands and `CommandLimits.messageBytes` to one
    /// queue. Answers when all are decided or the deadline has passed.
    mutating func run() async throws -> Response {
        let patience = headers.waiting.preferences.patience(usual: services.mutations.wait)
        let replies = await send(until: patience)
        let visible = max(patience.deadline, .now + .seconds(1))
        for (indices, reply) in replies {
            switch reply {
            case .results(let results):
                for (index, result) in zip(indices, results) {
                    set(result, at: index)
                    guard await services.replica.reaches(result.position, by: visible) else {
                        setUnknown(indices, Self.unseen)
                        break
                    }
                }
            case .refused(let problem): setUnknown(indices, problem)
            case .pending: setUnknown(indices, Self.undecided)
            }
        }
        return response()
    }

    private func send(until patience: CommandGateway.Patience) async -> [([Int], CommandGateway.Reply)] {
        var perQueue: [String: [(index: Int, command: AccountCommand)]] = [:]
        for (index, command) in commands {
            let queue = services.mutations.topology.ledgerQueue(
                environmentID: caller.environmentID, endUserID: command.endUserID)
            perQueue[queue, default: []].append((index, command))
        }
        // The id of a use is in its result without a body.
        let (gateway, origin, wantsBodies) = (services.mutations.gateway, headers.origin, kind != .events)
        return await withTaskGroup(of: ([Int], CommandGateway.Reply).self) { group in
            for (queue, items) in perQueue {
                for chunk in Self.chunks(items) {
                    group.addTask {
                        let reply = await gateway.send(
                            .account(chunk.map(\.command)), to: queue, from: origin, wantsBodies: wantsBodies,
                            until: patience)
                        return (chunk.map(\.index), reply)
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
    }

    private static func chunks(
        _ items: [(index: Int, command: AccountCommand)]
    ) -> [[(index: Int, command: AccountCommand)]] {
        var chunks: [[(index: Int, command: AccountCommand)]] = []
        var bytes = 0
        for item in items {
            let size = item.command.encodedSize
            let isFull = bytes + size > CommandLimits.messageBytes || chunks.last?.count == CommandLimits.perRequest
            if chunks.isEmpty || isFull {
                chunks.append([])
                bytes = 0
            }
            chunks[chunks.count - 1].append(item)
            bytes += size
        }
        return chunks
    }

    private mutating func set(_ result: CommandResult, at index: Int) {
        switch result.body {
        case .id(let id):
            outcomes[index] = .accepted(id: "\(id)", entryID: nil, isReplay: result.isReplay, result.position)
        case .json(let body) where (200..<300).contains(result.status):
            let answer = try? JSONParser.parse(body)
            outcomes[index] = .accepted(
                id: answer?["block"]?["id"]?.text ?? "", entryID: answer?["entry"]?["id"]?.text,
                isReplay: result.isReplay, result.position)
        case .json(let problem): outcomes[index] = .rejected(problem)
        }
    }

    private mutating func setUnknown(_ indices: [Int], _ problem: Problem) {
        let body = Self.json(problem)
        for index in indices { outcomes[index] = .rejected(body) }
    }

    private static let undecided = Problem(
        .unavailable,
        "The item was accepted but not decided in time. Repeat it with its idempotency_key to learn its outcome.",
        texts: ["outcome": "unknown"])
    private static let unseen = Problem(
        .replicaBehind,
        "The item was decided, but this node cannot show its effect yet. Repeat it with its idempotency_key.",
        texts: ["outcome": "unknown"])

    // MARK: - Answering

    /// Items of several accounts have no common position, so each result has its own. The header has the position of the
    /// last accepted item.
    private func response() -> Response {
        var accepted: Int64 = 0
        var replayed: Int64 = 0
        var rejected: Int64 = 0
        var lastPosition = Position.none
        for outcome in outcomes {
            switch outcome {
            case .accepted(_, _, let isReplay, let position):
                if isReplay { replayed += 1 } else { accepted += 1 }
                lastPosition = position
            case .rejected, .waiting: rejected += 1
            }
        }
        var json = JSONWriter(capacity: 64 * outcomes.count + 256)
        json.beginObject()
        json.member("accepted", accepted)
        json.member("replayed", replayed)
        json.member("rejected", rejected)
        json.key("results")
        json.beginArray()
        for (index, outcome) in outcomes.enumerated() {
            json.beginObject()
            json.member("index", Int64(index))
            switch outcome {
            case .accepted(let id, let entryID, _, let position):
                json.member("id", id)
                if kind == .grants { json.member("entry_id", entryID) }
                json.member("position", PositionToken.text(position))
            case .rejected(let problem): json.member("error", raw: problem)
            case .waiting: json.member("error", raw: Self.json(Self.undecided))
            }
            json.endObject()
        }
        json.endArray()
        json.endObject()
        var response = Response.json(json.bytes)
        response.headers[.position] = PositionToken.text(lastPosition)
        response.headers[.preferenceApplied] = headers.waiting.preferences.applied
        if replayed > 0, accepted == 0, rejected == 0 { response.headers[.idempotentReplayed] = "true" }
        return response
    }
}
