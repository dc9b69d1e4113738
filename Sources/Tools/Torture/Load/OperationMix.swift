import Credits
import LedgerModel
import SeededRandom

/// Draws a client's steps from the seed. A step also depends on the clock and on the objects that exist by then.
struct OperationMix {
    enum Step {
        /// One request; sent to both API nodes at once if `isTwice`.
        case mutate(Operation, node: Int, isAsync: Bool, isTwice: Bool)
        /// Different requests about the same object, sent at once, each to another API node.
        case race([Operation], node: Int)
        case batch([Operation], node: Int, isTwice: Bool)
        /// Asynchronous requests, one after another.
        case burst([Operation], node: Int)
        case read(Read)
    }

    /// A read. The node is taken modulo the number of nodes.
    struct Read {
        enum What {
            case check(feature: String, units: Int64)
            case balance
            case ledger
        }

        let what: What
        let endUser: EndUser
        let node: Int
        /// False for the few reads that accept any state of the node.
        let presentsPosition: Bool
    }

    static let endUsersPerEnvironment = 80
    private static let hotEndUsers = 4

    private let client: Int
    private let environmentCount: Int
    let objects: KnownObjects
    /// The instant that the test clock of the end users shows; nil for end users of real time.
    var clock: Instant?
    var random: SeededGenerator
    private var counts: [Int]

    init(seed: UInt64, client: Int, environmentCount: Int, objects: KnownObjects) {
        self.client = client
        self.environmentCount = environmentCount
        self.objects = objects
        random = SeededGenerator(seed: seed &+ UInt64(client + 1) &* 0x9E37_79B9)
        counts = Array(repeating: 0, count: environmentCount)
    }

    /// The present time of the end users.
    var now: Instant { clock ?? .now }

    static func endUserID(_ number: Int) -> String { "user-\(number)" }

    mutating func next() -> Step {
        let environment = Int.random(in: 0..<environmentCount, using: &random)
        let node = Int.random(in: 0..<1 << 16, using: &random)
        let isTwice = random.chance(5)
        let isAsync = random.chance(15)
        let endUser = endUser(environment)
        func one(_ operation: Operation) -> Step {
            .mutate(operation, node: node, isAsync: isAsync, isTwice: isTwice)
        }
        switch Int.random(in: 0..<1_000, using: &random) {
        case ..<220: return one(use(endUser))
        case ..<280:
            let size = Int.random(in: 2...20, using: &random)
            return .batch((0..<size).map { _ in use(self.endUser(environment)) }, node: node, isTwice: isTwice)
        case ..<350:
            return .burst((0..<Int.random(in: 3...8, using: &random)).map { _ in use(endUser) }, node: node)
        case ..<420: return one(grant(endUser))
        case ..<470: return topUp(endUser, node: node)
        case ..<500: return one(subscription(endUser, to: Market.variants))
        case ..<580: return one(reserve(endUser))
        case ..<690: return reservationAction(endUser, node: node) ?? one(reserve(endUser))
        case ..<720: return several((0..<2).map { _ in subscription(endUser, to: Market.variants) }, node: node)
        case ..<760: return refund(endUser, node: node) ?? one(use(endUser))
        case ..<780: return revoke(endUser, node: node) ?? one(grant(endUser))
        case ..<800: return one(adjust(endUser))
        case ..<840: return one(transfer(endUser))
        case ..<850: return one(cap(endUser))
        case ..<865: return one(setting(endUser))
        case ..<875: return one(catalogueChange(environment))
        default: return .read(read(endUser, node: node))
        }
    }

    private mutating func endUser(_ environment: Int) -> EndUser {
        let limit = random.chance(40) ? Self.hotEndUsers : Self.endUsersPerEnvironment
        return EndUser(environment: environment, id: Self.endUserID(Int.random(in: 0..<limit, using: &random)))
    }

    /// Every environment uses the same key texts, for different operations.
    mutating func key(_ endUser: EndUser) -> String {
        counts[endUser.environment] += 1
        return "client-\(client)-\(counts[endUser.environment])"
    }

    private mutating func canary(percent: Int) -> String? {
        let number = UInt64.random(in: 0...UInt64.max, using: &random)
        return random.chance(percent) ? "canary\(String(number, radix: 36))" : nil
    }

    // MARK: - Credits in and out

    private mutating func use(_ endUser: EndUser) -> Operation {
        let feature = random.pick(
            [
                "calls", "calls", "calls", "tokens", "tokens", "flat", "images", "seats", "chat", "jobs", "voice",
                "pro", "team",
            ])
        var use = ModelCommand.Use(feature: random.chance(1) ? "unheard-of" : feature, demand: demand(of: feature))
        if feature == "voice" { use.attributes = attributes() }
        if random.chance(10) {
            use.occurredAt = now.adding(seconds: -Int64.random(in: 0...100_000, using: &random))
        }
        return Operation(endUser, .use(use), key: key(endUser), canary: canary(percent: 20))
    }

    private mutating func demand(of feature: String) -> ModelDemand {
        if feature == "voice" {
            return .quantities([
                "seconds": Int64.random(in: 0...300, using: &random),
                "words": Int64.random(in: 0...2_000, using: &random),
            ])
        }
        return .units(Int64.random(in: 0...(feature == "tokens" ? 20_000 : 20), using: &random))
    }

    private mutating func attributes() -> [String: String] {
        random.chance(50) ? ["quality": random.pick(["studio", "phone"])] : [:]
    }

    private mutating func expiry() -> ModelLedger.Expiry {
        let seconds = Int64.random(in: 1...12, using: &random)
        return switch Int.random(in: 0..<10, using: &random) {
        case ..<3: .after(months: 0, seconds: seconds)
        case 3: .at(now.adding(seconds: seconds))
        default: .never
        }
    }

    private mutating func grant(_ endUser: EndUser) -> Operation {
        var grant = ModelCommand.Grant(credits: Int64.random(in: 1...1_200, using: &random))
        grant.priority = random.chance(60) ? nil : Int64.random(in: 0...5, using: &random) * 20
        if random.chance(20) { grant.startsAt = now.adding(seconds: Int64.random(in: -1...10, using: &random)) }
        grant.expiry = expiry()
        grant.features = random.pick([[], [], [], [], ["calls"], ["tokens", "flat"], ["calls", "flat"]])
        grant.price = random.chance(30) ? Int64.random(in: 0...900, using: &random) : nil
        return Operation(endUser, .grant(grant), key: key(endUser), canary: canary(percent: 20))
    }

    /// A payment arrives once, twice at once under different keys, or again much later, sometimes for another end user
    /// or with another amount.
    private mutating func topUp(_ endUser: EndUser, node: Int) -> Step {
        let credits = Int64.random(in: 100...2_000, using: &random)
        let package = random.chance(30) ? random.pick(["small", "large"]) : nil
        var topUp = ModelCommand.TopUp(credits: package == nil ? credits : nil, package: package)
        topUp.price = random.chance(40) ? credits / 10 : nil
        // Without an expiry of its own, the top-up has the package's.
        let expiry = expiry()
        topUp.expiry = expiry == .never ? nil : expiry
        if random.chance(15) {
            return .mutate(
                Operation(endUser, .topUp(topUp), key: key(endUser), canary: canary(percent: 20)), node: node,
                isAsync: false, isTwice: false)
        }
        let earlier = objects.payments(endUser.environment)
        if random.chance(40), !earlier.isEmpty {
            return .mutate(again(random.pick(earlier)), node: node, isAsync: random.chance(20), isTwice: false)
        }
        let key = key(endUser)
        topUp.payment = "payment-\(key)"
        let first = Operation(endUser, .topUp(topUp), key: key, canary: canary(percent: 20))
        return random.chance(50)
            ? .race([first, again(first)], node: node)
            : .mutate(first, node: node, isAsync: random.chance(20), isTwice: random.chance(10))
    }

    /// The same payment under another key, sometimes for another end user or with another amount.
    private mutating func again(_ first: Operation) -> Operation {
        guard case .topUp(var topUp) = first.command else { return first }
        var endUser = first.endUser
        switch Int.random(in: 0..<10, using: &random) {
        case ..<2: endUser = self.endUser(endUser.environment)
        case ..<4:
            topUp.package = nil
            topUp.credits = Int64.random(in: 1...2_000, using: &random)
        default: break
        }
        return Operation(endUser, .topUp(topUp), key: key(endUser), canary: first.canary)
    }

    private mutating func refund(_ endUser: EndUser, node: Int) -> Step? {
        let charges = objects.charges(endUser)
        guard !charges.isEmpty else { return nil }
        let charge = random.pick(charges)
        let operations = (0..<(random.chance(25) ? 2 : 1)).map { _ in
            let extent: ModelLedger.Extent =
                switch Int.random(in: 0..<10, using: &random) {
                case ..<4: .rest
                case ..<7: .units(Int64.random(in: 1...max(1, charge.units), using: &random))
                default: .credits(Int64.random(in: 1...60, using: &random))
                }
            let expiry = random.chance(20) ? ModelLedger.Expiry.after(months: 0, seconds: 7) : nil
            return Operation(
                endUser, .refund(charge: charge.id.number, extent, expiry: expiry), about: charge.id,
                key: key(endUser), canary: canary(percent: 10))
        }
        return several(operations, node: node)
    }

    private mutating func revoke(_ endUser: EndUser, node: Int) -> Step? {
        let blocks = objects.blocks(endUser)
        guard !blocks.isEmpty else { return nil }
        let block = random.pick(blocks)
        let operations = (0..<(random.chance(40) ? 2 : 1)).map { _ in
            Operation(endUser, .revoke(block: Int(block.number)), about: block, key: key(endUser))
        }
        return several(operations, node: node)
    }

    private func several(_ operations: [Operation], node: Int) -> Step {
        operations.count == 1
            ? .mutate(operations[0], node: node, isAsync: false, isTwice: false) : .race(operations, node: node)
    }

    private mutating func adjust(_ endUser: EndUser) -> Operation {
        let amount = Int64.random(in: 1...500, using: &random)
        return Operation(
            endUser, .adjust(random.chance(50) ? amount : -amount), key: key(endUser), canary: canary(percent: 10))
    }

    private mutating func transfer(_ endUser: EndUser) -> Operation {
        var other = self.endUser(endUser.environment)
        while other == endUser { other = self.endUser(endUser.environment) }
        return Operation(
            endUser, .transfer(to: other.id, Int64.random(in: 1...800, using: &random)), key: key(endUser),
            canary: canary(percent: 10))
    }

    // MARK: - Reservations

    private mutating func reserve(_ endUser: EndUser) -> Operation {
        let feature = random.pick(["calls", "tokens", "images", "seats", "chat", "jobs", "jobs", "voice", "pro"])
        var use = ModelCommand.Use(feature: feature, demand: demand(of: feature))
        if random.chance(15) {
            use.demand = .credits(Int64.random(in: 1...200, using: &random))
        } else if feature == "voice" {
            use.attributes = attributes()
        }
        let ttl = Int64.random(in: random.chance(40) ? 1...6 : 8...25, using: &random)
        return Operation(endUser, .reserve(use, ttl: ttl), key: key(endUser), canary: canary(percent: 10))
    }

    private mutating func reservationAction(_ endUser: EndUser, node: Int) -> Step? {
        // Mostly chooses a reservation whose deadline has not passed.
        let all = objects.reservations(endUser)
        let now = now
        let open = all.filter { $0.deadline > now }
        let reservations = random.chance(20) ? all : open
        guard !reservations.isEmpty else { return nil }
        let reservation = random.pick(reservations)
        let number = Int(reservation.id.number)
        let operations = (0..<(random.chance(15) ? 2 : 1)).map { _ in
            let command: ModelCommand =
                switch Int.random(in: 0..<10, using: &random) {
                case ..<4:
                    .commit(
                        number, part(of: reservation.estimate), attributes: served(reservation.estimate),
                        shortfall: shortfall())
                case ..<7: .progress(number, part(of: reservation.estimate))
                case 7: .release(number)
                default: .extend(number, ttl: Int64.random(in: 1...10, using: &random))
                }
            return Operation(endUser, command, about: reservation.id, key: key(endUser))
        }
        return several(operations, node: node)
    }

    private mutating func shortfall() -> String? {
        random.pick([nil, nil, "reject", "cap", "overage"])
    }

    /// The attributes of a commit, now and then others than those of the reservation.
    private mutating func served(_ estimate: ModelDemand) -> [String: String] {
        guard case .quantities = estimate, random.chance(30) else { return [:] }
        return ["quality": random.pick(["studio", "phone"])]
    }

    /// From 0 to 200 % of the estimate.
    private mutating func part(of estimate: ModelDemand) -> ModelDemand {
        let percent = Int64.random(in: 0...200, using: &random)
        return switch estimate {
        case .units(let units): .units(units * percent / 100)
        case .credits(let credits): .credits(credits * percent / 100)
        case .quantities(let quantities): .quantities(quantities.mapValues { $0 * percent / 100 })
        }
    }

    // MARK: - Settings

    private mutating func cap(_ endUser: EndUser) -> Operation {
        if random.chance(50) { return limit(endUser) }
        let caps = objects.caps(endUser)
        if !caps.isEmpty, random.chance(50) {
            let cap = random.pick(caps)
            return Operation(endUser, .deleteCap(Int(cap.number)), about: cap, key: key(endUser))
        }
        return Operation(
            endUser,
            .createCap(
                feature: random.chance(50) ? random.pick(["calls", "jobs", "images"]) : nil,
                credits: Int64.random(in: 300...3_000, using: &random),
                random.pick([.duration(months: 0, seconds: 60), .duration(months: 0, seconds: 90), .day])),
            key: key(endUser))
    }

    /// A limit of units, credits or jobs. Some are lifted or deleted.
    private mutating func limit(_ endUser: EndUser) -> Operation {
        let key = random.pick(["minute", "models", "jobs-at-once", "quota:calls"])
        if random.chance(20) {
            return Operation(endUser, .deleteLimit(key), key: self.key(endUser))
        }
        let unit =
            key == "quota:calls" ? "units" : key == "jobs-at-once" ? "concurrent" : random.pick(["units", "credits"])
        var limit = ModelLedger.Limit(
            unit: unit, amount: Int64.random(in: 0...(unit == "concurrent" ? 5 : 3_000), using: &random), window: nil)
        if unit != "concurrent" {
            limit.window = random.pick([.duration(months: 0, seconds: 60), .duration(months: 0, seconds: 90), .day])
            limit.opensWithUse = random.chance(30)
        }
        if key == "models" { limit.per = "model" }
        if key == "minute", random.chance(50) { limit.features = ["calls", "jobs"] }
        return Operation(endUser, .setLimit(key, random.chance(10) ? nil : limit), key: self.key(endUser))
    }

    /// Every fourth end user gets its own overage policy.
    private mutating func setting(_ endUser: EndUser) -> Operation {
        var settings = ModelCommand.Settings()
        settings.name = "name \(UInt32.random(in: 0...UInt32.max, using: &random))"
        if let number = Int(endUser.id.drop { !$0.isNumber }), number % 4 == 3 {
            settings.policy = .some(random.pick([.allow, .allow, .notify, .block, nil]))
            settings.limit = .some(random.pick([nil, 2_000, 500]))
        }
        if random.chance(20) {
            // The quota has the windows of the feature's own quota: how a quota with other windows counts earlier uses
            // is unspecified.
            let quota = ModelLedger.Quota(
                limit: 120, window: .duration(months: 0, seconds: 60), opensWithUse: false)
            settings.overrides = random.pick([[:], ["images": .quota(quota)], ["flat": .enabled(false)]])
        }
        return Operation(
            endUser, random.chance(50) ? .create(settings) : .update(settings), key: key(endUser), canary: nil)
    }

    private mutating func catalogueChange(_ environment: Int) -> Operation {
        let endUser = EndUser(environment: environment, id: "")
        let name = "name \(UInt32.random(in: 0...UInt32.max, using: &random))"
        return Operation(
            endUser: endUser, action: .nameFeature(feature: random.pick(["calls", "tokens", "flat"]), name: name),
            key: key(endUser), canary: nil)
    }

    private mutating func read(_ endUser: EndUser, node: Int) -> Read {
        let units = Int64.random(in: 0...20, using: &random)
        let what: Read.What =
            switch Int.random(in: 0..<10, using: &random) {
            case ..<7:
                .check(
                    feature: random.pick([
                        "calls", "tokens", "flat", "images", "seats", "chat", "jobs", "pro", "team",
                    ]), units: units)
            case ..<9: .balance
            default: .ledger
            }
        return Read(what: what, endUser: endUser, node: node, presentsPosition: random.chance(80))
    }
}
