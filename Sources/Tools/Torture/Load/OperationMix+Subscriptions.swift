import Credits
import LedgerModel
import SeededRandom

extension OperationMix {
    /// A command for a subscription of an end user, or a new subscription.
    mutating func subscription(_ endUser: EndUser, to variants: [Int]) -> Operation {
        guard let latest = objects.subscription(endUser), !random.chance(20) else {
            return operation(endUser, .subscription(.subscribe(subscribe(variants))))
        }
        // A fallback has the next number.
        let number = random.chance(75) ? latest.number : Int64.random(in: 1...latest.number + 1, using: &random)
        return operation(
            endUser, .subscription(act(Int(number), variants)),
            about: PublicID(.subscription, account: latest.account, number: number))
    }

    /// A command of an end user on a test clock.
    mutating func commandOfClock(_ endUser: EndUser) -> Operation {
        switch Int.random(in: 0..<10, using: &random) {
        case ..<5: return subscription(endUser, to: Market.clockVariants)
        case ..<8:
            let feature = random.pick(["calls", "tokens", "flat", "chat", "jobs", "pro"])
            let most: Int64 = feature == "tokens" ? 20_000 : 60
            let units = Int64.random(in: 0...most, using: &random)
            return operation(endUser, .use(ModelCommand.Use(feature: feature, demand: .units(units))))
        case 8:
            var grant = ModelCommand.Grant(credits: Int64.random(in: 1...1_200, using: &random))
            if random.chance(50) { grant.expiry = .after(months: 0, seconds: 100_000) }
            return operation(endUser, .grant(grant))
        default:
            let reservations = objects.reservations(endUser)
            guard !reservations.isEmpty, random.chance(60) else {
                let use = ModelCommand.Use(
                    feature: random.pick(["calls", "pro"]), demand: .units(Int64.random(in: 1...60, using: &random)))
                return operation(
                    endUser, .reserve(use, ttl: Int64.random(in: 60...604_800, using: &random)))
            }
            let reservation = random.pick(reservations)
            let number = Int(reservation.id.number)
            return operation(
                endUser,
                random.chance(30)
                    ? .release(number)
                    : .commit(number, .units(Int64.random(in: 0...80, using: &random)), shortfall: nil),
                about: reservation.id)
        }
    }

    private mutating func operation(
        _ endUser: EndUser, _ command: ModelCommand, about subject: PublicID? = nil
    ) -> Operation {
        Operation(endUser, command, about: subject, key: key(endUser), clock: clock)
    }

    private mutating func subscribe(_ variants: [Int]) -> ModelSubscriptionAct.Subscribe {
        var wanted = ModelSubscriptionAct.Subscribe(variant: random.pick(variants))
        wanted.quantity = Int64.random(in: 1...3, using: &random)
        if random.chance(20) { wanted.startsAt = soon(from: -1) }
        if random.chance(25) { wanted.trialDays = random.pick([0, 1, 5]) }
        if random.chance(25) {
            wanted.contract = ModelSubscription.Contract(
                periods: Int64.random(in: 1...3, using: &random), renews: random.chance(50), noticeDays: 2)
        }
        return wanted
    }

    private mutating func act(_ number: Int, _ variants: [Int]) -> ModelSubscriptionAct {
        switch Int.random(in: 0..<26, using: &random) {
        case ..<5: return .renew(number)
        case ..<13: return .change(number, change(variants))
        case ..<16: return .pause(number, until: random.chance(60) ? soon(from: 1) : nil)
        case ..<19: return .resume(number)
        case ..<21: return .cancel(number, now: true, revokes: random.chance(40))
        case ..<22: return .cancel(number, now: false, revokes: random.chance(40))
        case ..<24: return .uncancel(number)
        default: return .withdrawChange(number)
        }
    }

    private mutating func change(_ variants: [Int]) -> ModelSubscriptionAct.Change {
        var change = ModelSubscriptionAct.Change(random.pick([.upgrade, .downgrade, .quantity]))
        if change.verb != .quantity { change.variant = random.pick(variants) }
        if change.verb == .quantity || random.chance(30) {
            change.quantity = Int64.random(in: 1...4, using: &random)
        }
        change.effective = random.pick([nil, nil, .now, .periodEnd])
        change.restarts = random.chance(25)
        return change
    }

    /// An instant within 12 seconds; on a test clock, within four days.
    private mutating func soon(from first: Int64) -> Instant {
        now.adding(seconds: Int64.random(in: first...12, using: &random) * (clock == nil ? 1 : 28_800))
    }
}
