package import Credits

/// A command for an account.
package enum ModelCommand: Hashable, Sendable {
    case grant(Grant)
    case topUp(TopUp)
    case use(Use)
    case refund(charge: Int64, ModelLedger.Extent, expiry: ModelLedger.Expiry?)
    case revoke(block: Int)
    case adjust(Int64)
    case transfer(to: String, Int64)
    case reserve(Use, ttl: Int64)
    /// Names one feature of a reservation over several. Without attributes the commit has those of its reservation.
    case commit(Int, ModelDemand, of: String? = nil, attributes: [String: String] = [:], shortfall: String?)
    case release(Int)
    case extend(Int, ttl: Int64)
    case progress(Int, ModelDemand, of: String? = nil)
    case createCap(feature: String?, credits: Int64, ModelWindow)
    case deleteCap(Int)
    case setLimit(String, ModelLedger.Limit?)
    case deleteLimit(String)
    case setRule(ModelLedger.TopUpRule)
    case deleteRule
    case failRequest(Int, reason: String?)
    case subscription(ModelSubscriptionAct)
    case create(Settings)
    case update(Settings)
    case erase
    case advance

    package struct Grant: Hashable, Sendable {
        package var credits: Int64
        package var source = "promotional"
        package var priority: Int64?
        package var startsAt: Instant?
        package var expiry = ModelLedger.Expiry.never
        package var features: [String] = []
        /// In the currency's minor unit; nil if unknown.
        package var price: Int64?

        package init(credits: Int64) { self.credits = credits }
    }

    package struct TopUp: Hashable, Sendable {
        /// Nil means the package's credits.
        package var credits: Int64?
        package var package: String?
        package var priority: Int64?
        package var expiry: ModelLedger.Expiry?
        package var features: [String] = []
        package var price: Int64?
        package var payment: String?
        /// The request that the top-up answers. Without credits and package it brings the amount of the request.
        package var request: Int?

        package init(credits: Int64?, package: String?) {
            self.credits = credits
            self.package = package
        }
    }

    /// A use, or the estimate of a reservation.
    package struct Use: Hashable, Sendable {
        package var feature: String
        /// The further features of a reservation in credits over several.
        package var others: [String] = []
        package var demand: ModelDemand
        package var attributes: [String: String] = [:]
        package var occurredAt: Instant?

        package init(feature: String, demand: ModelDemand) {
            self.feature = feature
            self.demand = demand
        }

        package var features: [String] { [feature] + others }
    }

    /// A change of settings. Nil keeps a setting.
    package struct Settings: Hashable, Sendable {
        package var name: String?
        /// An inner nil means the environment's policy.
        package var policy: ModelCatalogue.Policy??
        package var limit: Int64??
        package var overrides: [String: ModelLedger.Override]?
        /// An inner nil means those of the environment.
        package var thresholds: [ModelLedger.Threshold]??
        package var clock: Int?

        package init() {}
    }
}

/// The result of a command.
package enum ModelReply: Equatable, Sendable {
    /// The figures of the answer. Their meaning and order depend on the command.
    case done([Int64])
    case refused(ModelLedger.Refusal)
}

/// The accounts of several end users of one environment.
package struct ModelWorld: Sendable {
    package var catalogue: ModelCatalogue
    package var ledgers: [String: ModelLedger] = [:]

    package init(catalogue: ModelCatalogue) {
        self.catalogue = catalogue
    }

    package func ledger(_ endUser: String) -> ModelLedger {
        var ledger = ledgers[endUser] ?? ModelLedger(catalogue: catalogue, endUser: endUser)
        ledger.catalogue = catalogue
        return ledger
    }

    /// The instant of an end user's clock; `clock` is real time.
    package func time(of endUser: String, _ clock: Instant) -> Instant {
        ledgers[endUser]?.testClock.flatMap { catalogue.clocks[$0] } ?? clock
    }

    /// The account of an end user at an instant of real time.
    package func advanced(_ endUser: String, _ clock: Instant) -> ModelLedger {
        var ledger = ledger(endUser)
        ledger.advance(to: time(of: endUser, clock))
        return ledger
    }

    /// Applies a command at an instant of real time.
    package mutating func apply(
        _ command: ModelCommand, to endUser: String, clock: Instant, key: String?
    ) -> ModelReply {
        if case .create(let settings) = command {
            return set(settings, mustExist: false, of: endUser, clock: clock)
        }
        if case .update(let settings) = command { return set(settings, mustExist: true, of: endUser, clock: clock) }
        if case .transfer(let receiver, let credits) = command {
            return transfer(credits, from: endUser, to: receiver, clock: clock, key: key)
        }
        let now = time(of: endUser, clock)
        var ledger = take(endUser)
        ledger.advance(to: now)
        ledger.key = key
        defer {
            ledger.key = nil
            ledgers[endUser] = ledger
        }
        let before = ledger
        let state = ledger.balanceState
        do throws(ModelLedger.Refusal) {
            if command != .advance && command != .erase {
                try ledger.requireExistence()
                ledger.startIfNew(command)
            }
            let figures = try ledger.apply(command)
            if command != .advance && command != .erase { ledger.exists = true }
            ledger.advance(to: ledger.now, judges: false)
            ledger.judgeBalance(since: state, at: ledger.now)
            ledger.judge(at: ledger.now)
            return .done(figures)
        } catch {
            ledger = before
            ledger.refused(command, error)
            ledger.judge(at: ledger.now)
            return .refused(error)
        }
    }

    /// Removes the ledger from the world. The caller puts it back.
    private mutating func take(_ endUser: String) -> ModelLedger {
        let ledger = ledger(endUser)
        ledgers[endUser] = nil
        return ledger
    }

    /// Advances both accounts to one instant if they are on the same clock, and moves the credits.
    private mutating func transfer(
        _ credits: Int64, from endUser: String, to other: String, clock: Instant, key: String?
    ) -> ModelReply {
        let isOneClock = ledger(endUser).testClock == ledger(other).testClock
        let present = max(time(of: endUser, clock), ledger(endUser).now)
        let now = isOneClock ? max(present, ledger(other).now) : present
        var sender = take(endUser)
        sender.advance(to: now)
        defer { ledgers[endUser] = sender }
        do throws(ModelLedger.Refusal) {
            try sender.requireExistence()
            try self.ledger(other).requireExistence()
        } catch {
            return .refused(error)
        }
        guard isOneClock else { return .refused(ModelLedger.Refusal("different_clocks")) }
        var receiver = take(other)
        receiver.advance(to: now)
        let before = (sender, receiver)
        sender.key = key
        receiver.key = key
        defer {
            sender.key = nil
            receiver.key = nil
            ledgers[other] = receiver
        }
        do throws(ModelLedger.Refusal) {
            sender.startIfNew()
            receiver.startIfNew()
            try ModelLedger.transfer(credits, from: &sender, to: &receiver)
            sender.exists = true
            sender.advance(to: sender.now, judges: false)
            receiver.advance(to: receiver.now, judges: false)
            sender.judgeBalance(since: before.0.balanceState, at: sender.now)
            receiver.judgeBalance(since: before.1.balanceState, at: receiver.now)
            sender.judge(at: sender.now)
            receiver.judge(at: receiver.now)
            return .done([credits])
        } catch {
            (sender, receiver) = before
            return .refused(error)
        }
    }

    private mutating func set(
        _ settings: ModelCommand.Settings, mustExist: Bool, of endUser: String, clock: Instant
    ) -> ModelReply {
        let before = ledger(endUser)
        let isCreated = !before.exists
        if before.isErased {
            ledgers[endUser] = advanced(endUser, clock)
            return .refused(ModelLedger.Refusal("unknown_end_user"))
        }
        do throws(ModelLedger.Refusal) {
            if mustExist && isCreated { throw ModelLedger.Refusal("unknown_end_user") }
            ledgers[endUser] = try set(settings, advanced(endUser, clock), before: before)
            return .done([isCreated ? 1 : 0])
        } catch {
            // A change of the clock is checked before the account is advanced.
            let isOfClock = settings.clock.map { $0 != before.testClock } ?? false
            ledgers[endUser] = isOfClock ? before : advanced(endUser, clock)
            return .refused(error)
        }
    }

    private func set(
        _ settings: ModelCommand.Settings, _ ledger: ModelLedger, before: ModelLedger
    ) throws(ModelLedger.Refusal) -> ModelLedger {
        var ledger = ledger
        if let number = settings.clock, number != ledger.testClock {
            guard let shown = catalogue.clocks[number] else { throw ModelLedger.Refusal("unknown_test_clock") }
            // An account cannot go back in time.
            if ledger.testClock != nil || shown < before.now { throw ModelLedger.Refusal("test_clock_conflict") }
            ledger = before
            ledger.testClock = number
            ledger.advance(to: shown)
        }
        if let overrides = settings.overrides {
            for (feature, override) in overrides.sorted(by: { $0.key < $1.key }) {
                try ledger.requireFeatures([feature])
                switch (override, catalogue.features[feature]?.kind) {
                case (.enabled, _), (.limit, .limit), (.quota, .metered): break
                default: throw ModelLedger.Refusal("wrong_override")
                }
            }
            ledger.overrides = overrides
        }
        if let policy = settings.policy { ledger.policy = policy }
        if let limit = settings.limit { ledger.overageLimit = limit }
        if let thresholds = settings.thresholds { ledger.thresholds = thresholds }
        if let name = settings.name { ledger.name = name }
        ledger.startIfNew()
        ledger.exists = true
        ledger.advance(to: ledger.now, judges: false)
        return ledger
    }
}

extension ModelLedger {
    func requireExistence() throws(Refusal) {
        if isErased || (!exists && !catalogue.createsEndUsers) { throw Refusal("unknown_end_user") }
    }

    /// Starts an end user who does not exist yet on the default plan, before the command that creates it.
    package mutating func startIfNew(_ command: ModelCommand? = nil) {
        if exists { return }
        if case .subscription(let act) = command {
            startDefault(without: act)
        } else {
            startDefault()
        }
    }

    /// Applies a command that concerns only this account and returns the figures of the answer.
    package mutating func apply(_ command: ModelCommand) throws(Refusal) -> [Int64] {
        switch command {
        case .grant(let grant):
            let end = grant.expiry.instant(grant.startsAt ?? now, in: catalogue.zone)
            if case .after = grant.expiry, let end, end <= now {
                throw Refusal("ends_in_the_past", end.microseconds, now.microseconds)
            }
            try requireFuture(end)
            if let end, let start = grant.startsAt, end <= start {
                throw Refusal("expires_before_start", end.microseconds, start.microseconds)
            }
            try self.grant(
                grant.credits,
                Terms(
                    source: grant.source, priority: grant.priority ?? (grant.source == "plan" ? 10 : 50),
                    startsAt: grant.startsAt, expiresAt: end, isPaid: (grant.price ?? 0) > 0,
                    features: grant.features))
            return [Int64(blocks.count)]
        case .topUp(var topUp):
            if let number = topUp.request {
                let request = try payable(number)
                if topUp.credits == nil && topUp.package == nil {
                    (topUp.credits, topUp.package) = (request.credits, request.package)
                }
            }
            if let package = topUp.package {
                try self.topUp(
                    package: package, price: topUp.price, expiry: topUp.expiry, priority: topUp.priority,
                    features: topUp.features, payment: topUp.payment)
            } else {
                try grant(
                    topUp.credits ?? 0,
                    Terms(
                        source: "topup", priority: topUp.priority ?? 50,
                        expiresAt: topUp.expiry?.instant(now, in: catalogue.zone),
                        isPaid: (topUp.price ?? 0) > 0, features: topUp.features), payment: topUp.payment)
            }
            toppedUp(topUp.request)
            return [Int64(blocks.count)]
        case .use(let use):
            try self.use(use.feature, use.demand, attributes: use.attributes, occurredAt: use.occurredAt)
            return [-(entries.last?.amount ?? 0)]
        case .refund(let charge, let extent, let expiry):
            let refunded = try refund(charge, extent, expiry: expiry)
            return [refunded.credits, refunded.overage, refunded.forfeited] + refunded.compensation.map(Int64.init)
        case .revoke(let block): return [try revoke(block)]
        case .adjust(let amount):
            try adjust(amount)
            return [amount]
        case .reserve(let use, let ttl):
            let number = try reserve(use.features, use.demand, attributes: use.attributes, ttl: ttl)
            return [Int64(number)]
        case .commit(let number, let demand, let feature, let attributes, let shortfall):
            let change = try commit(number, demand, of: feature, attributes: attributes, shortfall: shortfall)
            return change.figures
        case .release(let number):
            return try release(number).figures
        case .extend(let number, let ttl):
            try extend(number, ttl: ttl)
            return Change().figures
        case .progress(let number, let demand, let feature):
            return try progress(number, demand, of: feature).figures
        case .createCap(let feature, let credits, let window):
            try createCap(feature: feature, credits: credits, window: window)
            return [Int64(capCount)]
        case .deleteCap(let number):
            try deleteCap(number)
            return []
        case .setLimit(let key, let limit):
            return [try setLimit(key, limit) ? 1 : 0]
        case .deleteLimit(let key):
            try deleteLimit(key)
            return []
        case .erase:
            try erase()
            return []
        case .setRule(let rule): return [try setRule(rule) ? 1 : 0]
        case .deleteRule:
            try deleteRule()
            return []
        case .failRequest(let number, let reason):
            try failRequest(number, reason: reason)
            return [topUps.failures, topUps.isSuspended ? 1 : 0]
        case .subscription(let act): return try apply(act)
        case .advance: return []
        case .transfer, .create, .update: return []
        }
    }
}
