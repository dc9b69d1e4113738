import Catalogue
import Credits
import Ledger
import LedgerModel
import Metering
import SeededRandom

/// A whole installation in virtual time, around the pure core: end users that send one command after another, a queue
/// that delays, reorders and redelivers, workers that crash at the worst moments, and replicas that lag behind.
///
/// Everything is drawn from one seed, and nothing waits: the next event is always the earliest.
struct Simulation {
    /// A deliberate defect, to see that the simulation finds it.
    enum Defect: CaseIterable {
        /// A worker does not check whether a key was decided before.
        case forgetsKeys
        /// A decision is stored although the worker crashes before its effect is committed.
        case remembersTooEarly
        /// A replica sometimes misses a change.
        case missesChanges
        /// A replica applies changes in another order than they were committed in.
        case reordersChanges
    }

    /// A command for an account, on its way.
    struct Message {
        let endUser: String
        let command: ModelCommand
        /// Nil for a command of the scheduler.
        let key: String?
    }

    /// The decision on a message, stored in the same transaction as its effect.
    struct Decision {
        let message: Message
        let outcome: Outcome
        let decidedAt: Instant
    }

    /// The durable state.
    private struct Database {
        var accounts: CoreWorld
        /// The decisions by idempotency key.
        var decisions: [String: Decision] = [:]
        /// All decisions, in the order of their commits.
        var history: [Decision] = []
        /// The accounts that each commit changed, in their state after it.
        var changes: [[Account]] = []
    }

    private struct Replica {
        var accounts: [EndUserID: Account] = [:]
        /// The number of changes that the replica has applied.
        var position = 0
        /// Changes that arrived too early, when the replica is defective.
        var postponed: [[Account]] = []
    }

    private enum Event {
        /// An end user sends its command, or repeats it.
        case request(String)
        case arrival(Message)
        case work(String)
        /// The answer of a worker reaches the end user.
        case answer(Message, Outcome)
        case replication(Int)
        case schedule
    }

    private struct Appointment {
        let at: Instant
        let event: Event
    }

    static let endUsers = ["alice", "bob", "carol", "dave"]

    private let defect: Defect?
    private var random: SeededGenerator
    private var clock = Instant(microseconds: 1_830_290_400_000_000)
    /// The appointments, the latest first.
    private var agenda: [Appointment] = []
    private var clients: [String: SimulatedClient] = [:]
    /// The unacknowledged deliveries by account, in order of arrival.
    private var inboxes: [String: [Message]] = [:]
    private var database: Database
    private var replicas = [Replica(), Replica()]
    private(set) var problems: [String] = []
    /// The number of events by kind.
    private(set) var counts: [String: Int] = [:]

    init(seed: UInt64, commandsPerEndUser: Int, defect: Defect? = nil) throws {
        self.defect = defect
        random = SeededGenerator(seed: seed)
        database = Database(accounts: CoreWorld())
        var catalogue = Market.catalogue(around: clock)
        SimulatedClient.addPlans(to: &catalogue, hasDefault: seed % 3 == 0)
        database.accounts.catalogue = try Translation.catalogue(catalogue)
        for endUser in Self.endUsers {
            clients[endUser] = SimulatedClient(endUser: endUser, commandCount: commandsPerEndUser)
            after(.request(endUser), seconds: 0...5)
        }
        after(.schedule, seconds: 1...60)
        for replica in replicas.indices { after(.replication(replica), seconds: 0...5) }
    }

    /// Runs until every end user has all answers and every message is gone. Then it compares the books with those of
    /// the same decisions without queue, crashes and delays.
    mutating func run() throws {
        while let next = agenda.popLast() {
            clock = next.at
            try happen(next.event)
            if problems.count > 10 { return }
        }
        try compareBooks()
    }

    private mutating func after(_ event: Event, seconds: ClosedRange<Int64>) {
        let delay = Int64.random(in: seconds.lowerBound * 1_000_000...seconds.upperBound * 1_000_000, using: &random)
        let at = Instant(microseconds: clock.microseconds + delay)
        let place = agenda.firstIndex { $0.at <= at } ?? agenda.endIndex
        agenda.insert(Appointment(at: at, event: event), at: place)
    }

    private var isOver: Bool { clients.values.allSatisfy(\.isDone) }

    // MARK: - Events

    private mutating func happen(_ event: Event) throws {
        switch event {
        case .request(let endUser): ask(endUser)
        case .arrival(let message):
            inboxes[message.endUser, default: []].append(message)
            after(.work(message.endUser), seconds: 0...3)
        case .work(let endUser): try work(endUser)
        case .answer(let message, let outcome): receive(message, outcome)
        case .replication(let replica):
            replicate(replica)
            if !isOver || replicas[replica].position < database.changes.count {
                after(.replication(replica), seconds: 0...10)
            }
        case .schedule:
            schedule()
            if !isOver { after(.schedule, seconds: 1...60) }
        }
    }

    /// Sends the end user's next command, or repeats the present one with the same key while there is no answer.
    private mutating func ask(_ endUser: String) {
        guard let client = clients[endUser], let message = clients[endUser]?.next(at: clock, using: &random) else {
            return
        }
        if client.isWaiting { counts["retries", default: 0] += 1 }
        send(message)
        after(.request(endUser), seconds: 5...120)
    }

    private mutating func send(_ message: Message) {
        after(.arrival(message), seconds: random.chance(10) ? 0...300 : 0...5)
        if random.chance(15) {
            counts["duplicates", default: 0] += 1
            after(.arrival(message), seconds: 0...600)
        }
    }

    private mutating func receive(_ message: Message, _ outcome: Outcome) {
        guard clients[message.endUser]?.receive(message, outcome) == true else { return }
        // After the answer to a mutation, every replica that has seen its change must show it.
        for replica in replicas where replica.position == database.changes.count {
            checkIsFresh(replica, message.endUser)
        }
        if clients[message.endUser]?.isDone == false {
            // Some pauses are so long that periods of subscriptions end in them.
            let pause = Int64.random(in: random.chance(20) ? 0...14_400 : 0...60, using: &random)
            clients[message.endUser]?.rest(until: clock.adding(seconds: pause))
            after(.request(message.endUser), seconds: pause...pause + 1)
        }
    }

    /// Sends messages to accounts with something due, which advance them.
    private mutating func schedule() {
        for endUser in Self.endUsers where random.chance(60) {
            guard let account = database.accounts.participants[endUser]?.draft.account, account.hasDue(at: clock) else {
                continue
            }
            counts["advances", default: 0] += 1
            send(Message(endUser: endUser, command: .advance, key: nil))
        }
    }

    // MARK: - A worker's turn

    /// Decides messages of an inbox in one transaction, unless the worker crashes.
    private mutating func work(_ endUser: String) throws {
        let messages = Array((inboxes[endUser] ?? []).prefix(Int.random(in: 1...4, using: &random)))
        if messages.isEmpty { return }
        var transaction = database
        var changed: Set<String> = []
        var answers: [(Message, Outcome)] = []
        for message in messages {
            if let key = message.key, let known = transaction.decisions[key], defect != .forgetsKeys {
                counts["replays", default: 0] += 1
                answers.append((message, known.outcome))
                continue
            }
            try compareChecks(message, transaction, hasChanges: changed.contains(endUser))
            let outcome = try transaction.accounts.apply(message.command, to: endUser, clock: clock, key: message.key)
            changed.insert(endUser)
            if case .transfer(let receiver, _) = message.command { changed.insert(receiver) }
            let decision = Decision(message: message, outcome: outcome, decidedAt: clock)
            if let key = message.key { transaction.decisions[key] = decision }
            transaction.history.append(decision)
            answers.append((message, outcome))
        }
        if random.chance(10) {
            counts["crashes before the commit", default: 0] += 1
            if defect == .remembersTooEarly { database.decisions = transaction.decisions }
            return redeliver(messages, endUser)
        }
        for endUser in changed { try transaction.accounts.commit(endUser) }
        let accounts = changed.sorted().compactMap { transaction.accounts.participants[$0]?.draft.account }
        transaction.changes.append(accounts)
        database = transaction
        if random.chance(10) {
            counts["crashes behind the commit", default: 0] += 1
            return redeliver(messages, endUser)
        }
        inboxes[endUser]?.removeFirst(messages.count)
        if inboxes[endUser]?.isEmpty == false { after(.work(endUser), seconds: 0...3) }
        for (message, outcome) in answers {
            if random.chance(10) {
                counts["lost answers", default: 0] += 1
            } else {
                after(.answer(message, outcome), seconds: 0...2)
            }
        }
    }

    /// Unacknowledged messages are delivered again, to another worker.
    private mutating func redeliver(_ messages: [Message], _ endUser: String) {
        inboxes[endUser]?.removeFirst(messages.count)
        for message in messages { after(.arrival(message), seconds: 0...30) }
    }

    // MARK: - Replicas

    private mutating func replicate(_ number: Int) {
        var replica = replicas[number]
        let news = min(Int.random(in: 0...12, using: &random), database.changes.count - replica.position)
        for _ in 0..<max(0, news) {
            let change = database.changes[replica.position]
            replica.position += 1
            if defect == .missesChanges && random.chance(10) { continue }
            if defect == .reordersChanges && random.chance(20) {
                replica.postponed.append(change)
                continue
            }
            for account in change { replica.accounts[account.endUserID] = account }
            for change in replica.postponed { for account in change { replica.accounts[account.endUserID] = account } }
            replica.postponed = []
        }
        replicas[number] = replica
    }

    /// Before a debit is decided, a check on a replica with all committed changes must give the same answer.
    private mutating func compareChecks(_ message: Message, _ transaction: Database, hasChanges: Bool) throws {
        let catalogue = transaction.accounts.catalogue
        guard !hasChanges, let request = try CheckAnswer.asked(by: message.command, catalogue) else { return }
        var accounts = transaction.accounts
        let outcome = try accounts.apply(message.command, to: message.endUser, clock: clock, key: message.key)
        for replica in replicas where replica.position == database.changes.count {
            counts["checks", default: 0] += 1
            let account = try account(of: message.endUser, at: replica)
            let said = CheckAnswer.words(
                request, of: account, catalogue, clock: clock, isNew: account.revision == 0)
            if said != CheckAnswer.words(outcome) {
                problems.append("\(clock): a replica says \(said) to \(message), the debit \(outcome.reply)")
            }
        }
    }

    private mutating func checkIsFresh(_ replica: Replica, _ endUser: String) {
        guard let account = database.accounts.participants[endUser]?.draft.account else { return }
        if replica.accounts[account.endUserID] != account {
            problems.append("\(clock): a replica that has seen all changes shows another account of \(endUser)")
        }
    }

    private func account(of endUser: String, at replica: Replica) throws -> Account {
        try replica.accounts[Translation.endUser(endUser)] ?? CoreWorld().participant(endUser).draft.account
    }
}

// MARK: - The books at the end

extension Simulation {
    private mutating func compareBooks() throws {
        for number in replicas.indices {
            while replicas[number].position < database.changes.count { replicate(number) }
        }
        for client in clients.values.sorted(by: { $0.endUser < $1.endUser }) {
            let decided = database.history.filter { $0.message.endUser == client.endUser }.compactMap(\.message.key)
            if decided != client.keys {
                problems.append("\(client.endUser)'s commands were not decided once and in order")
            }
            for (key, outcome) in client.answers where database.decisions[key]?.outcome != outcome {
                problems.append("the answer to \(key) differs from the decision")
            }
            for replica in replicas { checkIsFresh(replica, client.endUser) }
        }
        counts["decisions"] = database.history.count
        for endUser in Self.endUsers {
            for event in try database.accounts.participant(endUser).events {
                counts[event.content.type.rawValue, default: 0] += 1
            }
        }
        try compareReplay(named: "without faults", isExact: true) { _ in true }
        try compareReplay(named: "without scheduler", isExact: false) { $0.message.key != nil }
    }

    /// Replays the decisions one by one at their instants, and compares outcomes and books. With the scheduler's
    /// decisions the comparison is exact; without them it ignores when due changes were recorded.
    private mutating func compareReplay(named name: String, isExact: Bool, _ includes: (Decision) -> Bool) throws {
        var world = CoreWorld()
        world.catalogue = database.accounts.catalogue
        for decision in database.history where includes(decision) {
            let message = decision.message
            let outcome = try world.apply(
                message.command, to: message.endUser, clock: decision.decidedAt, key: message.key)
            if isExact ? outcome != decision.outcome : outcome.reply != decision.outcome.reply {
                problems.append("\(name): \(message) gives \(outcome.reply) and not \(decision.outcome.reply)")
            }
            try world.commit(message.endUser)
            if case .transfer(let receiver, _) = message.command { try world.commit(receiver) }
        }
        for endUser in Self.endUsers {
            _ = try world.apply(.advance, to: endUser, clock: clock, key: nil)
            var accounts = database.accounts
            _ = try accounts.apply(.advance, to: endUser, clock: clock, key: nil)
            let (there, here) = (try accounts.participant(endUser), try world.participant(endUser))
            let isSame =
                there.blocks == here.blocks && there.reservations == here.reservations
                && there.requests == here.requests && there.subscriptions == here.subscriptions
                && Self.told(there.events) == Self.told(here.events)
                && (isExact
                    ? there.entries == here.entries : Self.timeless(there.entries) == Self.timeless(here.entries))
            if !isSame { problems.append("\(name): the books of \(endUser) differ") }
        }
    }

    /// The events in words, without the instants at which they were recorded.
    private static func told(_ events: [Ledger.Event]) -> [String] {
        events.map { "\($0.sequence) \($0.at) \($0.content)" }
    }

    /// The entries without the instants at which they were recorded.
    private static func timeless(_ entries: [Entry]) -> [ModelLedger.Entry] {
        entries.map { entry in
            var plain = entry.plain
            plain.recordedAt = nil
            return plain
        }
    }
}
