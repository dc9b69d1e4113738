import Credits
import SeededRandom

/// What a client does next, drawn from the seed alone; only instants in it come from the clock.
struct OperationMix {
    enum Step {
        /// One request for each operation; sent to both API nodes at once if `isTwice`.
        case mutate(Operation, node: Int, isAsync: Bool, isTwice: Bool)
        case batch([Operation], node: Int, isTwice: Bool)
        /// One after another, none waiting for what becomes of the one before.
        case burst([Operation], node: Int)
        case read(Read)
    }

    /// A read; nodes are taken modulo their number.
    struct Read {
        enum What {
            case check(feature: String, units: Int64)
            case balance
            case ledger
        }

        let what: What
        let endUser: EndUser
        let node: Int
        /// False for the few that take whatever the node has.
        let presentsPosition: Bool
    }

    static let endUsersPerEnvironment = 80
    private static let hotEndUsers = 4

    private let client: Int
    private let environmentCount: Int
    private var random: SeededGenerator
    private var counts: [Int]

    init(seed: UInt64, client: Int, environmentCount: Int) {
        self.client = client
        self.environmentCount = environmentCount
        random = SeededGenerator(seed: seed &+ UInt64(client + 1) &* 0x9E37_79B9)
        counts = Array(repeating: 0, count: environmentCount)
    }

    static func endUserID(_ number: Int) -> String { "user-\(number)" }

    mutating func next() -> Step {
        let environment = Int.random(in: 0..<environmentCount, using: &random)
        let node = Int.random(in: 0..<1 << 16, using: &random)
        let isTwice = random.chance(5)
        let endUser = endUser(environment)
        switch Int.random(in: 0..<1_000, using: &random) {
        case ..<470: return .mutate(use(endUser), node: node, isAsync: false, isTwice: isTwice)
        case ..<550: return .mutate(use(endUser), node: node, isAsync: true, isTwice: isTwice)
        case ..<640:
            let size = Int.random(in: 2...20, using: &random)
            return .batch((0..<size).map { _ in use(self.endUser(environment)) }, node: node, isTwice: isTwice)
        case ..<770: return .mutate(grant(endUser), node: node, isAsync: random.chance(10), isTwice: isTwice)
        case ..<805: return .mutate(naming(endUser), node: node, isAsync: false, isTwice: isTwice)
        case ..<815: return .mutate(catalogueChange(environment), node: node, isAsync: false, isTwice: isTwice)
        case ..<850:
            return .burst((0..<Int.random(in: 3...8, using: &random)).map { _ in use(endUser) }, node: node)
        default: return .read(read(endUser, node: node))
        }
    }

    private mutating func endUser(_ environment: Int) -> EndUser {
        let limit = random.chance(40) ? Self.hotEndUsers : Self.endUsersPerEnvironment
        return EndUser(environment: environment, id: Self.endUserID(Int.random(in: 0..<limit, using: &random)))
    }

    /// The same texts are used as keys in every environment, for different things.
    private mutating func key(_ endUser: EndUser) -> String {
        counts[endUser.environment] += 1
        return "client-\(client)-\(counts[endUser.environment])"
    }

    private mutating func canary(percent: Int) -> String? {
        let number = UInt64.random(in: 0...UInt64.max, using: &random)
        return random.chance(percent) ? "canary\(String(number, radix: 36))" : nil
    }

    private mutating func use(_ endUser: EndUser) -> Operation {
        let feature = random.pick(["calls", "calls", "calls", "calls", "tokens", "tokens", "flat"])
        let largest: Int64 = feature == "tokens" ? 20_000 : 20
        let units = Int64.random(in: 0...largest, using: &random)
        let back = Int64.random(in: 0...100_000, using: &random)
        return Operation(
            endUser: endUser,
            action: .use(
                feature: random.chance(1) ? "unheard-of" : feature, units: units,
                occurredAt: random.chance(10) ? Instant.now.adding(seconds: -back) : nil),
            key: key(endUser), canary: canary(percent: 20))
    }

    private mutating func grant(_ endUser: EndUser) -> Operation {
        let seconds = Int64.random(in: 1...12, using: &random)
        let expiry: Operation.Expiry =
            switch Int.random(in: 0..<10, using: &random) {
            case ..<3: .after(seconds: seconds)
            case 3: .at(Instant.now.adding(seconds: seconds))
            default: .never
            }
        let features: [[String]] = [[], [], [], [], ["calls"], ["tokens", "flat"], ["calls", "flat"]]
        return Operation(
            endUser: endUser,
            action: .grant(
                credits: Int64.random(in: 1...1_200, using: &random),
                priority: random.chance(60) ? nil : Int64.random(in: 0...5, using: &random) * 20, expiry: expiry,
                features: random.pick(features)),
            key: key(endUser), canary: canary(percent: 20))
    }

    private mutating func naming(_ endUser: EndUser) -> Operation {
        let name = "name \(UInt32.random(in: 0...UInt32.max, using: &random))"
        let action: Operation.Action =
            random.chance(50) ? .create(name: name) : .rename(name: random.chance(20) ? nil : name)
        return Operation(endUser: endUser, action: action, key: key(endUser), canary: nil)
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
            case ..<7: .check(feature: random.pick(["calls", "tokens", "flat"]), units: units)
            case ..<9: .balance
            default: .ledger
            }
        return Read(what: what, endUser: endUser, node: node, presentsPosition: random.chance(80))
    }
}
