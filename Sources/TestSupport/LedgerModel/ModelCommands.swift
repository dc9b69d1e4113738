package import Credits

extension ModelLedger {
    /// The terms of a new block.
    package struct Terms: Sendable {
        package var source: String
        package var priority: Int64
        package var startsAt: Instant?
        package var expiresAt: Instant?
        package var isPaid = false
        package var features: [String] = []

        package init(
            source: String, priority: Int64 = 50, startsAt: Instant? = nil, expiresAt: Instant? = nil,
            isPaid: Bool = false, features: [String] = []
        ) {
            self.source = source
            self.priority = priority
            self.startsAt = startsAt
            self.expiresAt = expiresAt
            self.isPaid = isPaid
            self.features = features
        }
    }

    /// Makes a block without credits. The returned share must be written to give it its credits.
    mutating func newBlock(_ credits: Int64, _ terms: Terms) -> Share {
        var block = Block(
            number: blocks.count + 1, original: credits, remaining: 0, priority: terms.priority,
            expiresAt: terms.expiresAt, features: terms.features)
        block.isPaid = terms.isPaid
        block.source = terms.source
        block.arrivesAt = now
        if let start = terms.startsAt, start > now {
            block.arrivesAt = start
            block.isPlanned = true
            block.isAwaited = true
        }
        blocks.append(block)
        return Share(block: block.number, amount: credits)
    }

    /// Pays overage from new unrestricted credits, the oldest debt first.
    mutating func settle(_ incoming: [Share], at instant: Instant? = nil) {
        // A postpaid period reports its overage at its end instead.
        if let policySubscription, reportsOverage(policySubscription) { return }
        let new = available.filter { block, _ in
            block.features.isEmpty && incoming.contains { $0.block == block.number }
        }
        let paying = portions(overage, of: new.sorted { Self.burnsBefore($0.block, $1.block) })
        let paid = paying.reduce(0) { $0 + $1.amount }
        if paid == 0 { return }
        var rest = paid
        for index in debts.indices {
            let part = min(rest, debts[index].amount)
            debts[index].amount -= part
            rest -= part
        }
        write("settle", Self.negative(paying), overage: -paid, at: instant) { $0.key = nil }
    }

    func requireRoom(_ credits: Int64, ofLifetime: Bool = true) throws(Refusal) {
        let coming = awaited.reduce(0) { $0 + $1.original }
        // The blocks have the balance and what they would have had without the debt.
        let inBlocks = balance + overage + coming
        if inBlocks > Self.largestAmount - credits || (ofLifetime && lifetime > Self.largestAmount - credits - coming) {
            throw Refusal("amount_out_of_range")
        }
    }

    func requireFeatures(_ keys: [String]) throws(Refusal) {
        for key in keys where catalogue.features[key].map(\.isArchived) ?? true {
            throw Refusal("unknown_feature", of: key)
        }
    }

    func requireFuture(_ instant: Instant?) throws(Refusal) {
        if let instant, instant <= now {
            throw Refusal("expires_in_the_past", instant.microseconds, now.microseconds)
        }
    }

    // MARK: - Credits in

    /// Advances the account and grants a block, unless the grant is refused.
    package mutating func grant(
        _ credits: Int64, priority: Int64, expiresAt: Instant?, features keys: [String], now: Instant
    ) throws(Refusal) {
        advance(to: now)
        let terms = Terms(source: "promotional", priority: priority, expiresAt: expiresAt, features: keys)
        try grant(credits, terms)
    }

    /// - Parameter payment: The payment provider's id.
    package mutating func grant(_ credits: Int64, _ terms: Terms, payment: String? = nil) throws(Refusal) {
        try requireFuture(terms.expiresAt)
        try requireFeatures(terms.features)
        try requireRoom(credits)
        let share = newBlock(credits, terms)
        exists = true
        if blocks[share.block - 1].isAwaited { return }
        lifetime += credits
        write("grant", [share]) { $0.payment = payment }
        settle([share])
    }

    /// Grants the credits of a top-up package. A nil argument means the package's value.
    package mutating func topUp(
        package key: String, price: Int64?, expiry: Expiry?, priority: Int64?, features: [String], payment: String?
    ) throws(Refusal) {
        guard let package = catalogue.packages[key], !package.isArchived else { throw Refusal("unknown_package") }
        try grant(
            package.credits,
            Terms(
                source: "topup", priority: priority ?? package.priority ?? 50,
                expiresAt: (expiry ?? package.expiry).instant(now, in: catalogue.zone),
                isPaid: (price ?? package.price) > 0,
                features: features), payment: payment)
    }

    // MARK: - Credits out

    /// Advances the account and charges a use in burn order, unless it is refused.
    package mutating func use(_ feature: String, _ units: Int64, occurredAt: Instant?, now: Instant) throws(Refusal) {
        advance(to: now)
        try use(feature, .units(units), attributes: [:], occurredAt: occurredAt)
    }

    package mutating func use(
        _ feature: String, _ demand: ModelDemand, attributes: [String: String], occurredAt: Instant?
    ) throws(Refusal) {
        let instant = occurredAt ?? now
        if instant < now.adding(seconds: -35 * 86_400) {
            throw Refusal("occurred_too_long_ago", instant.microseconds, now.microseconds)
        }
        if instant > now.adding(seconds: 300) {
            throw Refusal("occurs_in_the_future", instant.microseconds, now.microseconds)
        }
        let decision = try decide(feature, demand, attributes: attributes, pricedAt: instant)
        let taken = portions(decision.cost - decision.short, of: eligible([feature]))
        let marks = marks([feature], attributes)
        count(
            [feature], attributes,
            Tally(usages: [feature: [demand]], credits: [feature: decision.cost]))
        keep(decision.sums, feature, decision.version)
        if !decision.filled.isEmpty {
            fillings.append(Filling(feature: feature, window: tierStart, units: decision.filled))
        }
        bill(feature, units: demand.total, cost: decision.cost)
        let entry = write("use", Self.negative(taken), overage: decision.short, at: instant) { entry in
            entry.feature = feature
            entry.measure(demand)
            entry.attributes = attributes
            entry.version = decision.version
        }
        if decision.short > 0 { debts.append(Debt(entry: entry.sequence, amount: decision.short)) }
        tellLimits(marks)
        exists = true
    }

    /// Takes back the available credits of a block. Held credits follow when the hold ends.
    package mutating func revoke(_ number: Int) throws(Refusal) -> Int64 {
        guard blocks.indices.contains(number - 1) else { throw Refusal("unknown_block", Int64(number)) }
        if blocks[number - 1].revokedAt != nil { return 0 }
        blocks[number - 1].revokedAt = now
        if blocks[number - 1].isAwaited {
            blocks[number - 1].isAwaited = false
            return blocks[number - 1].original
        }
        let rest = blocks[number - 1].remaining - (held[number] ?? 0)
        if rest > 0 { write("revoke", [Share(block: number, amount: -rest)]) }
        return rest
    }

    package mutating func adjust(_ amount: Int64) throws(Refusal) {
        if amount > 0 {
            try requireRoom(amount)
            let share = newBlock(amount, Terms(source: "adjustment"))
            lifetime += amount
            write("adjust", [share])
            settle([share])
        } else {
            let open = available.filter { !isFrozen($0.block) }.sorted { Self.burnsBefore($0.block, $1.block) }
            let spendable = open.reduce(0) { $0 + $1.amount }
            if -amount > spendable {
                throw .insufficient(effective: effective, spendable: spendable, required: -amount)
            }
            write("adjust", Self.negative(portions(-amount, of: open)))
        }
        exists = true
    }

    /// Moves credits from one account to another. Each portion keeps its expiry and priority.
    package static func transfer(
        _ credits: Int64, from sender: inout ModelLedger, to receiver: inout ModelLedger
    ) throws(Refusal) {
        try receiver.requireRoom(credits)
        let open = sender.eligible(nil)
        let spendable = open.reduce(0) { $0 + $1.amount }
        if credits > spendable {
            throw .insufficient(effective: sender.effective, spendable: spendable, required: credits)
        }
        let portions = sender.portions(credits, of: open)
        let counterparty = receiver.endUser
        sender.write("transfer", negative(portions)) { $0.counterparty = counterparty }
        var shares: [Share] = []
        for portion in portions {
            // The transfer may have opened the window that decides when the block expires.
            let block = sender.blocks[portion.block - 1]
            let terms = Terms(source: "transfer", priority: block.priority, expiresAt: block.expiresAt)
            shares.append(receiver.newBlock(portion.amount, terms))
        }
        receiver.lifetime += credits
        receiver.key = sender.key
        let origin = sender.endUser
        receiver.write("transfer", shares) { $0.counterparty = origin }
        receiver.settle(shares)
        receiver.exists = true
    }

    // MARK: - Erasure

    /// Ends everything that is under way and forgets what is known of the end user. The credits stay.
    mutating func erase() throws(Refusal) {
        if !exists || isErased { throw Refusal("unknown_end_user") }
        key = nil
        cancelAll()
        for index in reservations.indices where reservations[index].status == "active" {
            giveBack(reservation: index + 1, status: "released", at: now)
            sweep(at: now)
        }
        for block in awaited {
            blocks[block.number - 1].isAwaited = false
            blocks[block.number - 1].revokedAt = now
        }
        (caps, limits, policy, overageLimit, overrides, name) = ([], [:], nil, nil, [:], nil)
        (thresholds, exhausted) = (nil, [])
        (topUps.rule, topUps.failures, topUps.isSuspended, topUps.isShort) = (nil, 0, false, false)
        for index in topUps.requests.indices where topUps.requests[index].status == "open" {
            topUps.requests[index].status = "lapsed"
            topUps.requests[index].answeredAt = now
        }
        record(Event(type: "end_user.erased", figures: [], text: nil, request: 0, at: now, recordedAt: now))
        isErased = true
    }

    // MARK: - Settings

    package mutating func createCap(feature: String?, credits: Int64, window: ModelWindow) throws(Refusal) {
        if applied.count >= 50 { throw Refusal("too_many") }
        if let feature { try requireFeatures([feature]) }
        capCount += 1
        caps.append(Cap(number: capCount, feature: feature, credits: credits, window: window, defined: definition))
        exists = true
    }

    package mutating func deleteCap(_ number: Int) throws(Refusal) {
        guard caps.contains(where: { $0.number == number }) else { throw Refusal("unknown_spend_cap", Int64(number)) }
        caps.removeAll { $0.number == number }
    }
}

extension ModelLedger.Entry {
    mutating func measure(_ demand: ModelDemand) {
        switch demand {
        case .units(let units): self.units = units
        case .quantities(let quantities):
            self.quantities = quantities
            if quantities.isEmpty { units = 0 }
        case .credits: break
        }
    }
}
