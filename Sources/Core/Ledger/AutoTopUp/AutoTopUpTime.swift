import Credits
import Metering

// The automatic top-up is judged by the level of the balance, after every command and after every instant at which time
// has changed something. Between two such instants the level is the same, so a request can become due only at the end of
// the cooldown or of the ceiling's window, and an open request only by its lapse: see `autoTopUpDueAt`.

extension Account {
    /// The next instant at which time makes or ends a request for a top-up while the balance stays as it is; nil if there
    /// is none.
    var autoTopUpDueAt: Instant? {
        guard let autoTopUp else { return nil }
        if let open = autoTopUp.open { return open.lapsesAt }
        return needsTopUp ? autoTopUp.allowedAt : nil
    }

    /// Whether the rule asks for a request as soon as no other is open and cooldown and ceiling allow it.
    private var needsTopUp: Bool {
        guard let autoTopUp, let rule = autoTopUp.rule, !autoTopUp.isSuspended else { return false }
        return autoTopUp.isShort || balances.effective < rule.threshold.rawValue
    }

    /// Lets an open request lapse whose time is over, and makes a request if the rule asks for one at the instant. A
    /// second call at the same instant changes nothing.
    ///
    /// - Parameter zone: The environment's zone, whose calendar the windows of the ceiling follow.
    mutating func judgeAutoTopUp(
        at instant: Instant, now: Instant, in zone: ZoneRules, into recorder: inout some EffectRecorder
    ) {
        guard let open = autoTopUp?.open else { return requestTopUp(at: instant, now: now, in: zone, into: &recorder) }
        guard open.lapsesAt <= instant else { return }
        failTopUpRequest(as: .lapsed, reason: "timeout", at: instant, now: now, into: &recorder)
        requestTopUp(at: instant, now: now, in: zone, into: &recorder)
    }

    private mutating func requestTopUp(
        at instant: Instant, now: Instant, in zone: ZoneRules, into recorder: inout some EffectRecorder
    ) {
        guard needsTopUp, var changed = autoTopUp, let rule = changed.rule, changed.allowedAt ?? instant <= instant
        else { return }
        changed.requestCount += 1
        let request = TopUpRequest(number: changed.requestCount, amount: rule.amount, requestedAt: instant)
        changed.open = request
        changed.lastRequestedAt = instant
        changed.countRequest(at: instant, in: zone)
        autoTopUp = changed
        recorder.changed(request)
        recorder.happened(
            .topUpRequested(
                request: request.number, threshold: rule.threshold, effectiveBalance: balances.effective,
                amount: rule.amount), at: instant, now: now)
    }

    /// Ends the open request without a top-up, and suspends the rule after its number of failures.
    ///
    /// - Precondition: A request is open.
    mutating func failTopUpRequest(
        as status: TopUpRequest.Status, reason: String?, at instant: Instant, now: Instant,
        into recorder: inout some EffectRecorder
    ) {
        guard var changed = autoTopUp, var request = changed.open else {
            preconditionFailure("only an open request can fail")
        }
        request.status = status
        request.answeredAt = instant
        changed.open = nil
        changed.failures += 1
        let isLast = changed.rule.map { changed.failures >= $0.stopAfterFailures } ?? false
        let isSuspended = isLast && !changed.isSuspended
        changed.isSuspended = changed.isSuspended || isLast
        autoTopUp = changed
        recorder.changed(request)
        recorder.happened(
            .topUpFailed(request: request.number, reason: reason, failures: changed.failures), at: instant, now: now)
        guard isSuspended else { return }
        recorder.happened(
            .topUpSuspended(request: request.number, failures: changed.failures), at: instant, now: now)
    }
}
