import Catalogue
import Credits
import Metering

/// The limits in which a job counts when it reaches a total.
///
/// A job counts with its estimate from its reservation on, in the windows that were open then. Its growth, and a total that
/// a commit moves to the counters of other attributes, must fit these limits.
struct JobLimits {
    /// One limit, in the counter of the total's attributes.
    fileprivate struct Place {
        let state: LimitState
        /// The amount for which the job counts in this counter already.
        let counted: Int64

        func amount(_ usage: CountedUsage) -> Int64 { usage.amount(state.limit.unit, state.limit.dimension) }
    }

    fileprivate var places: [Place] = []
    /// The counts of the reservation that stay.
    fileprivate var staying: [ReservationCount]
    /// The counts of the reservation that the total leaves.
    fileprivate var left: [ReservationCount] = []
    /// The limits that the total enters.
    fileprivate var entered: [LimitState] = []

    fileprivate init(staying: [ReservationCount]) {
        self.staying = staying
    }
}

extension Account {
    /// The limits of a reservation whose total has these attributes. A window that is over takes nothing more.
    func limits(of reservation: Reservation, at attributes: Attributes, _ context: ActionContext) -> JobLimits {
        let (feature, own) = (reservation.featureKey, reservation.estimate.attributes)
        var limits = JobLimits(staying: reservation.counts)
        guard let known = context.catalogue.features[feature] else { return limits }
        let all = self.limits(covering: known)
        if attributes != own {
            // A count without a limit is that of a quota whose windows have changed, which covers all attributes.
            limits.left = reservation.counts.filter { count in
                guard let applied = all.first(where: { $0.counterID(value: $0.value(in: own)) == count.counter }) else {
                    return false
                }
                return !applied.limit.covers(feature, attributes)
                    || applied.counterID(value: applied.value(in: attributes)) != count.counter
            }
            limits.staying.removeAll(where: limits.left.contains)
        }
        let usage = reservation.counted
        for applied in all where applied.limit.covers(feature, attributes) && applied.limit.unit != .concurrent {
            let value = applied.value(in: attributes)
            let state = state(of: applied, value: value, context.catalogue, now: context.now)
            if let count = limits.staying.first(where: { $0.counter == state.counter }) {
                guard counters.takesGrowth(of: count, now: context.now) else { continue }
                limits.places.append(JobLimits.Place(state: state, counted: count.amount(usage)))
                continue
            }
            let wasCovered =
                applied.limit.covers(feature, own) && applied.counterID(value: applied.value(in: own)) == state.counter
            let isOpen = state.window.contains(reservation.createdAt)
            let isOpening = applied.limit.anchor == .firstUse && state.window.start == context.now
            guard !wasCovered, isOpen || isOpening else { continue }
            limits.entered.append(state)
            limits.places.append(JobLimits.Place(state: state, counted: 0))
        }
        return limits
    }

    /// Corrects the usage that a reservation counts in its limits.
    mutating func recount(_ before: Reservation, _ limits: JobLimits, to usage: CountedUsage, now: Instant) {
        for count in limits.staying {
            let growth = count.amount(usage) - count.amount(before.counted)
            counters.correct(count.counter, in: count.window, by: growth, now: now)
        }
        for count in limits.left {
            counters.correct(count.counter, in: count.window, by: -count.amount(before.counted), now: now)
        }
        for state in limits.entered {
            let amount = usage.amount(state.limit.unit, state.limit.dimension)
            counters.count(amount, state.counter, used: state.used, in: state.window)
        }
    }

    /// Corrects the usage that a reservation counts in its limits, when it keeps its attributes.
    mutating func recount(_ before: Reservation, to usage: CountedUsage, now: Instant) {
        recount(before, JobLimits(staying: before.counts), to: usage, now: now)
    }
}

extension JobLimits {
    /// The limit that a job does not fit with a usage; nil when it fits all. What adds nothing fits a full limit.
    ///
    /// - Parameter isCapped: Whether the credits are cut to fit, so that only units are compared.
    func failing(_ usage: CountedUsage, isCapped: Bool) -> LimitState? {
        places.filter { place in
            guard !isCapped || place.state.limit.unit == .units else { return false }
            let growth = place.amount(usage) - place.counted
            return growth > 0 && growth > place.state.remaining
        }.map(\.state).named
    }

    /// The most units of a job that fit, and not fewer than it has reported. Other totals stay as they are.
    func fitting(_ total: Demand, of reservation: Reservation) -> Demand {
        guard case .measured(.units(let units), let attributes) = total else { return total }
        var most = units
        for place in places where place.state.limit.unit == .units && place.state.limit.dimension == nil {
            most = min(most, place.counted.addingSaturated(place.state.remaining))
        }
        return .measured(.units(max(most, reservation.watermark?.units ?? 0)), attributes)
    }

    /// The most credits of a due amount that fit.
    func fitting(_ due: Int64, of reservation: Reservation) -> Int64 {
        guard due > 0 else { return due }
        var most = due
        for place in places where place.state.limit.unit == .credits {
            let total = place.counted.addingSaturated(place.state.remaining)
            most = min(most, max(0, total - reservation.charged.rawValue))
        }
        return most
    }
}
