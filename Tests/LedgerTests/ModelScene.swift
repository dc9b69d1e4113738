import Credits
import LedgerModel
import Testing

/// One end user of an environment with features and variants, played on the model alone. All times are in days after
/// 1 April 2026, UTC.
struct ModelScene {
    static let endUser = "alice"
    var world: ModelWorld
    private var clock: Instant

    init(_ variants: [Int: ModelVariant]) {
        let free = ModelPrice.perUnit(1, per: 1)
        let feature = ModelLedger.Feature(prices: [(Instant(microseconds: 0), free)])
        var catalogue = ModelCatalogue(features: [
            "calls": feature, "other": feature, "beta": ModelLedger.Feature(kind: .boolean),
        ])
        catalogue.variants = variants
        world = ModelWorld(catalogue: catalogue)
        clock = Self.start
    }

    private static let start = Instant(rfc3339: "2026-04-01T00:00:00Z") ?? Instant(microseconds: 0)

    func day(_ day: Double, hours: Int64 = 0) -> Instant {
        Self.start.adding(seconds: Int64(day * 86_400) + hours * 3_600)
    }

    var ledger: ModelLedger { world.ledger(Self.endUser) }
    /// The first subscription.
    var state: ModelSubscription { ledger.subscriptions[0] }

    @discardableResult
    mutating func play(_ day: Double, hours: Int64 = 0, _ command: ModelCommand) -> ModelReply {
        clock = max(clock, self.day(day, hours: hours))
        return world.apply(command, to: Self.endUser, clock: clock, key: nil)
    }

    mutating func at(_ day: Double, hours: Int64 = 0, _ act: ModelSubscriptionAct) {
        if case .refused(let refusal) = play(day, hours: hours, .subscription(act)) {
            Issue.record("\(act) is refused: \(refusal)")
        }
    }

    mutating func refuses(_ day: Double, _ act: ModelSubscriptionAct, _ code: String) {
        guard case .refused(let refusal) = play(day, .subscription(act)), refusal.code == code else {
            Issue.record("\(act) is not refused as \(code)")
            return
        }
    }

    mutating func subscribe(_ variant: Int, on day: Double = 0, startsOn start: Double? = nil) {
        var wanted = ModelSubscriptionAct.Subscribe(variant: variant)
        wanted.startsAt = start.map { self.day($0) }
        at(day, .subscribe(wanted))
    }

    mutating func advance(_ day: Double, hours: Int64 = 0) { play(day, hours: hours, .advance) }

    mutating func grant(_ credits: Int64, on day: Double = 0) { play(day, .grant(.init(credits: credits))) }

    @discardableResult
    mutating func use(_ day: Double, hours: Int64 = 0, _ units: Int64) -> ModelReply {
        play(day, hours: hours, .use(.init(feature: "calls", demand: .units(units))))
    }

    /// The reason for which one unit is denied, or `allowed`.
    func check(_ feature: String) -> String {
        let answer = try? world.advanced(Self.endUser, clock).check(feature, .units(1))
        return answer.map { $0.reason ?? "allowed" } ?? "unanswered"
    }

    /// The entries: type, amount, line and period.
    var entries: [String] {
        ledger.entries.map { entry in
            (["\(entry.type) \(entry.amount)"] + (entry.line.map { ["l\($0)"] } ?? [])
                + (entry.period.map { ["p\($0)"] } ?? [])).joined(separator: " ")
        }
    }

    /// The events of subscriptions: type without its area, and day.
    var events: [String] {
        ledger.events.filter { $0.subscription != nil }.map { event in
            let day = (event.at.microseconds - Self.start.microseconds) / 86_400_000_000
            return "\(event.type.split(separator: ".").last ?? "") \(day)"
        }
    }
}

extension ModelVariant {
    /// A monthly, prepaid variant that gives credits with each period.
    static func monthly(_ credits: Int64) -> ModelVariant { monthly([ModelLine(credits, .period)]) }

    static func monthly(_ lines: [ModelLine]) -> ModelVariant {
        var variant = ModelVariant(.month)
        variant.lines = lines
        return variant
    }

    static var archived: ModelVariant {
        var variant = ModelVariant()
        variant.isArchived = true
        return variant
    }
}
