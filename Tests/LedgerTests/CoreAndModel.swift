import Catalogue
import Credits
import Ledger
import LedgerModel
import Metering

/// The same end users in the core and in the model, with the invariants that always hold.
struct CoreAndModel {
    private(set) var core = CoreWorld()
    private(set) var model: ModelWorld
    private var auditors: [String: Auditor] = [:]
    private var commandCount = 0

    init(catalogue: ModelCatalogue) throws {
        model = ModelWorld(catalogue: catalogue)
        core.catalogue = try Translation.catalogue(catalogue)
    }

    /// Changes the catalogue or the settings of the environment.
    mutating func change(_ change: (inout ModelCatalogue) -> Void) throws {
        change(&model.catalogue)
        core.catalogue = try Translation.catalogue(model.catalogue)
    }

    /// The present time of an end user.
    func time(of endUser: String, _ clock: Instant) -> Instant {
        max(model.time(of: endUser, clock), model.ledger(endUser).now)
    }

    /// Ends the batch of an end user, so that the next command begins with the stored state.
    mutating func commit(_ endUser: String) throws {
        try core.commit(endUser)
    }

    /// Plays a command on both sides. Returns the reply, and the problems in words.
    ///
    /// - Parameter isThorough: Whether the whole state of the end user is compared, and not only the changes.
    mutating func play(
        _ command: ModelCommand, by endUser: String, clock: Instant, isThorough: Bool = true
    ) throws -> (reply: ModelReply, problems: [String]) {
        commandCount += 1
        let key = "k\(commandCount)"
        try core.commit(before: command, of: endUser)
        var endUsers = [endUser]
        if case .transfer(let other, _) = command { endUsers.append(other) }
        let before = try endUsers.map { endUser in
            (draft: try core.participant(endUser).draft, entries: model.ledgers[endUser]?.entries.count ?? 0)
        }
        let asked = try CheckAnswer.asked(by: command, core.catalogue).map { request in
            CheckAnswer.words(
                request, of: try core.participant(endUser).draft.account, core.catalogue, clock: clock,
                isNew: before[0].draft.profile == nil)
        }
        let reply = model.apply(command, to: endUser, clock: clock, key: key)
        let outcome = try core.apply(command, to: endUser, clock: clock, key: key)
        var problems: [String] = []
        if outcome.reply != reply { problems.append("the core says \(outcome.reply), the model \(reply)") }
        // A check answers for an end user who was never created, also where a debit does not create one.
        if let asked, outcome != .refused(.unknownEndUser), asked != CheckAnswer.words(outcome) {
            problems.append("the check says \(asked), the debit \(outcome)")
        }
        for (endUser, (draft, count)) in zip(endUsers, before) {
            let after = try core.participant(endUser).draft
            if case .refused(let refusal) = outcome {
                problems += changes(from: draft, to: after, because: refusal)
            }
            problems += compareNews(of: endUser, after, entriesBefore: count)
            if isThorough || !problems.isEmpty || command == .erase { problems += try compareAll(of: endUser) }
        }
        if case .endUserErased = outcome { try moveErased(endUser) }
        return (reply, problems)
    }

    /// Keeps an erased end user as `alice.1`, `alice.2` and so on.
    private mutating func moveErased(_ endUser: String) throws {
        let name = "\(endUser).\(core.erasures + 1)"
        try core.moveErased(endUser, to: name)
        var ledger = model.ledger(endUser)
        ledger.endUser = name
        model.ledgers[endUser] = nil
        model.ledgers[name] = ledger
        auditors[name] = auditors.removeValue(forKey: endUser)
    }

    // MARK: - A check and its debit

    /// Checks a use on both sides, and whether the affordable units of the core are the maximum.
    func check(
        _ use: ModelCommand.Use, by endUser: String, clock: Instant
    ) throws -> (answer: ModelLedger.Answer?, problems: [String]) {
        var expected: ModelLedger.Answer?
        var refused: String?
        do throws(ModelLedger.Refusal) {
            let ledger = model.advanced(endUser, clock)
            expected = try ledger.check(use.feature, use.demand, attributes: use.attributes)
        } catch {
            refused = error.code
        }
        let advanced = try core.advanced(endUser, clock)
        let now = advanced.currentInstant(clock: clock, catalogue: core.catalogue)
        let isNew = try core.participant(endUser).draft.profile == nil
        let account = advanced.subscribed(at: now, isNew: isNew, core.catalogue)
        func decide(_ demand: ModelDemand) throws -> Entitlement {
            var asked = use
            asked.demand = demand
            return try Entitlement.decide(
                account: account, catalogue: core.catalogue, request: try CheckAnswer.request(asked), now: now)
        }
        var problems: [String] = []
        do {
            let entitlement = try decide(use.demand)
            let answer = ModelLedger.Answer(
                reason: entitlement.denial?.rawValue, cost: entitlement.cost?.rawValue,
                spendable: entitlement.spendable, affordable: entitlement.affordableUnits)
            if answer != expected {
                problems.append("a check of \(use): the core says \(answer), the model \(expected as Any)")
            }
            if let most = answer.affordable, most > 0 || answer.reason == nil {
                if (try? decide(.units(most)))?.isAllowed != true {
                    problems.append("\(use.feature): \(most) are said to be affordable and are not allowed")
                }
                if most < Millicredits.limit, (try? decide(.units(most + 1)))?.isAllowed == true {
                    problems.append("\(use.feature): \(most) are said to be affordable, and one more is allowed")
                }
            }
        } catch let failure as EntitlementFailure {
            let said = CheckAnswer.words(failure)
            if said != refused {
                problems.append(
                    "a check of \(use): the core says \(said), the model \(refused ?? "\(expected as Any)")")
            }
        }
        return (expected, problems)
    }

    /// Compares one advance of the core's account to an instant with advances in steps of the given lengths.
    func compareSteps(of endUser: String, to clock: Instant, _ steps: [Int64]) throws -> [String] {
        let draft = try core.participant(endUser).draft
        let end = draft.account.currentInstant(clock: clock, catalogue: core.catalogue)
        let due = draft.account.dueAt(announcing: core.catalogue.config.effectiveEventTypes.expiryLead(core.catalogue))
        guard let due, due <= end else { return [] }
        var (once, often) = (draft, draft)
        let catalogue = core.catalogue
        once.advance(to: end, in: catalogue)
        var time = due
        for step in steps where time < end {
            often.advance(to: time, in: catalogue)
            time = Instant(microseconds: time.microseconds + step)
        }
        often.advance(to: end, in: catalogue)
        let stripped = [once, often].map { draft in
            draft.entries.map { entry in
                var plain = entry.plain
                plain.recordedAt = nil
                return plain
            }
        }
        let told = [once, often].map { draft in draft.events.map { [$0.sequence, $0.at.microseconds] } }
        let isSame =
            stripped[0] == stripped[1] && told[0] == told[1]
            && once.events.map(\.content) == often.events.map(\.content)
            && once.account.autoTopUp == often.account.autoTopUp && once.account.exhausted == often.account.exhausted
            && Set(once.newTopUpRequests) == Set(often.newTopUpRequests) && once.account.blocks == often.account.blocks
            && once.account.scheduled == often.account.scheduled
            && once.account.balances == often.account.balances
            && Self.open(once.account.counters, end) == Self.open(often.account.counters, end)
            && once.account.reservations == often.account.reservations
            && once.account.subscriptions == often.account.subscriptions
            && Set(once.newSubscriptions) == Set(often.newSubscriptions)
            && Set(once.olderChangedSubscriptions) == Set(often.olderChangedSubscriptions)
            && once.changedReservations == often.changedReservations
            && Set(once.olderChangedBlocks) == Set(often.olderChangedBlocks)
            && once.grantedBlocks.map(once.current) == often.grantedBlocks.map(often.current)
        return isSame ? [] : ["\(endUser): one step of time and many differ"]
    }

    /// The counters whose windows are open. A window that has ended counts as none.
    private static func open(_ counters: UsageCounters, _ now: Instant) -> [CounterID: WindowCounter] {
        counters.counters.filter { $0.value.window.end > now }
    }

    // MARK: - Comparisons

    /// A refused action has no effect of its own; expiries and lapses that were due by then are still recorded. A charge
    /// that is refused for want of credits counts for the automatic top-up, whose state is compared with the model's.
    private func changes(
        from before: AccountDraft, to after: AccountDraft, because refusal: Refusal
    ) -> [String] {
        var untouched = before
        untouched.advance(to: after.account.advancedTo, in: core.catalogue)
        if case .insufficientCredits = refusal, after.account.autoTopUp != untouched.account.autoTopUp {
            return after.entries == untouched.entries && after.account.blocks == untouched.account.blocks
                && after.changedReservations == untouched.changedReservations && after.profile == untouched.profile
                && after.account.settings == untouched.account.settings
                ? [] : ["a refusal changed something"]
        }
        untouched.history = after.history
        // What is refused before the account is advanced changes nothing at all.
        var unseen = before
        unseen.history = after.history
        return untouched == after || unseen == after ? [] : ["a refusal changed something"]
    }

    /// Compares everything that one command can have changed.
    private func compareNews(of endUser: String, _ draft: AccountDraft, entriesBefore count: Int) -> [String] {
        guard model.ledgers[endUser] != nil else { return [] }
        let ledger = model.ledger(endUser)
        let account = draft.account
        var comparison = Comparison(endUser: endUser)
        comparison.expect(Int(account.version), ledger.entries.count, "version")
        let written = draft.entries.suffix(max(0, Int(account.version) - count))
        comparison.compare(written.map(\.plain), Array(ledger.entries.dropFirst(count)))
        comparison.expect(account.balance.rawValue, ledger.balance, "balance")
        comparison.expect(account.balances.frozen, ledger.frozen, "frozen")
        comparison.expect(account.balances.effective, ledger.effective, "effective")
        comparison.expect(account.reserved.rawValue, ledger.reserved, "reserved")
        comparison.expect(account.overage.rawValue, ledger.overage, "overage")
        comparison.expect(account.lifetimeGranted.rawValue, ledger.lifetime, "lifetime granted")
        comparison.expect(account.advancedTo, ledger.now, "clock of the account")
        comparison.expect(draft.profile != nil, ledger.exists, "existence")
        let types = account.endUserID.isErased ? EventTypes.none : core.catalogue.config.effectiveEventTypes
        comparison.expect(
            account.dueAt(announcing: types.expiryLead(core.catalogue)), ledger.due, "next instant")
        comparison.expect(account.blocks.map { Int($0.number) }, ledger.burnOrder.map(\.number), "burn order")
        comparison.expect(
            account.scheduled.map { Int($0.number) }, ledger.awaited.map(\.number), "scheduled blocks")
        comparison.expect(
            account.scheduled.credits, ledger.awaited.reduce(0) { $0 + $1.original }, "scheduled credits")
        comparison.compareTopUps(account.autoTopUp, ledger)
        comparison.expect(Int(draft.book.eventCount), ledger.events.count, "number of events")
        comparison.compare(draft.events.map(\.plain), Array(ledger.events.suffix(draft.events.count)))
        let live = ledger.subscriptions.filter { !$0.isFinal }
        comparison.expect(account.subscriptions.map(\.plain), live.map { $0.plain(ledger) }, "live subscriptions")
        comparison.expect(
            draft.events.map { Int($0.sequence) },
            Array((ledger.events.count - draft.events.count)..<ledger.events.count).map { $0 + 1 },
            "sequences of events")
        for reservation in draft.changedReservations.values {
            let expected = ledger.reservations.first { $0.number == Int(reservation.number) }
            comparison.expect(reservation.plain, expected, "reservation \(reservation.number)")
            comparison.expect(
                reservation.charged.rawValue, expected?.charged ?? 0, "charged for reservation \(reservation.number)")
            comparison.expect(
                reservation.featureKeys.map(\.rawValue), expected?.features ?? [],
                "features of reservation \(reservation.number)")
        }
        return comparison.problems
    }

    /// Checks all books of an end user with the audit that installations run.
    func audit(_ endUser: String) throws -> [String] {
        let participant = try core.participant(endUser)
        let blocks = participant.blocks.map(\.block)
        var audit = AccountAudit(
            account: participant.draft.account, salt: participant.draft.book.salt, blocks: blocks)
        for entry in participant.entries { audit.take(entry) }
        audit.finish(account: participant.draft.account, book: participant.draft.book, blocks: blocks)
        return audit.violation.map { ["\($0)"] } ?? []
    }

    /// Compares the whole state of an end user, and audits the entries since the last time.
    mutating func compareAll(of endUser: String) throws -> [String] {
        let (ledger, participant) = (model.ledger(endUser), try core.participant(endUser))
        let account = participant.draft.account
        var comparison = Comparison(endUser: endUser)
        let (blocks, reservations, held) = (participant.blocks, participant.reservations, ledger.held)
        comparison.expect(account.settings.caps.map { Int($0.number) }, ledger.caps.map(\.number), "caps")
        comparison.compare(participant.events.map(\.plain), ledger.events.map(\.plain))
        comparison.expect(
            participant.subscriptions.map(\.plain), ledger.subscriptions.map { $0.plain(ledger) }, "subscriptions")
        comparison.expect(participant.requests.map(\.plain), ledger.topUps.requests, "requests for top-ups")
        comparison.expect(blocks.count, ledger.blocks.count, "blocks ever")
        comparison.expect(reservations.count, ledger.reservations.count, "reservations ever")
        for (granted, var expected) in zip(blocks, ledger.blocks) {
            expected.hasExpired = false
            expected.forgetWindow()
            comparison.expect(granted.plain, expected, "block \(expected.number)")
            comparison.expect(granted.block.held.rawValue, held[expected.number] ?? 0, "held of \(expected.number)")
        }
        for (reservation, expected) in zip(reservations, ledger.reservations) {
            comparison.expect(reservation.plain, expected, "reservation \(expected.number)")
        }
        comparison.compareWindows(account, ledger, core.catalogue)
        var auditor = try auditors[endUser] ?? Auditor(opening: CoreWorld().participant(endUser).draft.account)
        let entries = participant.entries.dropFirst(auditor.count)
        comparison.problems += auditor.audit(entries, of: participant.draft, blocks: blocks)
        auditors[endUser] = auditor
        return comparison.problems
    }
}

/// The differences between the core and the model for one end user.
private struct Comparison {
    let endUser: String
    var problems: [String] = []

    init(endUser: String) {
        self.endUser = endUser
    }

    mutating func expect<Value: Equatable>(_ core: Value, _ model: Value, _ what: String) {
        if core != model { problems.append("\(endUser), \(what): the core has \(core), the model \(model)") }
    }

    mutating func compare(_ core: [ModelLedger.Event], _ model: [ModelLedger.Event]) {
        expect(core.count, model.count, "events")
        // Events of a subscription, those of top-ups and those of the entries of one command may come in any order.
        for group in 0...2 {
            let own = core.filter { $0.group == group }
            let others = model.filter { $0.group == group }.map(\.plain)
            for (event, expected) in zip(own, others) where event != expected {
                problems.append("\(endUser): the core tells\n  \(event), the model\n  \(expected)")
                return
            }
            guard own.count != others.count else { continue }
            let rest = own.count > others.count ? own.dropFirst(others.count) : others.dropFirst(own.count)
            problems.append("\(endUser): one side alone tells \(rest.first.map { "\($0)" } ?? "")")
            return
        }
    }

    mutating func compare(_ core: [ModelLedger.Entry], _ model: [ModelLedger.Entry]) {
        for (entry, expected) in zip(core, model) where entry != expected {
            problems.append("\(endUser): the core has\n  \(entry), the model\n  \(expected)")
            return
        }
        expect(core.count, model.count, "new entries")
        if core.count != model.count {
            let rest = core.count > model.count ? core.dropFirst(model.count) : model.dropFirst(core.count)
            problems.append("\(endUser): one side alone has \(rest.map(\.description).prefix(3))")
        }
    }

    mutating func compareTopUps(_ autoTopUp: AutoTopUp?, _ ledger: ModelLedger) {
        let own = autoTopUp ?? AutoTopUp()
        let topUps = ledger.topUps
        expect(own.open.map(\.plain), ledger.openRequest, "open request")
        expect(own.rule, topUps.rule.flatMap { try? Translation.rule($0) }, "rule for top-ups")
        expect(
            [Int64(own.requestCount), Int64(own.failures), own.isSuspended ? 1 : 0, own.isShort ? 1 : 0],
            [
                Int64(topUps.requests.count), topUps.failures, topUps.isSuspended ? 1 : 0, topUps.isShort ? 1 : 0,
            ], "requests, failures, suspension and shortage")
    }

    mutating func compareWindows(_ account: Account, _ ledger: ModelLedger, _ catalogue: Catalogue) {
        guard ledger.now.microseconds != .min else { return }
        for (own, expected) in zip(account.limits(catalogue), ledger.applied) {
            for value in expected.limit.per == nil ? [nil] : [nil, "large", "small"] as [String?] {
                let state = account.state(of: own, value: value, catalogue, now: account.advancedTo)
                let standing = ledger.standing(of: expected, value: value)
                let what = "\(expected.key), \(value ?? "none"): used and window"
                expect(
                    [state.used, state.window.start.microseconds, state.window.end.microseconds],
                    [standing.used, standing.start.microseconds, standing.end.microseconds], what)
            }
        }
        expect(account.limits(catalogue).count, ledger.applied.count, "limits")
        for (name, feature) in ledger.catalogue.features {
            guard let key = FeatureKey(name) else { continue }
            let dimensions = Set(feature.prices.flatMap { _ in ledger.filled(name).keys } + [""])
            let used = account.counters.periodUsage(
                of: key, dimensions: dimensions.sorted(),
                in: account.tierPeriod(at: account.advancedTo, catalogue))
            expect(used.filter { $0.value != 0 }, ledger.filled(name), "units of the month of \(name)")
        }
    }
}

extension ModelLedger.Event {
    /// Events of one group are compared in their order.
    fileprivate var group: Int { subscription != nil ? 0 : type.hasPrefix("topup.") ? 1 : 2 }
}
