package import Catalogue
package import Commands
package import Credits
package import Ledger
import Metering
package import Postgres
import SeededRandom
import Storage

/// Applies the same random commands to accounts in the database, which know only what `LedgerStore.load` reads, and to
/// accounts in memory, which keep their whole history.
package struct RandomBooks {
    /// An account in memory with its whole history.
    package struct Remembered {
        package private(set) var account: Account
        /// Begins with the salt that the database has given the account.
        private(set) var book: AccountBook
        package private(set) var profile: EndUserProfile?
        package private(set) var entries: [Entry] = []
        package private(set) var blocks: [Int32: GrantedBlock] = [:]
        package private(set) var reservations: [Int32: Reservation] = [:]
        package private(set) var requests: [Int32: TopUpRequest] = [:]
        package private(set) var events: [Event] = []

        var draft: AccountDraft {
            var draft = AccountDraft(account: account, book: book, profile: profile)
            draft.history = AccountHistory(entries: entries, blocks: blocks)
            draft.history.topUpRequests = requests
            return draft
        }

        mutating func take(_ draft: AccountDraft) {
            guard draft.isChanged else { return }
            account = draft.account
            book = draft.book
            profile = draft.profile
            entries += draft.entries
            for granted in draft.grantedBlocks { blocks[granted.block.number] = granted.with(draft.current(granted)) }
            for block in draft.olderChangedBlocks { blocks[block.number] = blocks[block.number]?.with(block) }
            for reservation in draft.newReservations + draft.olderChangedReservations {
                reservations[reservation.number] = reservation
            }
            for request in draft.newTopUpRequests + draft.olderChangedTopUpRequests {
                requests[request.number] = request
            }
            events += draft.events
        }
    }

    private struct Command {
        let endUser: EndUserID
        let action: AccountAction
    }

    private static let names = ["alice", "bob", "carol"]
    private static let features = ["calls", "tokens", "tiers", "bulk", "export"]

    package let connection: PostgresConnection
    package let environmentID: EnvironmentID
    package private(set) var catalogue = Catalogue()
    package private(set) var remembered: [EndUserID: Remembered] = [:]
    /// The kinds of outcomes that occurred.
    package private(set) var outcomes: Set<String> = []
    private var random: SeededGenerator
    /// Far enough in the past that all commands come before the database's clock, by which it loads what is due.
    private var now = Instant(microseconds: 1_580_000_000_000_000)
    private var payments = 0
    private let clock = PublicID(.testClock, Bits128(high: 1, low: 1))

    package init(_ books: TestBooks, seed: UInt64) async throws {
        connection = books.connection
        environmentID = books.environmentID
        random = SeededGenerator(seed: seed)
        try await connection.script(
            """
            insert into test_clocks values (\(environmentID.rawValue),
                '00000000-0000-0001-0000-000000000001', now(), now(), now())
            """)
        let hour = try required(CalendarDuration(iso8601: "PT1H"), "a duration")
        let quota = Quota(limit: 60, window: .duration(hour), anchor: .firstUse)
        let prices: [String: Price] = [
            "calls": Price(.flat(amount: try Millicredits(Int64(10)))),
            "tokens": Price(dimensions: [
                "input": .perUnit(unitCost: try Millicredits(Int64(3)), perUnits: 2),
                "output": .perUnit(unitCost: try Millicredits(Int64(5)), perUnits: 1),
            ]),
            "tiers": Price(
                .graduated(
                    [
                        Tier(upTo: 30, unitCost: try Millicredits(Int64(4))),
                        Tier(upTo: nil, unitCost: try Millicredits(Int64(1)), flatFee: try Millicredits(Int64(7))),
                    ], scope: .period)),
            // More units may cost less, so jobs get the difference back.
            "bulk": Price(
                .volume([
                    Tier(upTo: 10, unitCost: try Millicredits(Int64(9))),
                    Tier(upTo: nil, unitCost: try Millicredits(Int64(2))),
                ])),
        ]
        for (number, name) in Self.features.enumerated() {
            let key = try Self.key(name)
            catalogue.features[key] = Feature(key: key, quota: name == "calls" ? quota : nil)
            guard let price = prices[name] else { continue }
            catalogue.prices[key] = PriceList([
                MeteringRule(
                    id: PublicID(.rule, Bits128(high: 9, low: UInt64(number))), featureKey: key, version: 1,
                    price: price, effectiveFrom: Instant(microseconds: 0))
            ])
        }
        catalogue.config = EnvironmentConfig(
            overagePolicy: random.pick([nil, .allow, .notify]), overageLimit: try Millicredits(Int64(400)))
        catalogue.testClocks[clock] = now
    }

    private static func key(_ name: String) throws -> FeatureKey { try required(FeatureKey(name), "a feature key") }

    // MARK: - A batch

    /// Loads, decides and writes a few commands. Expects the same accounts and outcomes in the database and in memory.
    package mutating func batch() async throws {
        now = now.adding(seconds: random.pick([0, 1, 60, 400, 3_700, 90_000, 700_000]))
        if random.chance(30) {
            catalogue.testClocks[clock] = catalogue.testClocks[clock]?.adding(seconds: random.pick([60, 100_000]))
        }
        let commands = try (0..<Int.random(in: 1...5, using: &random)).map { _ in try command() }
        var keys: [EndUserID] = []
        var needs = BatchNeeds()
        for command in commands {
            if !keys.contains(command.endUser) { keys.append(command.endUser) }
            switch command.action {
            case .transfer(let transfer):
                if !keys.contains(transfer.receiver) { keys.append(transfer.receiver) }
            default: break
            }
            needs.accounts[key(command.endUser), default: AccountNeeds()].formUnion(command.action.needs)
        }
        let loaded = try await LedgerStore.load(keys.map(key), needs: needs, on: connection)
        var stored: [EndUserID: AccountDraft] = [:]
        var whole: [EndUserID: AccountDraft] = [:]
        for (name, draft) in zip(keys, loaded.accounts) {
            let known = remembered[name] ?? Remembered(account: draft.account, book: draft.book, profile: nil)
            // Counters are loaded when commands need them.
            var written = known.account
            written.counters = UsageCounters(
                storedCount: written.counters.storedCount, endsAt: written.counters.endsAt)
            try expect(draft.account == written, "\(draft.account) was loaded, but \(written) was written")
            try expect(draft.profile == known.profile, "the loaded profile differs from the written one")
            stored[name] = draft
            whole[name] = known.draft
        }
        var newPayments: [NewPayment] = []
        for (index, command) in commands.enumerated() {
            guard try await loadCounters(for: command, &stored, &whole) else { continue }
            let outcome = try apply(command, number: index, to: &stored)
            let expected = try apply(command, number: index, to: &whole)
            try expect(outcome == expected, "the outcome is \(outcome), but with the whole history it is \(expected)")
            outcomes.insert(String("\(outcome)".prefix { $0 != "(" }))
            if case .granted(let granted, _, _) = outcome, let id = granted.payment?.externalID {
                newPayments.append(
                    NewPayment(
                        key: PaymentKey(environmentID: environmentID, externalID: id),
                        accountID: try required(stored[command.endUser], "an account").account.id,
                        block: granted.block.number,
                        applied: AppliedPayment(fingerprint: Bits128(high: 1, low: 1), status: 201, body: [1]),
                        commandID: Bits128(high: 1, low: 1), createdAt: now))
            }
        }
        try await LedgerStore.write(
            BatchPlan(accounts: keys.compactMap { stored[$0] }, payments: newPayments), on: connection)
        for (name, draft) in whole where draft.account.revision > 0 {
            remembered[name, default: Remembered(account: draft.account, book: draft.book, profile: draft.profile)]
                .take(draft)
        }
    }

    /// Loads what a command needs beside its accounts.
    ///
    /// - Returns: False for a command that needs past usage which the batch has changed.
    private func loadCounters(
        for command: Command, _ stored: inout [EndUserID: AccountDraft], _ whole: inout [EndUserID: AccountDraft]
    ) async throws -> Bool {
        var drafts: [(name: EndUserID, action: AccountAction)] = [(command.endUser, command.action)]
        if case .transfer(let transfer) = command.action { drafts.append((transfer.receiver, .advance)) }
        for (name, action) in drafts {
            var draft = [try required(stored[name], "an account")]
            let needs = draft[0].needs(of: action, catalogue: catalogue, now: now)
            guard needs.usage.isEmpty || !draft[0].isChanged else { return false }
            try await LedgerStore.loadCharges(of: [0: needs.charged], into: &draft, on: connection)
            try await CounterStore.load([0: needs], into: &draft, now: now, on: connection)
            for id in needs.counters where draft[0].account.counters[id] != whole[name]?.account.counters[id] {
                throw TestBooksError("the counter \(id) differs from the one that was written")
            }
            whole[name]?.history.usage = draft[0].history.usage
            stored[name] = draft[0]
        }
        return true
    }

    private func expect(_ condition: Bool, _ sentence: @autoclosure () -> String) throws {
        if !condition { throw TestBooksError(sentence()) }
    }

    private func apply(
        _ command: Command, number: Int, to drafts: inout [EndUserID: AccountDraft]
    ) throws -> Outcome {
        let name = command.endUser
        guard case .transfer(let transfer) = command.action else {
            var draft = try required(drafts[name], "an account")
            let outcome = draft.apply(command.action, idempotencyKey: "k\(number)", catalogue: catalogue, now: now)
            drafts[name] = draft
            return outcome
        }
        var sender = try required(drafts[name], "an account")
        var receiver = try required(drafts[transfer.receiver], "an account")
        let outcome = AccountDraft.transfer(
            transfer, from: &sender, to: &receiver, idempotencyKey: nil, catalogue: catalogue, now: now)
        drafts[name] = sender
        drafts[transfer.receiver] = receiver
        return outcome
    }

    package func key(_ endUser: EndUserID) -> AccountKey {
        AccountKey(environmentID: environmentID, endUserID: endUser)
    }

    // MARK: - Drawing commands

    private mutating func command() throws -> Command {
        let endUser = try required(EndUserID(random.pick(Self.names)), "an end user id")
        return Command(endUser: endUser, action: try action(for: endUser, knowing: remembered[endUser]))
    }

    private mutating func amount(_ range: ClosedRange<Int64>) throws -> Millicredits {
        try Millicredits(Int64.random(in: range, using: &random))
    }

    private mutating func feature() throws -> FeatureKey { try Self.key(random.pick(Self.features)) }

    private mutating func demand(for feature: FeatureKey, upTo most: Int64 = 25) -> Demand {
        let units = Int64.random(in: 0...most, using: &random)
        guard feature.rawValue == "tokens" else { return .measured(.units(units), attributes()) }
        return .measured(
            .quantities(["input": units, "output": Int64.random(in: 0...9, using: &random)]), attributes())
    }

    /// Some of `model`, which has few values of all types, and `member`, which has many.
    private mutating func attributes() -> Attributes {
        let models: [AttributeValue] = [.string("large"), .string("é \"\\u0000"), .integer(7), .boolean(true)]
        var values: [String: AttributeValue] = [:]
        if random.chance(80) { values["model"] = random.pick(models) }
        if random.chance(50) { values["member"] = .string("m\(Int.random(in: 1...40, using: &random))") }
        return Attributes(values)
    }

    private mutating func action(for endUser: EndUserID, knowing known: Remembered?) throws -> AccountAction {
        let metadata = random.chance(20) ? Metadata(canonicalJSON: #"{"a":[1e3,{"b":null}],"temperature":0.70}"#) : nil
        switch Int.random(in: 0..<33, using: &random) {
        case 28..<33: return try topUpAction(knowing: known)
        case 0..<3: return .grant(try grant(metadata))
        case 3:
            payments += 1
            return .topUp(
                TopUp(
                    credits: .amount(try amount(1...500)),
                    payment: Payment(price: random.pick([nil, 0, 999]), currency: "EUR", externalID: "pay_\(payments)"))
            )
        case 4..<10:
            let feature = try feature()
            guard case .measured(let measure, let attributes) = demand(for: feature) else { return .advance }
            let occurredAt =
                random.chance(25) ? now.adding(seconds: -Int64.random(in: 0...600_000, using: &random)) : nil
            return .use(
                UsageEvent(
                    featureKey: feature, measure: measure, attributes: attributes, occurredAt: occurredAt,
                    metadata: metadata))
        case 10..<13:
            // Half of the refunds are of commits, because a reservation may have several charges.
            let types: [EntryType] = random.chance(50) ? [.commit] : [.use, .commit]
            let charges = known?.entries.filter { types.contains($0.type) } ?? []
            let charge = charges.isEmpty ? 1 : random.pick(charges).sequence
            return .refund(
                Refund(
                    account: known?.account.id ?? AccountID(1), charge: charge,
                    extent: random.pick([.rest, .units(3), .credits(try amount(1...40))]), metadata: metadata))
        case 13:
            return .revoke(
                Revocation(block: Int32.random(in: 1...max(1, known?.book.blockCount ?? 1), using: &random)))
        case 14: return .adjust(Adjustment(amount: try amount(-60...60), reason: "by hand"))
        case 15..<17:
            let others = Self.names.filter { $0 != endUser.rawValue }
            return .transfer(
                Transfer(
                    receiver: try required(EndUserID(random.pick(others)), "an end user id"),
                    credits: try amount(1...80))
            )
        case 17..<19:
            let feature = try feature()
            let other = try self.feature()
            let isOfSeveral = other != feature && random.chance(30)
            return .reserve(
                ReservationRequest(
                    featureKeys: isOfSeveral ? [feature, other] : [feature],
                    estimate: isOfSeveral || random.chance(20) ? .credits(try amount(1...50)) : demand(for: feature),
                    ttlSeconds: random.pick([1, 300, 604_800]), metadata: metadata))
        case 19..<26: return try reservationAction(knowing: known)
        case 26:
            return random.chance(50)
                ? .createSpendCap(
                    NewSpendCap(
                        featureKey: random.chance(50) ? try feature() : nil, credits: try amount(0...300),
                        window: random.pick([.day, .week, .month])))
                : .deleteSpendCap(1)
        default:
            return .createEndUser(
                EndUserChange(
                    name: .set("n"), overagePolicy: .set(random.pick([nil, .block, .allow])),
                    overrides: .set([try Self.key("export"): .enabled(random.chance(50))]),
                    testClock: endUser.rawValue == "carol" ? clock : nil))
        }
    }

    /// A rule for automatic top-ups, or an answer to one of its requests.
    private mutating func topUpAction(knowing known: Remembered?) throws -> AccountAction {
        let latest = known?.account.autoTopUp?.requestCount ?? 0
        let number = max(1, latest - Int32.random(in: 0...2, using: &random))
        switch Int.random(in: 0..<7, using: &random) {
        case 0, 1:
            return .setAutoTopUp(
                AutoTopUpRule(
                    threshold: try amount(0...2_000), amount: .amount(try amount(1...80)),
                    ceiling: random.chance(60)
                        ? AutoTopUpCeiling(count: random.pick([1, 4]), window: random.pick([.day, .month])) : nil,
                    cooldownSeconds: random.pick([0, 3_000]), stopAfterFailures: random.pick([1, 100])))
        case 2, 3:
            // An earlier command of the batch may have made the next request.
            let open = max(1, latest + Int32.random(in: 0...1, using: &random))
            return random.chance(15) ? .deleteAutoTopUp : .failTopUpRequest(open, reason: "declined")
        default:
            return .topUp(
                TopUp(
                    credits: random.chance(80) ? nil : .amount(try amount(1...50)),
                    request: PublicID(
                        .topUpRequest, account: known?.account.id ?? AccountID(1), number: Int64(number))))
        }
    }

    private mutating func grant(_ metadata: Metadata?) throws -> Grant {
        Grant(
            credits: try amount(1...400), source: random.pick([.promotional, .compensation]),
            priority: random.pick([nil, 0, 50, 100]),
            startsAt: random.chance(35) ? now.adding(seconds: random.pick([-60, 0, 1, 60, 3_700, 400_000])) : nil,
            expiry: random.pick([
                .never, .after(try required(CalendarDuration(iso8601: "PT1H"), "a duration")),
                .after(try required(CalendarDuration(iso8601: "P3D"), "a duration")),
            ]), featureKeys: random.chance(25) ? [try feature()] : [],
            payment: random.chance(20) ? Payment(price: 5, currency: "USD") : nil, reason: "r", metadata: metadata)
    }

    private mutating func reservationAction(knowing known: Remembered?) throws -> AccountAction {
        let active = known.map { Array($0.account.reservations) } ?? []
        guard let reservation = active.isEmpty ? nil : random.pick(active) else { return .reservation(1, .release) }
        let isOfSeveral = reservation.parts.count > 1
        let feature = random.pick(reservation.featureKeys)
        let demand: Demand =
            if case .credits = reservation.estimate, !isOfSeveral || random.chance(30) {
                .credits(try amount(0...60))
            } else {
                demand(for: feature, upTo: 80)
            }
        let named = isOfSeveral ? feature : nil
        let action: ReservationAction =
            switch Int.random(in: 0..<5, using: &random) {
            case 0: .release
            case 1: .extend(ttlSeconds: 1_000)
            case 2: .commit(demand, of: named, shortfall: random.pick([nil, .cap, .overage, .reject]))
            default: .progress(demand, of: named)
            }
        return .reservation(reservation.number, action)
    }
}

extension GrantedBlock {
    func with(_ block: Block) -> GrantedBlock {
        GrantedBlock(
            block: block, source: source, payment: payment, reason: reason, metadata: metadata, createdAt: createdAt,
            startsAt: startsAt)
    }
}
