import Credits
import LedgerModel
import SeededRandom
import JSON

/// A random command of a client for an end user.
enum ClientCommand {
    struct Event: Equatable {
        let feature: String
        var units: Int64
        var occurredAt: Instant?

        func json(_ endUser: String, key: String?) -> JSONValue {
            .members([
                ("end_user_id", .string(endUser)), ("feature_key", .string(feature)), ("units", .integer(units)),
                ("occurred_at", occurredAt.map { .string($0.description) }),
                ("idempotency_key", key.map { .string($0) }),
            ])
        }
    }

    struct Grant: Equatable {
        enum Expiry: Equatable {
            case never
            case at(Instant)
            case after(seconds: Int64)
        }

        var credits: Int64
        let priority: Int64?
        let startsAt: Instant?
        let expiry: Expiry
        let features: [String]

        func json(_ endUser: String) -> JSONValue {
            var (expiresAt, expiresAfter): (JSONValue?, JSONValue?)
            switch expiry {
            case .never: break
            case .at(let instant): expiresAt = .string(instant.description)
            case .after(let seconds): expiresAfter = "PT\(seconds)S"
            }
            return .members([
                ("end_user_id", .string(endUser)), ("credits", .integer(credits)),
                ("priority", priority.map { .integer($0) }), ("starts_at", startsAt.map { .string($0.description) }),
                ("expires_at", expiresAt), ("expires_after", expiresAfter),
                ("feature_keys", features.isEmpty ? nil : .array(features.map { .string($0) })),
            ])
        }

        var command: ModelCommand {
            var grant = ModelCommand.Grant(credits: credits)
            grant.priority = priority
            grant.startsAt = startsAt
            grant.expiry =
                switch expiry {
                case .never: .never
                case .at(let instant): .at(instant)
                case .after(let seconds): .after(months: 0, seconds: seconds)
                }
            grant.features = features
            return .grant(grant)
        }
    }

    case grant(Grant, key: String?)
    case use(Event, key: String?)
    case batch([(event: Event, key: String?)])
    case createEndUser(name: String?)
    case renameEndUser(String?)
    case check(Event)
    case replay
    case look

    /// - Parameters:
    ///   - isHasty: Whether credits expire within seconds.
    ///   - freshKey: A key that was never used.
    static func random(
        _ random: inout SeededGenerator, isHasty: Bool, now: Instant, freshKey: String
    ) -> ClientCommand {
        let key = random.chance(40) ? freshKey : nil
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<20: return .grant(grant(&random, isHasty: isHasty, now: now), key: key)
        case 20..<54: return .use(event(&random, now: now), key: key)
        case 54..<62:
            var events: [(event: Event, key: String?)] = []
            for index in 0..<Int.random(in: 1...8, using: &random) {
                if index > 0, random.chance(20) {
                    events.append(random.pick(events))
                } else {
                    events.append((event(&random, now: now), random.chance(40) ? "\(freshKey)/\(index)" : nil))
                }
            }
            return .batch(events)
        case 62..<74: return .replay
        case 74..<88: return .check(event(&random, now: now))
        case 88..<90: return .createEndUser(name: random.chance(50) ? nil : freshKey)
        case 90..<93: return .renameEndUser(random.chance(30) ? nil : freshKey)
        default: return .look
        }
    }

    private static func grant(_ random: inout SeededGenerator, isHasty: Bool, now: Instant) -> Grant {
        let expiry: Grant.Expiry
        switch Int.random(in: 0..<(isHasty ? 6 : 3), using: &random) {
        case 0: expiry = .never
        case 1: expiry = .after(seconds: Int64.random(in: 4_000...4_010, using: &random))
        case 2: expiry = .at(now.adding(seconds: Int64.random(in: 4_000...4_010, using: &random)))
        case 3: expiry = .after(seconds: Int64.random(in: 1...3, using: &random))
        default:
            // Some of these instants have passed before the server reads them.
            expiry = .at(Instant(microseconds: now.microseconds + Int64.random(in: -2_000...2_000_000, using: &random)))
        }
        // Some starts have passed, and hasty grants land while the run goes on.
        let later = Int64.random(in: isHasty ? -1_000...3_000 : 4_000_000...4_010_000, using: &random)
        let startsAt = random.chance(20) ? Instant(microseconds: now.microseconds + 1_000 * later) : nil
        let restrictions: [[String]] = [[], [], [], ["calls"], ["calls", "tokens"], ["flat", "dated"], ["nothing"]]
        return Grant(
            credits: random.chance(2) ? ModelLedger.largestAmount : Int64.random(in: 1...3_000, using: &random),
            priority: random.chance(60) ? nil : Int64.random(in: 0...100, using: &random) / 20 * 20, startsAt: startsAt,
            expiry: expiry, features: random.pick(restrictions))
    }

    private static func event(_ random: inout SeededGenerator, now: Instant) -> Event {
        let feature = random.pick(
            [
                "calls", "calls", "calls", "tokens", "tokens", "flat", "flat", "dated", "dated", "free", "unpriced",
                "archived", "nothing",
            ])
        let largest: Int64 = feature == "tokens" ? 400_000 : 150
        var units = Int64.random(in: 0...largest, using: &random)
        if random.chance(2) { units = random.pick([Int64.max, ModelLedger.largestAmount, 1 << 40]) }
        var occurredAt: Instant?
        if feature == "dated" || random.chance(10) {
            // From 36 days back to 6 minutes ahead: some are outside the accepted window.
            let seconds =
                random.chance(50)
                ? -Int64.random(in: 0...36 * 86_400, using: &random) : Int64.random(in: -600...360, using: &random)
            occurredAt = now.adding(seconds: seconds)
        }
        return Event(feature: feature, units: units, occurredAt: occurredAt)
    }
}
