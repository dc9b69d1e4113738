package import Credits

extension ModelLedger {
    /// A rule for automatic top-ups.
    package struct TopUpRule: Hashable, Sendable {
        package let threshold: Int64
        /// Nil means the package's credits.
        package let credits: Int64?
        package let package: String?
        package var most: Int64?
        package var window = ModelWindow.day
        package var cooldown: Int64 = 0
        package var stopAfter: Int64 = 3

        package init(threshold: Int64, credits: Int64?, package: String?) {
            self.threshold = threshold
            self.credits = credits
            self.package = package
        }
    }

    /// A request to the tenant to top up.
    package struct TopUpRequest: Equatable, Sendable {
        package let number: Int
        package let credits: Int64?
        package let package: String?
        package let at: Instant
        package var status = "open"
        package var answeredAt: Instant?

        package init(number: Int, credits: Int64?, package: String?, at: Instant) {
            self.number = number
            self.credits = credits
            self.package = package
            self.at = at
        }
    }

    /// A line of what the tenant is told.
    package struct Event: Equatable, Sendable {
        package let type: String
        /// In the order in which the contract lists them, without the id of the request.
        package let figures: [Int64]
        package let text: String?
        package let request: Int
        package let at: Instant
        package let recordedAt: Instant
        /// The number of the subscription; nil for events of top-ups.
        package var subscription: Int?
        /// The usage of a postpaid period.
        package var usage: [Usage] = []
        /// The state of the subscription when it was told; nil for events of top-ups.
        package var facts: Facts?

        package init(
            type: String, figures: [Int64], text: String?, request: Int, at: Instant, recordedAt: Instant
        ) {
            self.type = type
            self.figures = figures
            self.text = text
            self.request = request
            self.at = at
            self.recordedAt = recordedAt
        }
    }

    /// The details of an event besides the subscription's variant, quantity and period.
    package struct Facts: Equatable, Sendable {
        package let status: String
        package let start: Instant
        package let end: Instant
        package let graceEnd: Instant?
        package let cancels: Bool
        /// The period of the summary and the overage that was settled; nil without a summary.
        package var summary: [Int64]?
        /// The number of the subscription that a fallback takes the place of.
        package var ended: Int?

        package init(status: String, start: Instant, end: Instant, graceEnd: Instant?, cancels: Bool) {
            self.status = status
            self.start = start
            self.end = end
            self.graceEnd = graceEnd
            self.cancels = cancels
        }
    }

    /// The state of automatic top-ups: every request that was ever made.
    package struct TopUps: Sendable {
        package var rule: TopUpRule?
        package var requests: [TopUpRequest] = []
        package var failures: Int64 = 0
        package var isSuspended = false
        /// Whether a charge has failed for want of credits since the last top-up.
        package var isShort = false
    }

    package var openRequest: TopUpRequest? { topUps.requests.first { $0.status == "open" } }

    // MARK: - Time

    /// The next instant at which time alone makes or ends a request.
    var topUpInstant: Instant? {
        if let open = openRequest { return open.at.adding(seconds: 24 * 3_600) }
        return wantsTopUp ? earliestRequest : nil
    }

    private var wantsTopUp: Bool {
        guard let rule = topUps.rule, !topUps.isSuspended else { return false }
        return topUps.isShort || effective < rule.threshold
    }

    /// The first instant, not before the latest request, at which cooldown and ceiling allow another.
    private var earliestRequest: Instant? {
        guard let rule = topUps.rule, let last = topUps.requests.last else { return nil }
        var instant = last.at.adding(seconds: rule.cooldown)
        while let most = rule.most {
            let (start, end) = rule.window.around(instant, in: catalogue.zone)
            if topUps.requests.count(where: { start <= $0.at && $0.at < end }) < most { return instant }
            instant = end
        }
        return instant
    }

    /// Ends a request that is too old, and makes one if the balance is too low.
    mutating func judge(at instant: Instant) {
        if let open = openRequest, open.at.adding(seconds: 24 * 3_600) <= instant {
            end(open.number, as: "lapsed", reason: "timeout", at: instant)
        }
        guard openRequest == nil, wantsTopUp, let rule = topUps.rule else { return }
        if let earliest = earliestRequest, earliest > instant { return }
        topUps.requests.append(
            TopUpRequest(
                number: topUps.requests.count + 1, credits: rule.credits, package: rule.package, at: instant))
        tell(
            "topup.requested", [rule.threshold, effective] + (rule.credits.map { [$0] } ?? []), rule.package,
            topUps.requests.count, at: instant)
    }

    private mutating func end(_ number: Int, as status: String, reason: String?, at instant: Instant) {
        topUps.requests[number - 1].status = status
        topUps.requests[number - 1].answeredAt = instant
        topUps.failures += 1
        tell("topup.failed", [topUps.failures], reason, number, at: instant)
        if let rule = topUps.rule, !topUps.isSuspended, topUps.failures >= rule.stopAfter {
            topUps.isSuspended = true
            tell("topup.suspended", [topUps.failures], nil, number, at: instant)
        }
    }

    private mutating func tell(_ type: String, _ figures: [Int64], _ text: String?, _ request: Int, at instant: Instant)
    {
        record(Event(type: type, figures: figures, text: text, request: request, at: instant, recordedAt: now))
    }

    // MARK: - Commands

    mutating func setRule(_ rule: TopUpRule) throws(Refusal) -> Bool {
        if let key = rule.package, catalogue.packages[key].map(\.isArchived) ?? true {
            throw Refusal("unknown_package")
        }
        let isNew = topUps.rule == nil
        topUps.rule = rule
        topUps.failures = 0
        topUps.isSuspended = false
        exists = true
        return isNew
    }

    mutating func deleteRule() throws(Refusal) {
        if topUps.rule == nil { throw Refusal("unknown_rule") }
        topUps.rule = nil
        topUps.failures = 0
        topUps.isSuspended = false
        topUps.isShort = false
    }

    mutating func failRequest(_ number: Int, reason: String?) throws(Refusal) {
        guard topUps.requests.indices.contains(number - 1) else { throw Refusal("unknown_request") }
        if topUps.requests[number - 1].status != "open" { throw Refusal("request_answered") }
        end(number, as: "failed", reason: reason, at: now)
    }

    /// The request that a top-up answers.
    func payable(_ number: Int) throws(Refusal) -> TopUpRequest {
        guard topUps.requests.indices.contains(number - 1) else { throw Refusal("unknown_request") }
        let request = topUps.requests[number - 1]
        if request.status == "paid" { throw Refusal("request_answered") }
        return request
    }

    /// Takes note of a top-up, which may answer a request.
    mutating func toppedUp(_ request: Int?) {
        topUps.isShort = false
        guard let request else { return }
        topUps.requests[request - 1].status = "paid"
        topUps.requests[request - 1].answeredAt = now
        topUps.failures = 0
        topUps.isSuspended = false
    }

    /// Takes note of a refused charge.
    mutating func refused(_ command: ModelCommand, _ refusal: Refusal) {
        guard topUps.rule != nil, refusal.code == "insufficient_credits" else { return }
        switch command {
        case .use, .reserve, .commit, .progress, .extend, .release: topUps.isShort = true
        default: break
        }
    }
}
