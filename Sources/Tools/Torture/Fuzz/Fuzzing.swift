import SeededRandom

/// Sends mutated requests of one tenant to an API node, and checks the answers, the node and the books.
struct Fuzzing {
    let installation: Installation
    let seed: UInt64
    let requests: Int
    let threads: Int

    /// An end user of the fuzzing tenant whom no request names.
    private static let witness = "untouched-witness"
    /// The end user of another tenant.
    private static let bystander = "untouched-bystander"
    /// The seconds in which the memory must be back after the last request.
    private static let recovery = 30
    /// The rounds of valid requests before the first memory is taken: a node that was never used is no measure.
    private static let rounds = 20

    private var node: Node { installation.fleet.node(.api, 0) }
    private var ownKey: String { installation.environments[0].apiKey }
    private var otherKey: String { installation.environments[2].apiKey }

    /// Runs everything and stops the installation.
    ///
    /// - Throws: `TortureError` when a valid request is refused before anything is mutated.
    func run() async throws -> FuzzReport {
        progress("seed \(seed): \(requests) requests by \(threads) threads")
        let violations = Violations()
        try await prepare()
        try await sendBaseRequests()
        let untouched = try await readUntouched()
        let board = FuzzBoard(threads: threads, violations: violations)
        var footprints = Footprints(of: node.identifier)
        let begin = ContinuousClock.now
        let works = makeWorks(board)
        async let fuzzed: Void = onThreads(works)
        var samples = 0
        while board.isRunning {
            try await Task.sleep(for: .milliseconds(250))
            footprints.sample(node.identifier)
            samples += 1
            if samples % 80 == 0 { progress("\(board.requests) requests, \(violations.count) violations") }
        }
        await fuzzed
        let took = ContinuousClock.now - begin
        progress("\(board.requests) requests; checking the node and the books")
        try await checkMemory(&footprints, violations)
        await checkHealth(violations)
        try await checkBooks(untouched, violations)
        await installation.fleet.stop()
        for sentence in installation.fleet.reports { violations.add(sentence) }
        LogCheck(secrets: installation.secrets, violations: violations).run(folder: installation.logFolder)
        return FuzzReport(
            seed: seed, threads: threads, tally: board.tally, faults: board.faults, violations: violations,
            footprints: footprints, took: took)
    }

    private func makeWorks(_ board: FuzzBoard) -> [@Sendable () -> Void] {
        let check = AnswerCheck(secrets: [Self.bystander, otherKey])
        let (port, key) = (node.port, ownKey)
        var generator = SeededGenerator(seed: seed)
        var works: [@Sendable () -> Void] = []
        for thread in 0..<threads {
            let seed = generator.next()
            let share = requests / threads + (thread < requests % threads ? 1 : 0)
            works.append {
                let maker = ExchangeMaker(seed: seed, thread: thread, apiKey: key)
                var fuzzer = Fuzzer(
                    port: port, origin: .fuzzer(thread), maker: maker, check: check, board: board)
                fuzzer.run(requests: share)
                board.finish(fuzzer.tally)
            }
        }
        return works
    }

    // MARK: - Preparation

    private func prepare() async throws {
        for endUser in BaseRequest.players + [BaseRequest.reader, Self.witness] {
            try await post("/v1/credits/grant", Self.grant(endUser), ownKey)
        }
        try await post("/v1/credits/grant", Self.grant(Self.bystander), otherKey)
        for (endUser, key) in [(BaseRequest.reader, ownKey), (Self.witness, ownKey), (Self.bystander, otherKey)] {
            for _ in 0..<3 {
                try await post("/v1/usage", #"{"end_user_id":"\#(endUser)","feature_key":"calls","units":1}"#, key)
            }
        }
    }

    private static func grant(_ endUser: String) -> String {
        #"{"end_user_id":"\#(endUser)","credits":1000000000000}"#
    }

    private func post(_ path: String, _ body: String, _ key: String) async throws {
        let result = await installation.http.send("POST", node, path, key: key, body: utf8(body))
        guard case .answered(let answer) = result, answer.status == 201 else {
            throw TortureError("POST \(path): \(result)")
        }
    }

    /// Sends every base request without a mutation. A base request that is refused would hide all that lies behind the
    /// refusal.
    private func sendBaseRequests() async throws {
        let (port, key) = (node.port, ownKey)
        let refused = await onThread { () -> [String] in
            var refused: [String] = []
            for round in 0..<Self.rounds {
                for (number, base) in BaseRequest.all.enumerated() {
                    let request = base.request(
                        (round * 31 + number) % base.contents, apiKey: key, requestID: "base-\(round)-\(number)",
                        isBearer: round % 2 == 0, isChunked: round % 4 < 2)
                    let answer = Self.answer(to: request.bytes, port)
                    if !base.statuses.contains(answer?.status ?? 0) {
                        refused.append("\(escaped(request.bytes)): \(answer.map { escaped($0.body) } ?? "no answer")")
                    }
                }
            }
            return refused
        }
        guard refused.isEmpty else {
            throw TortureError(
                "\(refused.count) valid requests were refused: \(refused.prefix(5).joined(separator: "; "))")
        }
    }

    private static func answer(to request: [UInt8], _ port: Int) -> Wire.Response? {
        let deadline = ContinuousClock.now + .seconds(15)
        let isOver = { ContinuousClock.now >= deadline }
        guard let wire = try? Wire(port: port, from: .abuser, until: isOver),
            (try? wire.send(request, until: isOver)) != nil
        else { return nil }
        return try? wire.response(until: isOver)
    }

    // MARK: - Checks

    private func readUntouched() async throws -> [UntouchedBooks] {
        let http = installation.http
        let own = try await UntouchedBooks.read(of: Self.witness, key: ownKey, node: node, http: http)
        let other = try await UntouchedBooks.read(of: Self.bystander, key: otherKey, node: node, http: http)
        return [own, other]
    }

    private func checkMemory(_ footprints: inout Footprints, _ violations: Violations) async throws {
        for _ in 0..<Self.recovery where !footprints.isBack {
            try await Task.sleep(for: .seconds(1))
            footprints.sample(node.identifier)
        }
        guard !footprints.isBack else { return }
        violations.add(
            "memory of the node is \(footprints.after.memory) MiB after \(Self.recovery) s, more than "
                + "\(Footprints.bound(before: footprints.before.memory)) MiB")
    }

    private func checkHealth(_ violations: Violations) async {
        for path in ["/healthz", "/readyz"] {
            let result = await installation.http.send("GET", node, path, key: nil, limit: .seconds(5))
            guard case .answered(let answer) = result, answer.status == 200 else {
                violations.add("\(path) at the end: \(result)")
                continue
            }
        }
    }

    /// Waits for the commands that were answered 202, then compares and verifies the books.
    private func checkBooks(_ untouched: [UntouchedBooks], _ violations: Violations) async throws {
        let settlement = Settlement(
            environments: installation.environments, fleet: installation.fleet, http: installation.http,
            violations: violations)
        try await settlement.drain(prefix: Installation.queuePrefix)
        let now = try await readUntouched()
        for (before, after) in zip(untouched, now) where before != after {
            violations.add("an end user whom no request names has \(after.summary) in place of \(before.summary)")
        }
        try await installation.verify(violations)
    }
}
