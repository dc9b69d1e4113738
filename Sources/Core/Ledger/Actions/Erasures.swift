import Catalogue
package import Credits
import Metering

/// The erasure of an end user by a batch: what is needed to remove the clear text of the past from the tables.
package struct Erasure: Hashable, Sendable {
    /// The owner of the account's entries until now.
    package let owner: EntryOwner
    /// The sequence of the last entry that may have clear text.
    package let upTo: Int64
    package let at: Instant
}

extension AccountDraft {
    /// Erases the end user: the account gets an opaque id, and nobody can change it any more. Holds are given back, grants
    /// that start later never land, and settings and profile are removed. The credits stay where they are.
    mutating func eraseEndUser(_ context: ActionContext) throws(Refusal) -> Outcome {
        guard let before = profile else { throw .unknownEndUser }
        let now = context.now
        for subscription in account.subscriptions {
            var subscription = subscription.erased
            // The rest of the balance stays.
            subscription.revokesCredits = false
            account.end(subscription, as: .canceled, context.moment, fallsBack: false, into: &recorder)
        }
        for reservation in account.reservations {
            account.end(reservation, as: .released, at: now, now: now, into: &recorder)
        }
        for var block in account.scheduled {
            block.revokedAt = now
            block.isScheduled = false
            account.scheduled.set(block)
            recorder.changed(block)
        }
        endAutoTopUp(at: now)
        // The clock stays, because time goes on for the credits that are left.
        account.settings = AccountSettings(testClock: account.settings.testClock)
        profile = EndUserProfile(
            name: nil, metadata: nil, createdAt: before.createdAt, updatedAt: now, erasedAt: now)
        erasure = Erasure(
            owner: EntryOwner(account: account.id, endUserID: account.endUserID, salt: recorder.book.salt),
            upTo: account.version, at: now)
        account.exhausted = []
        account.endUserID = EndUserID(erased: account.id)
        recorder.happened(.endUserErased(account.endUserID), at: now, now: now)
        recorder.recorded = .none
        recorder.book.salt = nil
        return .endUserErased(at: now)
    }
}

extension Reservation {
    /// The reservation without the text that can name a person: its attributes, its metadata and the counters, whose ids
    /// are digests of attributes.
    package var erased: Reservation {
        Reservation(
            number: number,
            parts: parts.map { part in
                var erased = part
                erased.watermark = part.watermark?.erased
                return erased
            }, estimate: estimate.erased, estimatedCost: estimatedCost, status: status, holds: holds,
            uncovered: uncovered, expiresAt: expiresAt, createdAt: createdAt, finishedAt: finishedAt, counts: [],
            metadata: nil)
    }
}

extension Subscription {
    /// The subscription without the text that can name a person, which is its metadata.
    package var erased: Subscription {
        Subscription(
            number: number, planID: planID, slot: slot, variant: variant, quantity: quantity, status: status,
            periodIndex: periodIndex, period: period, anchor: anchor,
            periodInterval: periodInterval, pausedTime: pausedTime, trialDays: trialDays,
            trialEndsAt: trialEndsAt, movedTiers: movedTiers, graceEndsAt: graceEndsAt, isRenewedAhead: isRenewedAhead,
            cancelsAtPeriodEnd: cancelsAtPeriodEnd, revokesCredits: revokesCredits, pendingChange: pendingChange,
            pause: pause, contract: contract, notices: notices, lines: lines, termsSince: termsSince,
            deniesOverdueUsage: deniesOverdueUsage, isPostpaid: isPostpaid,
            statesOveragePolicy: statesOveragePolicy, startsAt: startsAt, createdAt: createdAt, endedAt: endedAt,
            metadata: nil)
    }
}

extension Demand {
    fileprivate var erased: Demand {
        switch self {
        case .measured(let measure, _): .measured(measure, .none)
        case .credits(let credits, _): .credits(credits, .none)
        }
    }
}
