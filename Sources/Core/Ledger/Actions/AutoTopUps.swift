import Catalogue
import Credits
import Metering

extension AccountDraft {
    /// Sets the rule, or replaces it. An open request stays open. The failures of before are forgotten. The ceiling counts
    /// the requests that its window has seen already.
    mutating func setAutoTopUp(_ rule: AutoTopUpRule, _ context: ActionContext) throws(Refusal) -> Outcome {
        if case .package(let key) = rule.amount, context.catalogue.packages[key].map(\.isArchived) ?? true {
            throw .unknownPackage(key)
        }
        var changed = account.autoTopUp ?? AutoTopUp()
        let before = changed.rule
        changed.rule = rule
        changed.failures = 0
        changed.isSuspended = false
        if before?.ceiling?.window != rule.ceiling?.window {
            changed.counted = rule.ceiling.map { ceiling in
                let window = ceiling.window.calendarWindow(containing: context.now, in: context.catalogue.config.zone)
                let known = history.topUpRequests.merging(recorder.changedTopUpRequests) { $1 }
                let used = known.values.count { window.contains($0.requestedAt) }
                return WindowCounter(window: window, used: Int64(used))
            }
        }
        account.autoTopUp = changed
        judgeAutoTopUp(context)
        return .autoTopUpSet(account.autoTopUp ?? changed, created: before == nil)
    }

    /// Deletes the rule. An open request can still be answered.
    mutating func deleteAutoTopUp() throws(Refusal) -> Outcome {
        guard let autoTopUp = account.autoTopUp, autoTopUp.rule != nil else { throw .unknownAutoTopUp }
        account.autoTopUp = autoTopUp.withoutRule
        return .autoTopUpDeleted
    }

    /// Ends the automatic top-up of an end user that is erased. Nobody can answer an open request any more, so it lapses,
    /// and nobody is told.
    mutating func endAutoTopUp(at now: Instant) {
        guard var changed = account.autoTopUp?.withoutRule else { return }
        if var request = changed.open {
            request.status = .lapsed
            request.answeredAt = now
            changed.open = nil
            recorder.changed(request)
        }
        account.autoTopUp = changed
    }

    /// Takes note that the tenant could not charge for a request.
    mutating func failTopUpRequest(
        _ number: Int32, reason: String?, _ context: ActionContext
    ) throws(Refusal) -> Outcome {
        guard let request = topUpRequest(number) else { throw .unknownTopUpRequest }
        guard request.status == .open else { throw .topUpRequestAnswered(number, request.status) }
        account.failTopUpRequest(as: .failed, reason: reason, at: context.now, now: context.now, into: &recorder)
        judgeAutoTopUp(context)
        return .topUpRequestFailed(number, reason: reason, account.autoTopUp ?? AutoTopUp())
    }

    /// The request that a top-up answers, by its id.
    ///
    /// - Throws: If the account has no such request, or if a top-up has answered it before.
    func requestToPay(_ id: PublicID) throws(Refusal) -> TopUpRequest {
        guard id.account == account.id, let number = Int32(exactly: id.number), let request = topUpRequest(number)
        else { throw .unknownTopUpRequest }
        guard request.status != .paid else { throw .topUpRequestAnswered(number, .paid) }
        return request
    }

    /// Takes note of a top-up.
    ///
    /// - Parameter request: The request that it answers; nil if it answers none.
    mutating func noteTopUp(for request: TopUpRequest?, _ context: ActionContext) {
        guard var changed = account.autoTopUp else { return }
        changed.isShort = false
        if var request {
            request.status = .paid
            request.answeredAt = context.now
            if changed.open?.number == request.number { changed.open = nil }
            changed.failures = 0
            changed.isSuspended = false
            recorder.changed(request)
        }
        account.autoTopUp = changed
    }

    /// Takes note of a charge that was refused for want of credits: it counts as a balance below the threshold.
    mutating func note(_ refusal: Refusal, of action: AccountAction) {
        guard case .insufficientCredits = refusal, var changed = account.autoTopUp, changed.rule != nil else { return }
        switch action {
        case .use, .reserve, .reservation:
            changed.isShort = true
            account.autoTopUp = changed
        default: break
        }
    }

    /// Makes a request for a top-up if the account's rule asks for one now.
    mutating func judgeAutoTopUp(_ context: ActionContext) {
        account.judgeAutoTopUp(at: context.now, now: context.now, in: context.catalogue.config.zone, into: &recorder)
    }

    private func topUpRequest(_ number: Int32) -> TopUpRequest? {
        if let open = account.autoTopUp?.open, open.number == number { return open }
        return recorder.changedTopUpRequests[number] ?? history.topUpRequests[number]
    }
}
