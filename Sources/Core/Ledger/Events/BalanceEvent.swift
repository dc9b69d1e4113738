package import Catalogue
package import Credits
import JSON

/// The data of an event of the whole balance.
package struct BalanceEvent: Hashable, Sendable {
    /// One of the types of the balance, or the start of overage.
    package let type: EventType
    /// The level in millicredits below which the effective balance has fallen; nil for the other types.
    package let level: Int64?
    /// The percentage that the level stands for; nil for a threshold in credits.
    package let percent: Int?
    package let balances: Balances
    /// In millicredits.
    package let overage: Int64

    package init(_ type: EventType, level: Int64? = nil, percent: Int? = nil, balances: Balances, overage: Int64) {
        self.type = type
        self.level = level
        self.percent = percent
        self.balances = balances
        self.overage = overage
    }
}

/// The parts of an account's state by which events of its balance are judged.
struct BalanceStanding: Hashable {
    let effective: Int64
    let overage: Millicredits
    /// Whether the account has ever had credits.
    let hasHadCredits: Bool
    /// The millicredits that were granted with the blocks of which something is left; 0 where no threshold is a percentage.
    let granted: Int64
}

extension Account {
    /// The thresholds in force.
    private func balanceThresholds(_ catalogue: Catalogue) -> [BalanceThreshold] {
        settings.balanceLowThresholds ?? catalogue.config.balanceLowThresholds ?? []
    }

    /// The state by which the next events of the balance are judged. Costs a walk over the blocks where a threshold is a
    /// percentage.
    func balanceStanding(_ catalogue: Catalogue) -> BalanceStanding {
        let needsGranted = balanceThresholds(catalogue).contains { $0.percent != nil }
        let granted = needsGranted ? blocks.reduce(Int64(0)) { $0.addingSaturated($1.original.rawValue) } : 0
        return BalanceStanding(
            effective: balances.effective, overage: overage, hasHadCredits: lifetimeGranted > .zero, granted: granted)
    }

    /// Records the events of the balance that follow from all that has happened at one instant.
    ///
    /// - Parameter before: The state before the instant.
    func judgeBalance(
        since before: BalanceStanding, at instant: Instant, now: Instant, in catalogue: Catalogue,
        into recorder: inout some EffectRecorder
    ) {
        guard recorder.recorded.intersects(.ofBalance) else { return }
        let after = balances
        guard before.effective != after.effective || before.overage != overage else { return }
        func tell(_ type: EventType, level: Int64? = nil, percent: Int? = nil) {
            guard recorder.recorded.contains(type) else { return }
            recorder.happened(
                .balance(
                    BalanceEvent(
                        type, level: level, percent: percent, balances: after, overage: overage.rawValue)),
                at: instant, now: now)
        }
        if before.overage == .zero, overage > .zero, overageTerms(catalogue).policy == .notify { tell(.overageStarted) }
        if after.effective < before.effective {
            let levels = balanceThresholds(catalogue).map {
                (level: $0.level(ofGranted: before.granted), percent: $0.percent)
            }
            let crossed = levels.filter { after.effective < $0.level && $0.level <= before.effective }
            for (level, percent) in crossed.sorted(by: { ($1.level, $0.percent ?? 0) < ($0.level, $1.percent ?? 0) }) {
                tell(.balanceLow, level: level, percent: percent)
            }
            if before.effective > 0, after.effective <= 0 { tell(.balanceDepleted) }
        } else if before.effective <= 0, after.effective > 0, before.hasHadCredits {
            tell(.balanceRecovered)
        }
    }
}

extension EventTypes {
    fileprivate static let ofBalance = EventTypes([
        .overageStarted, .balanceLow, .balanceDepleted, .balanceRecovered,
    ])
}

extension BalanceEvent {
    var data: JSONValue {
        var members: [(key: String, value: JSONValue)] = []
        if let level {
            members += [("threshold", .integer(level)), ("percent", .optional(percent.map { Int64($0) }))]
        }
        members += [
            ("balance", .integer(balances.balance)), ("reserved_balance", .integer(balances.reserved)),
            ("frozen_balance", .integer(balances.frozen)), ("effective_balance", .integer(balances.effective)),
            ("overage", .integer(overage)),
        ]
        return .object(JSONObject(members: members))
    }
}

/// The data of `credits.expiring_soon`.
package struct ExpiryNotice: Hashable, Sendable {
    /// The number of the block.
    package let block: Int32
    /// The credits of the block that are neither spent nor held, in millicredits.
    package let credits: Int64
    package let expiresAt: Instant

    package init(block: Int32, credits: Int64, expiresAt: Instant) {
        self.block = block
        self.credits = credits
        self.expiresAt = expiresAt
    }

    func data(of account: AccountID) -> JSONValue {
        .object([
            "block_id": .string(PublicID(.block, account: account, number: Int64(block)).description),
            "credits": .integer(credits), "expires_at": .string(expiresAt.description),
        ])
    }
}
