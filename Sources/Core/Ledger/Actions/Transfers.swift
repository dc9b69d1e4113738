package import Catalogue
package import Credits

/// A request to move credits to another end user of the environment.
package struct Transfer: Hashable, Sendable {
    /// Never the sender.
    package var receiver: EndUserID
    /// Above zero.
    package var credits: Millicredits
    package var reason: String?
    package var metadata: Metadata?

    package init(receiver: EndUserID, credits: Millicredits, reason: String? = nil, metadata: Metadata? = nil) {
        self.receiver = receiver
        self.credits = credits
        self.reason = reason
        self.metadata = metadata
    }
}

extension AccountDraft {
    /// Moves credits from one end user to another. Either both accounts change or neither.
    ///
    /// The credits come from unrestricted blocks, in burn order, regardless of the overage policy. Each portion becomes
    /// a block of the receiver with the original expiry and priority.
    package static func transfer(
        _ transfer: Transfer, from sender: inout AccountDraft, to receiver: inout AccountDraft,
        idempotencyKey: String?, catalogue: Catalogue, now clock: Instant
    ) -> Outcome {
        precondition(sender.account.id != receiver.account.id, "the sender and the receiver of a transfer must differ")
        let now = max(
            sender.account.currentInstant(clock: clock, catalogue: catalogue),
            receiver.account.currentInstant(clock: clock, catalogue: catalogue))
        let sameClock = sender.account.settings.testClock == receiver.account.settings.testClock
        sender.advance(
            to: sameClock ? now : sender.account.currentInstant(clock: clock, catalogue: catalogue), in: catalogue)
        guard !sameClock || sender.account.advancedTo >= now else { return .refused(.catchingUp) }
        do throws(Refusal) {
            try sender.requireEndUser(catalogue)
            try receiver.requireEndUser(catalogue)
        } catch {
            return .refused(error)
        }
        guard sameClock else { return .refused(.differentClocks) }
        receiver.advance(to: now, in: catalogue)
        guard receiver.account.advancedTo >= now else { return .refused(.catchingUp) }
        let before = (sender: sender, receiver: receiver)
        let marks = (sender: Mark(sender), receiver: Mark(receiver))
        let standings = (
            sender: sender.account.balanceStanding(catalogue), receiver: receiver.account.balanceStanding(catalogue)
        )
        let context = ActionContext(idempotencyKey: idempotencyKey, catalogue: catalogue, now: now)
        _ = sender.startDefaultPlan(unlessFor: .transfer(transfer), context)
        _ = receiver.startDefaultPlan(unlessFor: .transfer(transfer), context)
        let outcome = move(transfer, from: &sender, to: &receiver, context)
        if case .refused = outcome { (sender, receiver) = before }
        sender.openWindows(context)
        receiver.openWindows(context)
        sender.judge(since: standings.sender, context)
        receiver.judge(since: standings.receiver, context)
        sender.close(since: marks.sender, at: now)
        receiver.close(since: marks.receiver, at: now)
        return outcome
    }

    /// Takes the credits of a transfer from one account that is ready for it, and gives them to the other.
    private static func move(
        _ transfer: Transfer, from sender: inout AccountDraft, to receiver: inout AccountDraft, _ context: ActionContext
    ) -> Outcome {
        let (now, idempotencyKey) = (context.now, context.idempotencyKey)
        let credits = transfer.credits.rawValue
        guard transfer.credits.rawValue <= receiver.account.roomForGrants else {
            return .refused(.amountOutOfRange(field: "credits"))
        }
        let (taken, missing) = sender.account.burn(credits) { $0.featureKeys.isEmpty }
        guard missing == 0 else {
            return .refused(
                .insufficientCredits(
                    effectiveBalance: sender.account.balances.effective, spendable: credits - missing,
                    required: credits))
        }
        guard receiver.openBlocks + taken.count <= Block.maximumOpen else {
            return .refused(.tooMany(.blocks))
        }

        // The next entry of each account is its side of the transfer.
        func cause(of other: Account) -> EntryCause {
            EntryCause(
                idempotencyKey: idempotencyKey, reason: transfer.reason, metadata: transfer.metadata,
                details: EntryDetails(
                    counterparty: other.endUserID,
                    counterpartyEntry: PublicID(.entry, account: other.id, number: other.version + 1)))
        }
        let causes = (sent: cause(of: receiver.account), received: cause(of: sender.account))
        let sent = sender.post(
            Posting(
                .transfer, amount: -credits, allocations: taken, cause: causes.sent, effectiveAt: now), now: now)
        // The transfer can open the window with which a block ends.
        sender.openWindows(context)
        var blocks: [GrantedBlock] = []
        for portion in taken {
            guard let block = sender.block(portion.block) else { continue }
            blocks.append(
                receiver.newBlock(
                    Millicredits.zero.changed(by: -portion.amount), source: .transfer, priority: block.priority,
                    expiresAt: block.expiresAt, featureKeys: [], reason: transfer.reason,
                    metadata: transfer.metadata, now: now))
        }
        receiver.account.lifetimeGranted = receiver.account.lifetimeGranted.changed(by: credits)
        let received = receiver.post(
            Posting(
                .transfer, amount: credits,
                allocations: blocks.map { Allocation(block: $0.block.number, amount: $0.block.original.rawValue) },
                cause: causes.received, effectiveAt: now), now: now)
        receiver.settle(from: blocks.map(\.block.number), now: now)
        return .transferred(
            TransferResult(sent: sent, received: received, blocks: blocks, receiver: receiver.account.id),
            sender.account.balances)
    }
}
