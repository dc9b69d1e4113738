package import Catalogue
package import Credits
import JSON

/// The parts of a subscription that have no column of their own, as canonical JSON. Members with their usual value are left
/// out.
extension Subscription {
    package var storedState: String {
        var members: [(key: String, value: JSONValue)] = [("anchor", .instant(anchor))]
        if cancelsAtPeriodEnd { members.append(("cancels_at_period_end", .bool(true))) }
        if let contract { members.append(("contract", contract.stored)) }
        if deniesOverdueUsage { members.append(("denies_overdue_usage", .bool(true))) }
        if let graceEndsAt { members.append(("grace_ends_at", .instant(graceEndsAt))) }
        if isPostpaid { members.append(("is_postpaid", .bool(true))) }
        if isRenewedAhead { members.append(("is_renewed_ahead", .bool(true))) }
        if !lines.isEmpty { members.append(("lines", .array(lines.map(\.stored)))) }
        if let movedTiers {
            members.append(("moved_tiers", .array([.instant(movedTiers.boundary), .instant(movedTiers.since)])))
        }
        let instants = [
            ("notice_contract", notices.contractEnding), ("notice_renewal", notices.renewalDue),
            ("notice_trial", notices.trialEnding),
        ]
        for (key, instant) in instants { if let instant { members.append((key, .instant(instant))) } }
        if let pause {
            members.append(
                (
                    "pause",
                    .array([
                        .instant(pause.at), pause.until.map { .instant($0) } ?? .null,
                        .string(pause.statusBefore.rawValue),
                    ])
                ))
        }
        if pausedTime != 0 { members.append(("paused_time", .integer(pausedTime))) }
        if let periodInterval {
            members.append(
                (
                    "period_interval",
                    .array([.string(periodInterval.unit.rawValue), .integer(Int64(periodInterval.count))])
                ))
        }
        if let pendingChange {
            members.append(
                (
                    "pending_change",
                    .array([
                        .string(pendingChange.variant.id.description),
                        .integer(Int64(pendingChange.variant.version)), .integer(Int64(pendingChange.quantity)),
                    ])
                ))
        }
        members.append(("period", .array([.instant(period.start), .instant(period.end)])))
        members.append(("period_index", .integer(Int64(periodIndex))))
        if revokesCredits { members.append(("revokes_credits", .bool(true))) }
        members.append(("starts_at", .instant(startsAt)))
        if statesOveragePolicy { members.append(("states_overage_policy", .bool(true))) }
        members.append(("terms_since", .instant(termsSince)))
        if trialDays != 0 { members.append(("trial_days", .integer(Int64(trialDays)))) }
        if let trialEndsAt { members.append(("trial_ends_at", .instant(trialEndsAt))) }
        return String(decoding: JSONValue.object(JSONObject(members: members)).canonicalBytes, as: UTF8.self)
    }

    /// - Parameter text: The `storedState`.
    package init(
        number: Int32, planID: PublicID, slot: PlanSlot, variant: VariantReference, quantity: Int32,
        status: SubscriptionStatus, storedState text: String, createdAt: Instant, endedAt: Instant?,
        metadata: Metadata?
    ) throws(StoredJSONError) {
        let stored = try StoredObject(parsing: text)
        let period = try stored.elements(of: "period")
        guard period.count == 2, case .integer(let start) = period[0], case .integer(let end) = period[1] else {
            throw stored.invalid("period")
        }
        var lines: [LineState] = []
        for element in try stored.elements(of: "lines") { lines.append(try LineState(stored: StoredObject(element))) }
        self.init(
            number: number, planID: planID, slot: slot, variant: variant, quantity: quantity, status: status,
            periodIndex: try stored.required("period_index", try stored.number("period_index")),
            period: TimeWindow(start: Instant(microseconds: start), end: Instant(microseconds: end)),
            anchor: try stored.required("anchor", try stored.instant("anchor")),
            periodInterval: try BillingInterval(stored: stored),
            pausedTime: try stored.integer("paused_time") ?? 0, trialDays: try stored.number("trial_days") ?? 0,
            trialEndsAt: try stored.instant("trial_ends_at"), movedTiers: try MovedTiers(stored: stored),
            graceEndsAt: try stored.instant("grace_ends_at"),
            isRenewedAhead: stored.object["is_renewed_ahead"] != nil,
            cancelsAtPeriodEnd: stored.object["cancels_at_period_end"] != nil,
            revokesCredits: stored.object["revokes_credits"] != nil,
            pendingChange: try PendingChange(stored: stored), pause: try Pause(stored: stored),
            contract: try stored.object["contract"].map { value throws(StoredJSONError) in
                try Contract(stored: StoredObject(value))
            },
            notices: Notices(
                trialEnding: try stored.instant("notice_trial"), renewalDue: try stored.instant("notice_renewal"),
                contractEnding: try stored.instant("notice_contract")), lines: lines,
            termsSince: try stored.required("terms_since", try stored.instant("terms_since")),
            deniesOverdueUsage: stored.object["denies_overdue_usage"] != nil,
            isPostpaid: stored.object["is_postpaid"] != nil,
            statesOveragePolicy: stored.object["states_overage_policy"] != nil,
            startsAt: try stored.required("starts_at", try stored.instant("starts_at")), createdAt: createdAt,
            endedAt: endedAt, metadata: metadata)
    }
}

extension Subscription.PendingChange {
    fileprivate init?(stored: StoredObject) throws(StoredJSONError) {
        let parts = try stored.elements(of: "pending_change")
        guard !parts.isEmpty else { return nil }
        guard parts.count == 3, case .string(let text) = parts[0], let id = PublicID(.planVariant, parsing: text),
            case .integer(let version) = parts[1], let version = Int32(exactly: version),
            case .integer(let quantity) = parts[2], let quantity = Int32(exactly: quantity)
        else { throw stored.invalid("pending_change") }
        self.init(variant: VariantReference(id: id, version: version), quantity: quantity)
    }
}

extension BillingInterval {
    fileprivate init?(stored: StoredObject) throws(StoredJSONError) {
        let parts = try stored.elements(of: "period_interval")
        guard !parts.isEmpty else { return nil }
        guard parts.count == 2, case .string(let text) = parts[0], let unit = Unit(rawValue: text),
            case .integer(let count) = parts[1], let count = Int32(exactly: count)
        else { throw stored.invalid("period_interval") }
        self.init(unit, count: count)
    }
}

extension Subscription.Pause {
    fileprivate init?(stored: StoredObject) throws(StoredJSONError) {
        let parts = try stored.elements(of: "pause")
        guard !parts.isEmpty else { return nil }
        guard parts.count == 3, case .integer(let at) = parts[0], case .string(let text) = parts[2],
            let status = SubscriptionStatus(rawValue: text)
        else { throw stored.invalid("pause") }
        var until: Instant?
        if case .integer(let instant) = parts[1] { until = Instant(microseconds: instant) }
        self.init(at: Instant(microseconds: at), until: until, statusBefore: status)
    }
}

extension Subscription.MovedTiers {
    fileprivate init?(stored: StoredObject) throws(StoredJSONError) {
        let parts = try stored.elements(of: "moved_tiers")
        guard !parts.isEmpty else { return nil }
        guard parts.count == 2, case .integer(let boundary) = parts[0], case .integer(let since) = parts[1] else {
            throw stored.invalid("moved_tiers")
        }
        self.init(boundary: Instant(microseconds: boundary), since: Instant(microseconds: since))
    }
}

extension Contract {
    fileprivate var stored: JSONValue {
        .object([
            "first_period": .integer(Int64(firstPeriod)), "notice_days": .integer(Int64(noticeDays)),
            "on_end": .string(onEnd.rawValue), "periods": .integer(Int64(periods)),
        ])
    }

    fileprivate init(stored: StoredObject) throws(StoredJSONError) {
        self.init(
            periods: try stored.required("periods", try stored.number("periods")),
            onEnd: try stored.required("on_end", try stored.parsed("on_end") { End(rawValue: $0) }),
            noticeDays: try stored.required("notice_days", try stored.number("notice_days")),
            firstPeriod: try stored.required("first_period", try stored.number("first_period")))
    }
}

extension LineState {
    fileprivate var stored: JSONValue {
        var members: [(key: String, value: JSONValue)] = [("anchor", .instant(anchor))]
        if granted != 0 { members.append(("granted", .integer(granted))) }
        if opensWithUse { members.append(("opens_with_use", .bool(true))) }
        if periodGranted != 0 { members.append(("period_granted", .integer(periodGranted))) }
        if !waitingBlocks.isEmpty {
            members.append(("waiting_blocks", .array(waitingBlocks.map { .integer(Int64($0)) })))
        }
        if let window { members.append(("window", .array([.instant(window.start), .instant(window.end)]))) }
        return .object(JSONObject(members: members))
    }

    fileprivate init(stored: StoredObject) throws(StoredJSONError) {
        var blocks: [Int32] = []
        for element in try stored.elements(of: "waiting_blocks") {
            guard case .integer(let number) = element, let number = Int32(exactly: number) else {
                throw stored.invalid("waiting_blocks")
            }
            blocks.append(number)
        }
        var window: TimeWindow?
        let bounds = try stored.elements(of: "window")
        if !bounds.isEmpty {
            guard bounds.count == 2, case .integer(let start) = bounds[0], case .integer(let end) = bounds[1] else {
                throw stored.invalid("window")
            }
            window = TimeWindow(start: Instant(microseconds: start), end: Instant(microseconds: end))
        }
        self.init(
            granted: try stored.integer("granted") ?? 0,
            periodGranted: try stored.integer("period_granted") ?? 0, window: window,
            anchor: try stored.required("anchor", try stored.instant("anchor")),
            opensWithUse: stored.object["opens_with_use"] != nil, waitingBlocks: blocks)
    }
}

extension JSONValue {
    /// Microseconds since 1970.
    fileprivate static func instant(_ instant: Instant) -> JSONValue { .integer(instant.microseconds) }
}
