import Credits
import Foundation
import LedgerModel
import JSON
import SeededRandom
import Testing

/// Drives one end user with random commands and compares every answer with the model.
struct ModelRun {
    private enum Request: Equatable {
        case grant(ClientCommand.Grant)
        case use(ClientCommand.Event)
    }

    private struct Remembered {
        let key: String
        let request: Request
        let status: Int
        /// Nil when the first answer was one of a batch.
        var bytes: [UInt8]?
        /// The id of the use, or the code of the refusal.
        let mark: JSONValue?
    }

    private let client: Client
    private let endUser: String
    private let isHasty: Bool
    private var random: SeededGenerator
    private var model: ModelLedger
    private var remembered: [Remembered] = []
    private var history: [String] = []
    private var number = 0
    /// The latest instant that a clock or an answer has shown. The clock of the machine can step back, and then the server
    /// stays at the latest instant at which it has changed the account.
    private var latest = Instant(microseconds: .min)

    init(client: Client, endUser: String, isHasty: Bool, seed: UInt64, features: [String: ModelLedger.Feature]) {
        self.client = client
        self.endUser = endUser
        self.isHasty = isHasty
        random = SeededGenerator(seed: seed)
        model = ModelLedger(features: features)
    }

    /// - Throws: The first disagreement, with the last commands.
    mutating func run(commands: Int) async throws {
        do {
            for _ in 0..<commands {
                number += 1
                try await step()
            }
            try await look(atEverything: true)
        } catch {
            let last = history.suffix(12).joined(separator: "\n")
            throw Disagreement("\(endUser), command \(number): \(error)\nThe last commands:\n\(last)")
        }
    }

    private mutating func step() async throws {
        let key = "\(endUser)-\(number)"
        switch ClientCommand.random(&random, isHasty: isHasty, now: .now, freshKey: key) {
        case .grant(let grant, let key): try await send(grant, key: key)
        case .use(let event, let key): try await send(event, key: key)
        case .batch(let events): try await send(events)
        case .createEndUser(let name):
            try await self.name(name, status: model.exists ? 200 : 201) { client, user in
                try await client.post(
                    "/v1/end-users", .members([("end_user_id", .string(user)), ("name", name.map { .string($0) })]))
            }
        case .renameEndUser(let name):
            try await self.name(name, clears: true, status: model.exists ? 200 : 404) { client, user in
                try await client.patch("/v1/end-users/\(user)", ["name": name.map { .string($0) } ?? .null])
            }
        case .check(let event): try await check(event)
        case .replay: try await replay()
        case .look: try await look(atEverything: false)
        }
    }

    // MARK: - Commands

    private mutating func send(_ grant: ClientCommand.Grant, key: String?) async throws {
        let body = grant.json(endUser)
        history.append("grant \(body.line) key \(key ?? "-")")
        let start = ClockReading.now
        let answer = try await client.post("/v1/credits/grant", body, key: key)
        history.append("  -> \(answer.testDescription)")
        try settle(answer, since: start) { model, now in
            do throws(ModelLedger.Refusal) {
                model.advance(to: now)
                _ = try model.apply(grant.command)
            } catch { return try model.compare(answer, refused: error) }
            model.blocks[model.blocks.count - 1].id = answer["block.id"]?.text ?? ""
            if model.blocks[model.blocks.count - 1].isAwaited {
                try model.compareScheduled(answer)
            } else {
                try model.compare(answer, accepted: 201)
            }
        }
        remember(.grant(grant), key, answer)
    }

    private mutating func send(_ event: ClientCommand.Event, key: String?) async throws {
        let inBody = random.chance(50)
        let body = event.json(endUser, key: inBody ? key : nil)
        history.append("use \(body.line) key \(key ?? "-")")
        let start = ClockReading.now
        let answer = try await client.post("/v1/usage", body, key: inBody ? nil : key)
        history.append("  -> \(answer.testDescription)")
        try settle(answer, since: start) { model, now in
            do throws(ModelLedger.Refusal) {
                try model.use(event.feature, event.units, occurredAt: event.occurredAt, now: now)
            } catch { return try model.compare(answer, refused: error) }
            try model.compare(answer, accepted: 201)
        }
        remember(.use(event), key, answer)
    }

    /// The answer to a batch does not tell when its events were decided, so batches are sent only while no expiry is
    /// near.
    private mutating func send(_ events: [(event: ClientCommand.Event, key: String?)]) async throws {
        let start = Instant.now
        latest = max(latest, start)
        let reached = model.now
        guard model.expiries(after: start.adding(seconds: -60), upTo: start.adding(seconds: 60)).isEmpty else {
            return try await send(events[0].event, key: events[0].key)
        }
        let body = JSONValue.array(events.map { $0.event.json(endUser, key: $0.key) })
        history.append("batch \(body.line)")
        let answer = try await client.post("/v1/usage/batch", ["events": body])
        history.append("  -> \(answer.testDescription)")
        var counts: [String: Int64] = ["accepted": 0, "replayed": 0, "rejected": 0]
        for (index, sent) in events.enumerated() {
            let result = answer["results.\(index)"]
            var expected: JSONValue?
            var count = "rejected"
            if let first = remembered.first(where: { $0.key == sent.key && sent.key != nil }) {
                if first.request != .use(sent.event) {
                    expected = "idempotency_key_reuse"
                } else {
                    expected = first.mark
                    if first.status == 201 { count = "replayed" }
                }
            } else {
                do throws(ModelLedger.Refusal) {
                    try model.use(sent.event.feature, sent.event.units, occurredAt: sent.event.occurredAt, now: start)
                    if sent.event.occurredAt == nil { model.entries[model.entries.count - 1].effectiveAt = nil }
                    expected = result?[path: "id"]
                    count = "accepted"
                } catch { expected = .string(error.shownCode) }
                if expected != "invalid_request", expected != "amount_out_of_range", let key = sent.key {
                    remembered.append(
                        Remembered(
                            key: key, request: .use(sent.event), status: count == "accepted" ? 201 : 402, bytes: nil,
                            mark: expected))
                }
            }
            counts[count, default: 0] += 1
            let shown = result?[path: count == "rejected" ? "error.code" : "id"]
            guard let shown, shown == expected else {
                throw Disagreement(
                    "event \(index) is \(result?.line ?? "absent"), the model says \(expected?.line ?? "")")
            }
        }
        // The clock may have stepped back before the server decided, and nothing depends on its instant.
        model.now = reached
        for (name, count) in counts where answer[name]?.integer != count {
            throw Disagreement("\(name) is \(answer[name]?.line ?? "absent"), the model says \(count)")
        }
    }

    private mutating func name(
        _ name: String?, clears: Bool = false, status: Int, _ send: (Client, String) async throws -> Answer
    ) async throws {
        history.append("name \(name ?? "null"), expecting \(status)")
        let answer = try await send(client, endUser)
        history.append("  -> \(answer.testDescription)")
        guard answer.status == status else { throw Disagreement("status is \(answer.status)") }
        guard status != 404 else { return }
        model.exists = true
        if name != nil || clears { model.name = name }
        guard answer["name"] == model.name.map({ .string($0) }) ?? .null else {
            throw Disagreement("name is \(answer["name"]?.line ?? "absent"), the model says \(model.name ?? "null")")
        }
    }

    private mutating func check(_ event: ClientCommand.Event) async throws {
        history.append("check \(event.feature) \(event.units)")
        let start = ClockReading.now
        let answer = try await client.check(endUser, event.feature, event.units)
        history.append("  -> \(answer.testDescription)")
        try settle(answer, since: start) { model, now in
            model.advance(to: now)
            try model.compareCheck(answer, event.feature, event.units, now: now)
        }
    }

    /// Repeats a request with its key, or sends another one with the same key.
    private mutating func replay() async throws {
        guard !remembered.isEmpty else { return }
        let index = Int.random(in: 0..<remembered.count, using: &random)
        let first = remembered[index]
        let isAltered = random.chance(25)
        history.append("replay \(first.key)\(isAltered ? ", altered" : "")")
        let answer: Answer
        switch first.request {
        case .grant(var grant):
            if isAltered { grant.credits = grant.credits % 3_000 + 1 }
            answer = try await client.post("/v1/credits/grant", grant.json(endUser), key: first.key)
        case .use(var event):
            if isAltered { event.units = event.units % 100 + 1 }
            let inBody = random.chance(50)
            answer = try await client.post(
                "/v1/usage", event.json(endUser, key: inBody ? first.key : nil), key: inBody ? nil : first.key)
        }
        history.append("  -> \(answer.testDescription)")
        if isAltered {
            guard answer.status == 422, answer.code == "idempotency_key_reuse" else {
                throw Disagreement("an altered request is not refused")
            }
            return
        }
        guard answer.isReplay, answer.bytes == first.bytes ?? answer.bytes, Self.mark(answer) == first.mark else {
            throw Disagreement(
                "a replay differs from \(first.bytes.map { String(decoding: $0, as: UTF8.self) } ?? "its batch")")
        }
        remembered[index].bytes = answer.bytes
    }

    /// Compares balance, blocks and ledger at a moment at which nothing expires.
    private mutating func look(atEverything: Bool) async throws {
        guard model.exists else { return }
        history.append("look")
        for _ in 0..<50 {
            let start = ClockReading.now
            let balance = try await client.balance(endUser)
            let blocks = try await client.blocks(endUser)
            let query: [(String, String?)] = [("end_user_id", endUser)]
            let ledger =
                atEverything
                ? try await client.all("/v1/ledger", query) : try await client.get("/v1/ledger", query).items()
            let first = passed(since: start)
            guard changes(after: first).isEmpty else { continue }
            var seen = model
            seen.advance(to: first)
            try seen.compareBalance(balance)
            try seen.compareBlocks(blocks)
            try seen.compareLedger(newest: ledger)
            return
        }
    }

    // MARK: - Time

    /// Lets the model decide at the instant in the answer. Without one, it tries the instants that make a difference, from
    /// the earliest at which the server can have decided to the latest that it can have reached before. Such an answer
    /// leaves the model where it was, because it may leave the server's account there too.
    private mutating func settle(
        _ answer: Answer, since start: ClockReading, _ decide: (inout ModelLedger, Instant) throws -> Void
    ) throws {
        let first = passed(since: start)
        let decidedAt = (answer["entry.recorded_at"] ?? answer["block.created_at"])?.text.flatMap {
            Instant(rfc3339: $0)
        }
        if let decidedAt { latest = max(latest, decidedAt) }
        let candidates = decidedAt.map { [$0] } ?? [first] + changes(after: first) + [latest]
        var disagreement: (any Error)?
        for candidate in candidates {
            var copy = model
            do {
                try decide(&copy, candidate)
                if decidedAt == nil { model.exists = copy.exists } else { model = copy }
                return
            } catch { disagreement = disagreement ?? error }
        }
        if let disagreement { throw disagreement }
    }

    /// The instants after a first one at which time changes the account, up to the latest that the server can have reached. A
    /// block that arrives expires later, so each change is made before the next one is looked for.
    private func changes(after first: Instant) -> [Instant] {
        var copy = model
        copy.advance(to: first)
        var instants: [Instant] = []
        while let next = copy.expiries(after: instants.last ?? first, upTo: latest).first {
            copy.advance(to: next)
            instants.append(next)
        }
        return instants
    }

    /// Takes note of the present instant.
    ///
    /// - Returns: The earliest instant that the clock can have shown since a reading, also if it has stepped back.
    private mutating func passed(since start: ClockReading) -> Instant {
        let now = ClockReading.now
        latest = max(latest, start.instant, now.instant)
        let elapsed = start.steady.duration(to: now.steady).components
        let microseconds = elapsed.seconds * 1_000_000 + elapsed.attoseconds / 1_000_000_000_000 + 1
        return min(start.instant, Instant(microseconds: now.instant.microseconds - microseconds))
    }

    // MARK: - Keys

    private mutating func remember(_ request: Request, _ key: String?, _ answer: Answer) {
        guard let key, answer.status != 400 else { return }
        remembered.append(
            Remembered(key: key, request: request, status: answer.status, bytes: answer.bytes, mark: Self.mark(answer)))
    }

    private static func mark(_ answer: Answer) -> JSONValue? {
        answer.status == 201 ? answer["id"] ?? answer["block.id"] : answer["code"]
    }
}

/// The clock of the machine, and beside it a clock that never steps back.
private struct ClockReading {
    let instant: Instant
    let steady: ContinuousClock.Instant

    static var now: ClockReading { ClockReading(instant: .now, steady: .now) }
}

extension Instant {
    /// The time of the clock that the tests share with the servers on this machine.
    static var now: Instant {
        Instant(microseconds: Int64(Date().timeIntervalSince1970 * 1_000_000))
    }
}
