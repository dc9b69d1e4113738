import Credits
import JSON
import LedgerModel

/// The replay of one environment. Every account runs through its own commands in the order of their revisions; the two
/// accounts of a transfer wait for each other.
struct EnvironmentReplay {
    /// The state of one account in the replay.
    private struct Traveller {
        var account: Books.Account?
        var entries: [ModelLedger.Entry] = []
        /// The events of subscriptions and contracts.
        var events: [Books.Event] = []
        /// The account's own commands that are still to be replayed, the next one last.
        var commands: [DecidedOperation] = []
        /// Transfers to the account that are still to be replayed, the next one last.
        var arrivals: [DecidedOperation] = []
        var revision: Int64 = 0
        /// The commands that were replayed, for a person who looks for the cause of a difference.
        var trail: [DecidedOperation] = []
        /// Whether a difference was found. Everything after it would differ as well.
        var isLost = false
    }

    private enum Step {
        case done
        /// The account waits until the other account of this transfer has arrived at it.
        case waits(Bits128)
        case atTheEnd
    }

    private let environment: Environment
    private let books: Books
    private let payments: [String: Books.Payment]
    private let violations: Violations
    private var observations: [EndUser: [Int64: [Observation]]]
    private var world: ModelWorld
    private var travellers: [String: Traveller] = [:]
    private var transfers: [Bits128: DecidedOperation] = [:]
    private var firstTopUps: [String: DecidedOperation] = [:]
    private(set) var owners: [Int64: String] = [:]
    private(set) var counts = ReplayCounts()

    init(
        environment: Environment, books: Books, observations: [EndUser: [Int64: [Observation]]], violations: Violations
    ) {
        self.environment = environment
        self.books = books
        self.observations = observations
        self.violations = violations
        payments = books.payments[environment.identifier] ?? [:]
        world = ModelWorld(catalogue: environment.catalogue)
    }

    mutating func add(_ account: Books.Account) {
        owners[account.number] = account.endUserID
        travellers[account.endUserID, default: Traveller()].account = account
        travellers[account.endUserID]?.entries = books.entries[account.number] ?? []
        travellers[account.endUserID]?.events = (books.events[account.number] ?? []).filter(\.isOfSubscription)
    }

    mutating func add(_ decided: DecidedOperation) {
        travellers[decided.operation.endUser.id, default: Traveller()].commands.append(decided)
        if decided.isTransferDone, let receiver = decided.operation.receiver {
            transfers[decided.command.identifier] = decided
            travellers[receiver.id, default: Traveller()].arrivals.append(decided)
        }
        if let payment = decided.operation.payment, payments[payment]?.command == decided.command.identifier {
            firstTopUps[payment] = decided
        }
    }

    mutating func run() {
        for endUser in travellers.keys { sort(endUser) }
        checkPayments()
        var waiting: [Bits128: String] = [:]
        var moving = travellers.keys.sorted()
        while let endUser = moving.popLast() {
            compareObservations(endUser)
            travel: while true {
                do {
                    switch try step(endUser) {
                    case .done: compareObservations(endUser)
                    case .atTheEnd: break travel
                    case .waits(let transfer):
                        guard let other = waiting.removeValue(forKey: transfer) else {
                            waiting[transfer] = endUser
                            break travel
                        }
                        try take(transfer: transfer)
                        compareObservations(endUser)
                        compareObservations(other)
                        moving.append(other)
                    }
                } catch {
                    violations.add("replay of environment \(environment.number), \(endUser): \(error)")
                    tellTrail(of: endUser)
                    travellers[endUser]?.isLost = true
                    break travel
                }
            }
        }
        for endUser in travellers.keys.sorted() { finish(endUser) }
    }

    /// Prints the commands of an account up to its first difference.
    private func tellTrail(of endUser: String) {
        for decided in travellers[endUser]?.trail ?? [] {
            let (operation, command) = (decided.operation, decided.command)
            progress(
                "trail of \(endUser): \(decided.instant) revision \(command.revision) \(command.status) "
                    + "\(operation.kind) \(operation.key) \(operation.body())")
        }
    }

    // MARK: - Order

    /// Sorts the commands by revision and then by instant, the next one last. At the same revision and instant,
    /// accepted commands are replayed before refusals, and commands that changed something before others: commands with an
    /// entry, and revocations of credits that had not landed. A report that costs nothing and an extension have no
    /// entry. Of two, the one with more comes first: after it the other one changes nothing, and before it both would.
    private mutating func sort(_ endUser: String) {
        guard var traveller = travellers[endUser] else { return }
        let writing = Set(traveller.entries.compactMap(\.key))
        traveller.commands.sort { left, right in
            let (leftWrites, rightWrites) = (
                writing.contains(left.operation.key) || left.hasRevoked,
                writing.contains(right.operation.key) || right.hasRevoked
            )
            let extent = (left: left.operation.command?.extent ?? 0, right: right.operation.command?.extent ?? 0)
            if left.command.revision != right.command.revision {
                return left.command.revision > right.command.revision
            }
            if left.instant != right.instant { return left.instant > right.instant }
            let (left, right) = (left.command, right.command)
            if left.decidedAt != right.decidedAt { return left.decidedAt > right.decidedAt }
            if left.isRefusal != right.isRefusal { return left.isRefusal }
            if leftWrites != rightWrites { return rightWrites }
            return extent.left < extent.right
        }
        var places: [String: Int64] = [:]
        for entry in traveller.entries where entry.type == "transfer" && entry.amount > 0 {
            if let key = entry.key { places[key] = entry.sequence }
        }
        traveller.arrivals.sort { places[$0.operation.key] ?? 0 > places[$1.operation.key] ?? 0 }
        travellers[endUser] = traveller
    }

    /// Replays the next command of an account, or the next change that time caused.
    private mutating func step(_ endUser: String) throws -> Step {
        guard let traveller = travellers[endUser], !traveller.isLost else { return .atTheEnd }
        let group = traveller.commands.reversed().prefix {
            $0.command.revision == traveller.commands.last?.command.revision
        }
        let arrival = traveller.arrivals.last
        let due = nextOfTime(endUser)
        // The next command was not decided after the next transfer or the next change by time.
        let latest = min(arrival?.instant ?? .latest, due ?? .latest)
        func isNext(_ decided: DecidedOperation) -> Bool { decided.instant <= latest && fits(decided, traveller) }
        // Of commands that leave the account at the same revision, one that the model accepts or refuses as the ledger did
        // comes first: a change to the present terms is refused before a resume, and changes nothing after it.
        let next =
            group.enumerated().first { isNext($0.element) && (group.count == 1 || agrees($0.element)) }
            ?? group.enumerated().first { isNext($0.element) }
        if let (place, decided) = next {
            if decided.isTransferDone { return .waits(decided.command.identifier) }
            travellers[endUser]?.commands.remove(at: traveller.commands.count - 1 - place)
            do {
                try take(decided)
            } catch {
                throw Difference("\(decided.operation.key), revision \(decided.command.revision): \(error)")
            }
            return .done
        }
        if let silent = silentDue(endUser), silent <= latest, hasSilentStep(traveller, world.ledger(endUser)) {
            world.ledgers[endUser]?.advance(to: silent)
            travellers[endUser]?.revision += 1
            counts.advances += 1
            return .done
        }
        if let arrival, arrival.instant <= due ?? .latest { return .waits(arrival.command.identifier) }
        if let due {
            try advance(endUser, to: due)
            return .done
        }
        guard let left = group.first else { return .atTheEnd }
        throw Difference(
            "\(left.operation.key) (\(left.operation.kind), \(left.command.status)) made revision \(left.command.revision), "
                + "but the model is at revision \(traveller.revision)")
    }

    /// The instant at which the next entry or the next event of a subscription was recorded, whichever is first; nil if
    /// it is an entry with a key, which a command caused. A command that causes an entry without a key, or an event, is
    /// decided at that instant and is tried first.
    private func nextOfTime(_ endUser: String) -> Instant? {
        guard let traveller = travellers[endUser] else { return nil }
        let ledger = world.ledger(endUser)
        let (place, told) = (ledger.entries.count, ledger.told.count)
        var instants: [Instant] = []
        if traveller.entries.indices.contains(place), traveller.entries[place].key == nil {
            traveller.entries[place].recordedAt.map { instants.append($0) }
        }
        if traveller.events.indices.contains(told) { instants.append(traveller.events[told].recordedAt) }
        return instants.min()
    }

    /// The instant of the next change by time, if it leaves neither an entry nor an event. The trial of a scheduled
    /// subscription begins so.
    private func silentDue(_ endUser: String) -> Instant? {
        let before = world.ledger(endUser)
        guard let due = before.due else { return nil }
        var after = before
        after.advance(to: due)
        return after.entries.count == before.entries.count && after.told.count == before.told.count ? due : nil
    }

    /// Whether the next command has a higher revision than what the books show before it explains. A scheduler then made a
    /// change of time that left nothing else.
    private func hasSilentStep(_ traveller: Traveller, _ ledger: ModelLedger) -> Bool {
        guard let next = traveller.commands.last else { return false }
        let group = traveller.commands.reversed().prefix { $0.command.revision == next.command.revision }
        let decidedAt = group.map(\.instant).min() ?? next.instant
        let changes =
            traveller.entries.dropFirst(ledger.entries.count).filter { $0.key == nil }.compactMap(\.recordedAt)
            + traveller.events.dropFirst(ledger.told.count).map(\.recordedAt)
        // One transaction records all its changes at one instant. The last one may be that of the command itself.
        let transactions = Set(changes.filter { $0 <= decidedAt })
        let arrivals = traveller.arrivals.count { $0.instant <= decidedAt }
        let own = group.contains { !$0.command.isRefusal } ? 1 : 0
        return next.command.revision > traveller.revision + Int64(transactions.count + arrivals + own)
    }

    /// Whether a command, if it is replayed now, leaves the account at the revision of its decision.
    private func fits(_ decided: DecidedOperation, _ traveller: Traveller) -> Bool {
        let command = decided.command
        if isRepeatedPayment(decided) { return traveller.revision == command.revision }
        let before = world.ledger(decided.operation.endUser.id)
        let now = max(before.now, decided.instant)
        var revision = traveller.revision
        if let due = before.due, due <= now { revision += 1 }
        if !command.isRefusal, changes(decided, before, now) { revision += 1 }
        return revision == command.revision
    }

    /// Whether the model accepts a command now, or refuses it, as the ledger did.
    private func agrees(_ decided: DecidedOperation) -> Bool {
        guard let command = decided.operation.command, decided.operation.receiver == nil, !isRepeatedPayment(decided)
        else { return true }
        var copy = world
        let reply = copy.apply(
            command, to: decided.operation.endUser.id, clock: decided.instant, key: decided.operation.key)
        let isDone = if case .done = reply { true } else { false }
        return isDone != decided.command.isRefusal
    }

    /// Whether an accepted command changes anything. A command that asks for the present state changes nothing.
    private func changes(_ decided: DecidedOperation, _ before: ModelLedger, _ now: Instant) -> Bool {
        switch decided.operation.command {
        case .revoke(let block):
            return before.blocks.indices.contains(block - 1) && before.blocks[block - 1].revokedAt == nil
        case .progress(let number, let demand, _):
            guard before.reservations.indices.contains(number - 1) else { return true }
            let watermark = before.reservations[number - 1].watermark
            return (watermark.map { $0.maximum(demand) } ?? demand) != watermark
        case .extend(let number, let ttl):
            guard before.reservations.indices.contains(number - 1) else { return true }
            return before.reservations[number - 1].expiresAt < now.adding(seconds: ttl)
        // A limit that is lifted again is defined anew, so the account changes.
        case .setLimit(let key, let limit?):
            var after = before
            return (try? after.setLimit(key, limit)) == nil || after.limits[key] != before.limits[key]
        case .subscription(.change)?:
            // A change to the terms that the subscription has changes nothing and tells nothing.
            var after = before
            after.advance(to: now)
            let told = after.events.count
            guard let command = decided.operation.command else { return true }
            return (try? after.apply(command)) == nil || after.events.count != told
        default: return true
        }
    }

    // MARK: - Payments

    /// A payment has exactly one block, that of its first top-up.
    private func checkPayments() {
        var entries: [String: Int] = [:]
        for account in books.accounts where account.environment == environment.identifier {
            for entry in books.entries[account.number] ?? [] {
                if let payment = entry.payment { entries[payment, default: 0] += 1 }
            }
        }
        for (payment, count) in entries where count != 1 || payments[payment] == nil {
            violations.add("I11: the payment \(payment) has \(count) entries in environment \(environment.number)")
        }
        for (payment, paid) in payments {
            guard let first = firstTopUps[payment], entries[payment] == 1, first.command.status == 201,
                owners[paid.account] == first.operation.endUser.id, first.command.response == paid.response
            else {
                violations.add("I11: the payment \(payment) differs from the answer to its first top-up")
                continue
            }
        }
    }

    /// Whether another top-up had applied the payment before this one was decided.
    private func isRepeatedPayment(_ decided: DecidedOperation) -> Bool {
        guard let payment = decided.operation.payment, let paid = payments[payment],
            paid.command != decided.command.identifier
        else { return false }
        if decided.command.decidedAt != paid.createdAt { return decided.command.decidedAt > paid.createdAt }
        return decided.command.status == 201 || decided.command.json["code"]?.text == "payment_already_applied"
    }

    /// Checks a repeated payment: the same top-up gets the first answer, another one is refused. Neither changes
    /// anything.
    private mutating func takeRepeatedPayment(_ decided: DecidedOperation) throws {
        counts.repeatedPayments += 1
        guard let payment = decided.operation.payment, let paid = payments[payment], let first = firstTopUps[payment]
        else { return }
        let isSame = first.operation.body() == decided.operation.body()
        if isSame, decided.command.status == paid.status, decided.command.response == paid.response { return }
        if !isSame, decided.command.status == 409,
            decided.command.json["code"]?.text == "payment_already_applied"
        {
            return
        }
        throw Difference(
            "the payment \(payment) was applied by \(first.operation.key) before; this \(isSame ? "same" : "other") "
                + "top-up was answered \(decided.command.status) \(decided.command.json)")
    }

    // MARK: - Taking a step

    private mutating func take(_ decided: DecidedOperation) throws {
        counts.commands += 1
        travellers[decided.operation.endUser.id]?.trail.append(decided)
        if isRepeatedPayment(decided) { return try takeRepeatedPayment(decided) }
        guard let command = decided.operation.command else { return }
        let endUser = decided.operation.endUser.id
        let before = world.ledger(endUser)
        let now = max(before.now, decided.instant)
        // A refused transfer depends on the sender alone. The receiver is left out, since its replay may be at another
        // instant.
        let receiver = decided.operation.receiver.map { ($0.id, world.ledgers[$0.id]) }
        if let receiver { world.ledgers[receiver.0] = nil }
        let reply = world.apply(command, to: endUser, clock: decided.instant, key: decided.operation.key)
        if let receiver { world.ledgers[receiver.0] = receiver.1 }
        let hasWritten = before.due.map { $0 <= now } ?? false
        let isChanged = if case .done = reply { changes(decided, before, now) } else { false }
        travellers[endUser]?.revision += (hasWritten ? 1 : 0) + (isChanged ? 1 : 0)
        try ReplyComparison(decided: decided, ledger: world.ledger(endUser)).compare(reply)
        let revision = travellers[endUser]?.revision ?? 0
        guard revision == decided.command.revision else { throw Difference("the model is at revision \(revision)") }
        try compareEntries(endUser, after: before)
    }

    /// Replays a transfer at which both accounts have arrived.
    private mutating func take(transfer: Bits128) throws {
        guard let decided = transfers[transfer], let receiver = decided.operation.receiver?.id else { return }
        let sender = decided.operation.endUser.id
        let before = [sender: world.ledger(sender), receiver: world.ledger(receiver)]
        guard let command = decided.operation.command else { return }
        let places = [sender, receiver].map { place(of: $0) }.joined(separator: "; ")
        travellers[sender]?.commands.removeAll { $0.command.identifier == decided.command.identifier }
        travellers[receiver]?.arrivals.removeLast()
        counts.commands += 1
        counts.transfers += 1
        let reply = world.apply(command, to: sender, clock: decided.instant, key: decided.operation.key)
        do {
            try ReplyComparison(decided: decided, ledger: world.ledger(sender)).compare(reply)
            for (side, ledger) in before {
                let hasWritten = ledger.due.map { $0 <= max(ledger.now, decided.instant) } ?? false
                travellers[side]?.revision += hasWritten ? 2 : 1
                try compareEntries(side, after: ledger)
            }
            guard travellers[sender]?.revision == decided.command.revision else {
                throw Difference("the model is at revision \(travellers[sender]?.revision ?? 0)")
            }
        } catch {
            for side in before.keys { travellers[side]?.isLost = true }
            throw Difference("transfer \(decided.operation.key), \(sender) to \(receiver): \(error); before: \(places)")
        }
    }

    /// Lets the model apply a change by time that the books recorded without a command.
    private mutating func advance(_ endUser: String, to instant: Instant) throws {
        let before = world.ledger(endUser)
        var ledger = before
        ledger.advance(to: instant)
        world.ledgers[endUser] = ledger
        guard ledger.entries.count > before.entries.count || ledger.told.count > before.told.count else {
            throw Difference(
                "entry \(before.entries.count + 1) or event \(before.told.count + 1) was caused by time at \(instant), "
                    + "but nothing is due in the model: \(place(of: endUser))")
        }
        travellers[endUser]?.revision += 1
        counts.advances += 1
        try compareEntries(endUser, after: before)
    }

    // MARK: - Comparing

    /// Compares the entries and the events of subscriptions that the model has made since a state of the ledger.
    private mutating func compareEntries(_ endUser: String, after before: ModelLedger) throws {
        let entries = travellers[endUser]?.entries ?? []
        for expected in world.ledger(endUser).entries[before.entries.count...] {
            let place = Int(expected.sequence) - 1
            guard entries.indices.contains(place) else { throw Difference("the books lack \(expected)") }
            guard entries[place] == expected else {
                throw Difference("the model has \(expected); the books \(entries[place])")
            }
            let isOfTime = expected.key == nil && expected.type != "settle"
            counts.entries[expected.type + (isOfTime ? " by time" : ""), default: 0] += 1
        }
        let events = travellers[endUser]?.events ?? []
        let comparison = EventComparison(variants: books.variants)
        for (place, expected) in world.ledger(endUser).told.enumerated().dropFirst(before.told.count) {
            guard events.indices.contains(place) else { throw Difference("the books lack the event \(expected)") }
            try comparison.compare(events[place], expected)
            counts.events += 1
        }
    }

    /// Compares the answers of nodes that show the account at its present revision.
    private mutating func compareObservations(_ endUser: String) {
        guard let traveller = travellers[endUser], !traveller.isLost else { return }
        let name = EndUser(environment: environment.number, id: endUser)
        let seen = observations[name]?.removeValue(forKey: traveller.revision) ?? []
        counts.observations += seen.count
        for observation in seen {
            ObservationComparison(observation: observation, ledger: world.ledger(endUser)).compare(violations)
        }
    }

    /// The place of an account in the replay, and the commands among which the next one is chosen.
    private func place(of endUser: String) -> String {
        guard let traveller = travellers[endUser] else { return "\(endUser) has nothing" }
        let ledger = world.ledger(endUser)
        let next = traveller.commands.suffix(4).reversed().map { decided in
            "\(decided.operation.key) (\(decided.operation.kind), \(decided.command.status)) at revision "
                + "\(decided.command.revision) of \(decided.instant)"
        }
        let arrival = traveller.arrivals.last.map { "\($0.operation.key) of \($0.command.decidedAt)" } ?? "none"
        return
            "\(endUser) is at revision \(traveller.revision) of \(ledger.now), with \(ledger.entries.count) entries; "
            + " due: \(ledger.due.map { "\($0)" } ?? "nothing"); next arrival: \(arrival); "
            + "next commands: \(next.joined(separator: ", "))"
    }

    private mutating func finish(_ endUser: String) {
        guard let traveller = travellers[endUser], !traveller.isLost else { return }
        let rest = traveller.commands.count + traveller.arrivals.count
        if rest > 0 {
            violations.add(
                "\(endUser) of environment \(environment.number): \(rest) commands fit in no order; \(place(of: endUser))"
            )
            return
        }
        do {
            let comparison = AccountComparison(ledger: world.ledger(endUser), revision: traveller.revision)
            let told = world.ledger(endUser).told.count
            if told != traveller.events.count {
                throw Difference("there are \(traveller.events.count) events, the model tells \(told)")
            }
            if let account = traveller.account {
                try comparison.compare(account, books)
            } else if traveller.revision > 0 {
                throw Difference("the books have no account")
            }
        } catch {
            violations.add("replay of environment \(environment.number), \(endUser): \(error)")
        }
        let unseen = observations[EndUser(environment: environment.number, id: endUser)] ?? [:]
        for (revision, shown) in unseen.sorted(by: { $0.key < $1.key }).prefix(3) {
            violations.add(
                "I21: \(shown[0].node) showed \(endUser) of environment \(environment.number) at revision \(revision), "
                    + "which the replay did not reach")
        }
    }
}

extension Instant {
    fileprivate static let latest = Instant(microseconds: .max)
}

extension ModelCommand {
    /// The total that a report of progress names, or the seconds of an extension; 0 for another command.
    fileprivate var extent: Int64 {
        switch self {
        case .progress(_, let demand, _): demand.total
        case .extend(_, let ttl): ttl
        default: 0
        }
    }
}
