import Catalogue
import Credits
import Metering

/// The limits in which a job counts when it reaches a total.
///
/// A job counts with its estimate from its reservation on, in the windows that were open then. Its growth, and a total that
/// a commit moves to the counters of other attributes, must fit these limits. The counter of a window that is over may be
/// gone, so a job is compared with the limit by itself there, and counted nowhere.
struct JobLimits {
    /// One limit, in the counter of the total's attributes.
    fileprivate struct Place {
        let state: LimitState
        /// The amount for which the job counts in this counter already.
        let counted: Int64

        func growth(_ usage: CountedUsage) -> Int64 {
            usage.amount(state.limit.unit, state.limit.dimension, of: state.limit.features) - counted
        }
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
    /// The limits of a reservation whose total has these attributes. Costs the limits of the end user and the counts of
    /// the reservation.
    func limits(of reservation: Reservation, at attributes: Attributes, _ context: ActionContext) -> JobLimits {
        let features = reservation.featureKeys
        var limits = JobLimits(staying: reservation.counts)
        let known = features.compactMap { context.catalogue.features[$0] }
        let all = self.limits(covering: known, context.catalogue).map { applied in
            let own = applied.counterID(of: features, reservation.estimate.attributes)
            return (applied: applied, own: own, final: applied.counterID(of: features, attributes))
        }
        // A count without a limit is that of a quota whose windows have changed, which covers all attributes.
        let leaving = Set(all.compactMap { $0.own == $0.final ? nil : $0.own })
        limits.left = reservation.counts.filter { leaving.contains($0.counter) }
        limits.staying.removeAll { leaving.contains($0.counter) }
        let usage = reservation.counted
        for (applied, own, final) in all where applied.limit.unit != .concurrent {
            guard let final else { continue }
            let state = state(
                of: applied, value: applied.value(in: attributes), context.catalogue, now: context.now)
            let opensWithUse = applied.limit.anchor == .firstUse
            if let index = limits.staying.firstIndex(where: { $0.counter == final }) {
                let counted = limits.staying[index].amount(usage)
                if counters.takesGrowth(of: limits.staying[index], now: context.now) {
                    limits.places.append(JobLimits.Place(state: state, counted: counted))
                } else if opensWithUse, counted == 0 {
                    // Nothing of the job has opened a window so far, so its growth counts like a use of now.
                    limits.entered.append(state)
                    limits.places.append(JobLimits.Place(state: state, counted: 0))
                } else {
                    limits.places.append(
                        JobLimits.Place(state: state.over(for: reservation, counted: counted), counted: counted))
                }
            } else if own != final {
                let isOpen = opensWithUse || state.window.contains(reservation.createdAt)
                if isOpen { limits.entered.append(state) }
                limits.places.append(
                    JobLimits.Place(state: isOpen ? state : state.over(for: reservation, counted: 0), counted: 0))
            }
        }
        return limits
    }

    /// Corrects the usage that a reservation counts in its limits.
    ///
    /// - Returns: The counts of the reservation from now on.
    @discardableResult
    mutating func recount(
        _ before: Reservation, _ limits: JobLimits, to usage: CountedUsage, now: Instant
    ) -> [ReservationCount] {
        var counts: [ReservationCount] = []
        let entered = Dictionary(uniqueKeysWithValues: limits.entered.map { ($0.counter, $0) })
        for count in limits.staying {
            if let state = entered[count.counter], count.amount(usage) > 0 {
                counts.append(ReservationCount(state, of: before.featureKeys))
            } else {
                let growth = count.amount(usage) - count.amount(before.counted)
                counters.correct(count, by: growth, now: now)
                counts.append(count)
            }
        }
        for count in limits.left {
            counters.correct(count, by: -count.amount(before.counted), now: now)
        }
        for state in limits.entered {
            let amount = usage.amount(state.limit.unit, state.limit.dimension, of: state.limit.features)
            counters.count(amount, in: state)
        }
        return counts
    }

    /// Corrects the usage that a reservation counts in its limits, when it ends without a total.
    mutating func recount(_ before: Reservation, to usage: CountedUsage, now: Instant) {
        recount(before, JobLimits(staying: before.counts), to: usage, now: now)
    }
}

extension AppliedLimit {
    /// The counter in which an event counts, or a reservation of some features; nil when the limit covers none of them.
    func counterID(of features: [FeatureKey], _ attributes: Attributes) -> CounterID? {
        let covers = features.contains { limit.covers($0, attributes) }
        return covers ? counterID(value: value(in: attributes)) : nil
    }
}

extension LimitState {
    /// The state for a job whose window is over: the limit alone.
    fileprivate func over(for reservation: Reservation, counted: Int64) -> LimitState {
        LimitState(
            applied: applied, value: value, counter: counter,
            window: TimeWindow(start: Instant(microseconds: .min), end: reservation.createdAt), used: counted,
            isNew: false, isOver: true)
    }
}

extension JobLimits {
    /// The states of the limits in which the total counts.
    var states: [LimitState] { places.map(\.state) }

    /// The limit that a job does not fit with a usage, and the growth that does not fit; nil when it fits all. Growth
    /// of zero fits a full limit.
    ///
    /// - Parameter isCapped: Whether the credits are cut to fit, so that only units are compared.
    func failing(_ usage: CountedUsage, isCapped: Bool) -> (limit: LimitState, growth: Int64)? {
        let failing = places.filter { place in
            guard !isCapped || place.state.limit.unit == .units else { return false }
            let growth = place.growth(usage)
            return growth > 0 && growth > place.state.remaining
        }
        guard let named = failing.map(\.state).named, let place = failing.first(where: { $0.state == named }) else {
            return nil
        }
        return (named, place.growth(usage))
    }

    /// The number of counters that a usage would add to the account.
    func newCounters(_ usage: CountedUsage) -> Int {
        places.count { $0.state.isNew && $0.growth(usage) > 0 }
    }

    /// The most units of a job's feature that fit, and not fewer than it has reported. Other totals stay as they are.
    func fitting(_ total: Demand, of reservation: Reservation, _ part: Int) -> Demand {
        guard case .measured(.units(let units), let attributes) = total else { return total }
        let others = reservation.counted.without(part)
        var most = units
        for place in places(of: .units, covering: reservation.parts[part]) where place.state.limit.dimension == nil {
            let all = place.counted.addingSaturated(place.state.remaining)
            most = min(most, all - others.amount(.units, nil, of: place.state.limit.features))
        }
        return .measured(.units(max(most, reservation.parts[part].watermark?.units ?? 0)), attributes)
    }

    /// The limits of a unit that cover a feature of a job, whatever its attributes are.
    private func places(of unit: Limit.Unit, covering part: JobPart) -> [Place] {
        places.filter { place in
            let features = place.state.limit.features
            return place.state.limit.unit == unit && (features.isEmpty || features.contains(part.featureKey))
        }
    }

    /// The most of a due amount for a job's feature that fits. It is below zero where what was charged on the way does not
    /// fit.
    func fitting(_ due: Int64, of reservation: Reservation, _ part: Int) -> Int64 {
        var most = due
        for place in places(of: .credits, covering: reservation.parts[part]) {
            let total = place.counted.addingSaturated(place.state.remaining)
            most = min(most, total - reservation.used.amount(.credits, nil, of: place.state.limit.features))
        }
        return most
    }
}
