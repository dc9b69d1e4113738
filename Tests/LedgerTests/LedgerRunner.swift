import Catalogue
import Credits
import Ledger
import LedgerModel

/// Plays the statements of a ledger script on the core and on the model.
struct LedgerRunner {
    private var clock: Instant
    private var both: CoreAndModel
    private var blockNames: [String: [String: Int]] = [:]

    init() throws {
        guard let start = Instant(rfc3339: "2026-04-12T00:00:00Z") else { throw ScriptError("no start") }
        clock = start
        let api = ModelLedger.Feature(prices: [(from: Instant(microseconds: 0), price: .perUnit(1, per: 1))])
        var catalogue = ModelCatalogue(features: ["api": api])
        // Most scripts are not about what else is told.
        catalogue.eventTypes = Self.eventTypes("plain")
        both = try CoreAndModel(catalogue: catalogue)
    }

    /// Runs one statement. Returns the problems in words.
    mutating func run(_ statement: LedgerScript.Statement) throws -> [String] {
        var words = Words(statement.words)
        if statement.verb == "check" { return try check(&words, expecting: statement.outcome ?? ["allowed"]) }
        if let problems = try play(statement, &words) { return problems }
        guard statement.outcome == nil else { throw ScriptError("only a command and a check have an outcome") }
        if statement.verb == "at" {
            clock = try words.instant(clock)
        } else if try !configure(statement.verb, &words) {
            return try look(statement.verb, &words)
        }
        try words.end()
        return []
    }
}

// MARK: - Commands

extension LedgerRunner {
    /// Plays the statement if it is a command; nil otherwise.
    private mutating func play(_ statement: LedgerScript.Statement, _ words: inout Words) throws -> [String]? {
        var rest = words
        guard let endUser = try? rest.word("an end user") else { return nil }
        let names = blockNames[endUser] ?? [:]
        let command = try Syntax.command(statement.verb, &rest, clock: clock) { name in
            try names[name] ?? Syntax.numbered("b", name)
        }
        guard let command else { return nil }
        let name = rest.take("as") ? try rest.word("a name") : nil
        try rest.end()
        var problems = try both.compareSteps(of: endUser, to: clock, [1, 1_000_000, 3_600_000_000, 86_400_000_000])
        var alone = both
        try alone.commit(endUser)
        if case .transfer(let receiver, _) = command { try alone.commit(receiver) }
        let (reply, found) = try both.play(command, by: endUser, clock: clock)
        let (replyAlone, foundAlone) = try alone.play(command, by: endUser, clock: clock)
        problems += found + foundAlone
        if reply != replyAlone { problems.append("in a batch of its own it gives \(replyAlone)") }
        if let name, case .done(let figures) = reply, let number = figures.first {
            blockNames[endUser, default: [:]][name] = Int(number)
        }
        let said = Self.words(reply)
        return problems + (said.starts(with: statement.outcome ?? ["ok"]) ? [] : ["is \(said.joined(separator: " "))"])
    }

    /// The words for a reply after an arrow.
    static func words(_ reply: ModelReply) -> [String] {
        switch reply {
        case .done(let figures): ["ok"] + figures.map { "\($0)" }
        case .refused(let refusal) where refusal.code == "insufficient_credits":
            [refusal.code, "\(refusal.figures[2])", "of", "\(refusal.figures[1])"]
        case .refused(let refusal):
            refusal.code.split(separator: " ").map(String.init) + refusal.figures.map { "\($0)" }
                + (refusal.feature.map { [$0] } ?? [])
        }
    }

    private func check(_ words: inout Words, expecting expected: [String]) throws -> [String] {
        let endUser = try words.word("an end user")
        let use = try Syntax.use(&words, clock: clock)
        try words.end()
        let (answer, problems) = try both.check(use, by: endUser, clock: clock)
        guard let answer else { return problems + (expected == ["unanswered"] ? [] : ["is not answered"]) }
        let said = [answer.reason ?? "allowed", answer.affordable.map { "\($0)" } ?? "any"]
        return problems + (said.starts(with: expected) ? [] : ["is \(said.joined(separator: " "))"])
    }

    /// Changes the catalogue or the settings of the environment if the statement says so.
    private mutating func configure(_ verb: String, _ words: inout Words) throws -> Bool {
        switch verb {
        case "market":
            let types = both.model.catalogue.eventTypes
            try both.change {
                $0 = Market.catalogue(around: clock)
                $0.eventTypes = types
            }
        case "feature", "archive":
            let key = try words.word("a feature")
            let kind = words.next.flatMap { ModelLedger.FeatureKind(rawValue: $0) }
            if kind != nil { _ = try words.word("a kind") }
            let quota = words.take("quota") ? try Syntax.quota(words.word("a quota")) : nil
            try both.change { catalogue in
                var feature = catalogue.features[key] ?? ModelLedger.Feature()
                feature.isArchived = verb == "archive"
                feature.kind = kind ?? feature.kind
                feature.quota = quota ?? feature.quota
                catalogue.features[key] = feature
            }
        case "price":
            let key = try words.word("a feature")
            let price = try Syntax.price(&words)
            let from = words.take("from") ? try words.instant(clock) : Instant(microseconds: 0)
            try both.change { $0.features[key, default: ModelLedger.Feature()].prices.append((from, price)) }
        case "package": try package(&words)
        case "config":
            while !words.isEmpty {
                switch try words.word("a setting") {
                case "policy":
                    let policy = ModelCatalogue.Policy(rawValue: try words.word("a policy"))
                    try both.change { $0.policy = policy }
                case "limit":
                    let limit = words.take("none") ? nil : try words.number("an amount")
                    try both.change { $0.overageLimit = limit }
                case "low":
                    let thresholds = try Syntax.thresholds(words.word("thresholds"))
                    try both.change { $0.thresholds = thresholds }
                case "lead":
                    let hours = try words.number("a number of hours")
                    try both.change { $0.expiringSoonHours = hours }
                case "events":
                    let types = Self.eventTypes(try words.word("types"))
                    try both.change { $0.eventTypes = types }
                case "users":
                    let creates = try words.word("a way") == "implicit"
                    try both.change { $0.createsEndUsers = creates }
                case "zone":
                    let zone: ModelZone = try words.word("a zone") == "berlin" ? Market.berlin : .utc
                    try both.change { $0.zone = zone }
                case let word: throw ScriptError("\(word) is no setting")
                }
            }
        case "clock":
            let number = Int(try words.number("a clock"))
            let instant = try words.instant(clock)
            try both.change { $0.clocks[number] = instant }
        default: return false
        }
        return true
    }

    /// The types that a word stands for: `plain` are those of top-ups, subscriptions and contracts, `usual` are the default,
    /// and a type may be a prefix.
    static func eventTypes(_ word: String) -> Set<String>? {
        if word == "usual" { return nil }
        let prefixes =
            word == "plain"
            ? ["topup.", "subscription.", "contract."] : word.split(separator: ",").map(String.init)
        return Set(
            EventType.allCases.map(\.rawValue).filter { type in
                word == "all" || prefixes.contains { type.hasPrefix($0) }
            })
    }

    private mutating func package(_ words: inout Words) throws {
        let key = try words.word("a package")
        let credits = try words.number("an amount")
        var (price, expiry, priority, isArchived) = (Int64(0), ModelLedger.Expiry.never, Int64?.none, false)
        while !words.isEmpty {
            switch try words.word("an option") {
            case "price": price = try words.number("a price")
            case "archived": isArchived = true
            case "priority": priority = try words.number("a priority")
            case let word: expiry = try Syntax.expiry(word, clock: clock)
            }
        }
        let made = ModelCatalogue.Package(
            credits: credits, price: price, expiry: expiry, priority: priority, isArchived: isArchived)
        try both.change { $0.packages[key] = made }
    }
}

// MARK: - Reads

extension LedgerRunner {
    /// Reads use the model only, because both sides were compared after the last command.
    private func look(_ verb: String, _ words: inout Words) throws -> [String] {
        let endUser = try words.word("an end user")
        let account = try both.core.advanced(endUser, clock)
        let ledger = both.model.advanced(endUser, clock)
        func compare(_ is: Int64, _ words: inout Words) throws -> [String] {
            let expected = try words.number("an amount")
            try words.end()
            return `is` == expected ? [] : ["is \(`is`)"]
        }
        switch verb {
        case "balance": return try compare(account.balances.balance, &words)
        case "reserved": return try compare(account.balances.reserved, &words)
        case "effective": return try compare(account.balances.effective, &words)
        case "overage": return try compare(account.overage.rawValue, &words)
        case "due": return try words.instant(clock) == account.dueAt ? [] : ["is \(account.dueAt as Any)"]
        case "scheduled":
            let listed = account.scheduled.map { name(of: Int($0.number), endUser) }
            var expected: [String] = []
            while !words.isEmpty { expected.append(try words.word("a block")) }
            return listed == expected ? [] : ["are \(listed.joined(separator: " "))"]
        case "lifetime": return try compare(account.lifetimeGranted.rawValue, &words)
        case "entries": return try compare(account.version, &words)
        case "spendable":
            let feature = try Translation.feature(words.word("a feature"))
            return try compare(account.spendable(for: feature), &words)
        case "held":
            let number = try number(of: words.word("a block"), endUser)
            return try compare(account.blocks.first { $0.number == Int32(number) }?.held.rawValue ?? 0, &words)
        case "quota":
            let feature = try words.word("a feature")
            guard let applied = ledger.applied.first(where: { $0.key == "quota:\(feature)" }) else {
                return ["there is none"]
            }
            return try lookAtLimit(ledger.standing(of: applied, value: nil), &words)
        case "limited":
            let key = try words.word("a key")
            guard let applied = ledger.applied.first(where: { $0.key == key }) else { return ["there is none"] }
            let value = words.take("for") ? try words.word("a value") : nil
            return try lookAtLimit(ledger.standing(of: applied, value: value), &words)
        case "spent":
            let number = Int(try words.number("a cap"))
            guard let cap = ledger.applied.first(where: { $0.cap == number }) else { return ["there is none"] }
            return try compare(ledger.standing(of: cap, value: nil).used, &words)
        case "blocks":
            let listed = account.blocks.flatMap { [name(of: Int($0.number), endUser), "\($0.remaining.rawValue)"] }
            var expected: [String] = []
            while !words.isEmpty { expected.append(try words.word("a block")) }
            return listed == expected ? [] : ["are \(listed.joined(separator: " "))"]
        case "block": return try lookAtBlock(endUser, ledger, &words)
        case "reservation": return try lookAtReservation(ledger, &words)
        case "log":
            var expected: [String] = []
            while !words.isEmpty { expected.append(try words.word("a type")) }
            let types = Array(ledger.entries.map(\.type).suffix(expected.count))
            return types == expected ? [] : ["is \(types.joined(separator: " "))"]
        case "events":
            var expected: [String] = []
            while !words.isEmpty { expected.append(try words.word("a type")) }
            let types = ledger.events.map(\.type)
            return types == expected ? [] : ["are \(types.joined(separator: " "))"]
        case "event": return try lookAtEvent(try both.core.participant(endUser).events, &words)
        case "auto": return try lookAtTopUp(account.autoTopUp, &words)
        case "last":
            guard let entry = try both.core.participant(endUser).entries.last else { return ["there is no entry"] }
            return try lookAtEntry(entry, of: endUser, &words)
        case "entry":
            let number = try Syntax.numbered("e", words.word("an entry"))
            let entries = try both.core.participant(endUser).entries
            guard entries.indices.contains(number - 1) else { return ["there is no such entry"] }
            return try lookAtEntry(entries[number - 1], of: endUser, &words)
        default: throw ScriptError("\(verb) is not understood")
        }
    }

    /// `limited alice week for ann 10 until <instant>`.
    private func lookAtLimit(_ standing: ModelLedger.Standing, _ words: inout Words) throws -> [String] {
        let used = standing.used
        var problems = try words.number("an amount") == used ? [] : ["is \(used)"]
        if words.take("until"), try words.instant(clock) != standing.end { problems.append("ends at \(standing.end)") }
        return problems
    }

    /// `block alice first remaining 10 priority 50 expires <instant> source topup paid revoked only a,b`.
    private func lookAtBlock(_ endUser: String, _ ledger: ModelLedger, _ words: inout Words) throws -> [String] {
        let number = try number(of: words.word("a block"), endUser)
        guard ledger.blocks.indices.contains(number - 1) else { return ["there is no such block"] }
        let block = ledger.blocks[number - 1]
        var isSame = true
        while !words.isEmpty {
            switch try words.word("a part") {
            case "original": isSame = try words.number("an amount") == block.original && isSame
            case "remaining": isSame = try words.number("an amount") == block.remaining && isSame
            case "priority": isSame = try words.number("a priority") == block.priority && isSame
            case "source": isSame = try words.word("a source") == block.source && isSame
            case "expires":
                isSame =
                    try words.take("never")
                    ? block.expiresAt == nil
                    : words.instant(clock) == block.expiresAt
                        && isSame
            case "paid": isSame = block.isPaid && isSame
            case "free": isSame = !block.isPaid && isSame
            case "scheduled": isSame = block.isAwaited && isSame
            case "arrives": isSame = try words.instant(clock) == block.arrivesAt && isSame
            case "revoked": isSame = block.revokedAt != nil && isSame
            case "only": isSame = try words.word("features") == block.features.joined(separator: ",") && isSame
            case let word: throw ScriptError("\(word) is not understood")
            }
        }
        return isSame ? [] : ["is \(block)"]
    }

    /// `reservation alice r1 committed held 0 uncovered 5 charged 10 watermark 7 until <instant> finished <instant>`.
    /// After `of a`, what was charged and the watermark are those of one feature.
    private func lookAtReservation(_ ledger: ModelLedger, _ words: inout Words) throws -> [String] {
        let number = try Syntax.numbered("r", words.word("a reservation"))
        guard ledger.reservations.indices.contains(number - 1) else { return ["there is no such reservation"] }
        let reservation = ledger.reservations[number - 1]
        var isSame = try words.word("a status") == reservation.status
        var part: ModelLedger.Part?
        while !words.isEmpty {
            switch try words.word("a part") {
            case "held":
                isSame = try words.number("an amount") == reservation.holds.reduce(0) { $0 + $1.amount } && isSame
            case "uncovered": isSame = try words.number("an amount") == reservation.uncovered && isSame
            case "of":
                let feature = try words.word("a feature")
                part = reservation.parts.first { $0.feature == feature }
                isSame = part != nil && isSame
            case "charged":
                isSame = try words.number("an amount") == part?.charged ?? reservation.charged && isSame
            case "watermark":
                let expected = words.take("none") ? nil : try Syntax.demand(words.word("a demand"))
                isSame = expected == (part ?? reservation.parts[0]).watermark && isSame
            case "until": isSame = try words.instant(clock) == reservation.expiresAt && isSame
            case "finished": isSame = try words.instant(clock) == reservation.finishedAt && isSame
            case let word: throw ScriptError("\(word) is not understood")
            }
        }
        return isSame ? [] : ["is \(reservation)"]
    }

    /// `last alice use -40 balance 60 effective <instant> recorded <instant> from first 30 second 10`; the parts after
    /// the amount are optional. `of` names the feature, `over` the features of a reservation over several, and `added`
    /// the added units of its commit. `to` names the credits that blocks gained, `holding` the change of their held
    /// credits.
    private func lookAtEntry(_ entry: Entry, of endUser: String, _ words: inout Words) throws -> [String] {
        var problems: [String] = []
        func expect(_ condition: Bool) { if !condition { problems = ["is \(entry.plain)"] } }
        func shares() throws -> [String] {
            var shares: [String] = []
            while words.isShare {
                shares += [try words.word("a block"), "\(try words.number("an amount"))"]
            }
            return shares
        }
        expect(try entry.type.rawValue == words.word("a type"))
        expect(try entry.amount == words.number("an amount"))
        while !words.isEmpty {
            switch try words.word("a part") {
            case "balance": expect(try entry.balanceAfter == words.number("an amount"))
            case "reserved": expect(try entry.reservedDelta == words.number("an amount"))
            case "overage": expect(try entry.overageDelta == words.number("an amount"))
            case "forfeited": expect(try entry.cause.details.forfeited == words.number("an amount"))
            case "of": expect(try entry.cause.featureKey?.rawValue == words.word("a feature"))
            case "over":
                expect(
                    try entry.cause.details.featureKeys.map(\.rawValue).joined(separator: ",") == words.word("features")
                )
                expect(entry.cause.featureKey == nil)
            case "with": expect(try entry.cause.details.attributes.plain == Syntax.pairs(words.word("attributes")))
            case "units": expect(try entry.cause.units == words.number("a number of units"))
            case "added": expect(try entry.cause.details.addedUnits == words.number("a number of units"))
            case "version": expect(try entry.plain.version == Int(words.number("a version")))
            case "refunds":
                expect(try entry.cause.refunds.map(Int.init) == Syntax.numbered("e", words.word("an entry")))
            case "reservation":
                expect(try entry.plain.reservation == Syntax.numbered("r", words.word("a reservation")))
            case "counterparty": expect(try entry.plain.counterparty == words.word("an end user"))
            case "deadline": expect(entry.cause.details.isDeadline)
            case "settlement": expect(entry.cause.details.isSettlement)
            case "effective": expect(try entry.effectiveAt == words.instant(clock))
            case "recorded": expect(try entry.recordedAt == words.instant(clock))
            case "from":
                let expected = entry.allocations.flatMap { [name(of: Int($0.block), endUser), "\(-$0.amount)"] }
                expect(try shares() == expected)
            case "to":
                let expected = entry.allocations.flatMap { [name(of: Int($0.block), endUser), "\($0.amount)"] }
                expect(try shares() == expected)
            case "holding":
                let expected = entry.holds.flatMap { [name(of: Int($0.block), endUser), "\($0.amount)"] }
                expect(try shares() == expected)
            case let word: throw ScriptError("\(word) is not understood")
            }
        }
        return problems
    }

    /// `event alice 2 topup.failed of q1 figures 1 text timeout at <instant> recorded <instant>`.
    private func lookAtEvent(_ events: [Event], _ words: inout Words) throws -> [String] {
        let number = Int(try words.number("an event"))
        guard events.indices.contains(number - 1) else { return ["there is no such event"] }
        let event = events[number - 1].plain
        var isSame = try words.word("a type") == event.type
        while !words.isEmpty {
            switch try words.word("a part") {
            case "of": isSame = try Syntax.numbered("q", words.word("a request")) == event.request && isSame
            case "figures":
                let figures = try words.word("figures").split(separator: ",").compactMap { Int64($0) }
                isSame = figures == event.figures && isSame
            case "text": isSame = try words.word("a text") == event.text && isSame
            case "at": isSame = try words.instant(clock) == event.at && isSame
            case "recorded": isSame = try words.instant(clock) == event.recordedAt && isSame
            case let word: throw ScriptError("\(word) is not understood")
            }
        }
        return isSame ? [] : ["is \(event)"]
    }

    /// `auto alice open q1 failures 1 suspended`, or `auto alice none`: the state that GET shows.
    private func lookAtTopUp(_ autoTopUp: AutoTopUp?, _ words: inout Words) throws -> [String] {
        if words.take("none") { return autoTopUp?.rule == nil ? [] : ["is \(autoTopUp as Any)"] }
        guard let autoTopUp, autoTopUp.rule != nil else { return ["there is no rule"] }
        let open = words.take("open") ? try Syntax.numbered("q", words.word("a request")) : nil
        let failures = words.take("failures") ? try words.number("a number") : 0
        let isSuspended = words.take("suspended")
        try words.end()
        let isSame =
            autoTopUp.open.map { Int($0.number) } == open && Int64(autoTopUp.failures) == failures
            && autoTopUp.isSuspended == isSuspended
        return isSame ? [] : ["is \(autoTopUp)"]
    }

    private func name(of block: Int, _ endUser: String) -> String {
        blockNames[endUser]?.first { $0.value == block }?.key ?? "b\(block)"
    }

    private func number(of block: String, _ endUser: String) throws -> Int {
        try blockNames[endUser]?[block] ?? Syntax.numbered("b", block)
    }
}
