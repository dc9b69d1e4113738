package import Credits

/// A manual correction of the balance, up or down; never zero.
package struct Adjustment: Hashable, Sendable {
    package var amount: Millicredits
    package var reason: String?
    package var metadata: Metadata?

    package init(amount: Millicredits, reason: String? = nil, metadata: Metadata? = nil) {
        self.amount = amount
        self.reason = reason
        self.metadata = metadata
    }
}

extension AccountDraft {
    mutating func apply(_ adjustment: Adjustment, _ context: ActionContext) throws(Refusal) -> Outcome {
        let cause = EntryCause(
            idempotencyKey: context.idempotencyKey, reason: adjustment.reason, metadata: adjustment.metadata)
        if adjustment.amount > .zero {
            let grant = Grant(
                credits: adjustment.amount, source: .adjustment, reason: adjustment.reason,
                metadata: adjustment.metadata)
            let granted = try newBlock(of: grant, field: "amount", context)
            let entry = fill(granted, by: .adjust, cause: cause, context)
            return .adjusted(granted, entry, account.balances)
        }
        let taken = -adjustment.amount.rawValue
        let (allocations, missing) = account.burn(taken) { _ in true }
        guard missing == 0 else {
            throw .insufficientCredits(
                effectiveBalance: account.balances.effective, spendable: taken - missing, required: taken)
        }
        let entry = post(
            Posting(
                .adjust, amount: -taken, allocations: allocations, cause: cause, effectiveAt: context.now),
            now: context.now)
        return .adjusted(nil, entry, account.balances)
    }
}
