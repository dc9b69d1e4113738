import Catalogue
package import Credits

/// A purchase of credits.
package struct TopUp: Hashable, Sendable {
    package enum Credits: Hashable, Sendable {
        /// Above zero.
        case amount(Millicredits)
        case package(PackageKey)
    }

    /// Nil means the amount of the request that the top-up answers.
    package var credits: Credits?
    /// The request that the top-up answers.
    package var request: PublicID?
    /// The price and currency default to the package's.
    package var payment: Payment
    /// The fingerprint of the request. Another request with the same external payment id is a conflict. Unused without
    /// such an id.
    package var fingerprint: Bits128
    /// Nil means the package's priority, or the default of top-ups.
    package var priority: Int16?
    /// Nil means the package's expiry, or no expiry.
    package var expiry: Grant.Expiry?
    package var featureKeys: [FeatureKey]
    package var reason: String?
    package var metadata: Metadata?

    package init(
        credits: Credits?, request: PublicID? = nil, payment: Payment = Payment(),
        fingerprint: Bits128 = Bits128(high: 0, low: 0),
        priority: Int16? = nil, expiry: Grant.Expiry? = nil, featureKeys: [FeatureKey] = [], reason: String? = nil,
        metadata: Metadata? = nil
    ) {
        self.credits = credits
        self.request = request
        self.payment = payment
        self.fingerprint = fingerprint
        self.priority = priority
        self.expiry = expiry
        self.featureKeys = featureKeys
        self.reason = reason
        self.metadata = metadata
    }
}

extension AccountDraft {
    mutating func apply(_ topUp: TopUp, _ context: ActionContext) throws(Refusal) -> Outcome {
        var request: TopUpRequest?
        if let id = topUp.request { request = try requestToPay(id) }
        guard let amount = topUp.credits ?? request?.amount else { throw .unknownTopUpRequest }
        let credits: Millicredits
        var payment = topUp.payment
        var priority = topUp.priority
        var expiry = topUp.expiry
        switch amount {
        case .amount(let amount): credits = amount
        case .package(let key):
            guard let package = context.catalogue.packages[key], !package.isArchived else { throw .unknownPackage(key) }
            credits = package.terms.credits
            // Price and currency belong together: either both come from the package, or both from the request.
            if payment.price == nil, payment.currency == nil {
                (payment.price, payment.currency) = (package.terms.price, package.terms.currency)
            }
            priority = priority ?? package.terms.priority
            expiry = expiry ?? package.terms.expiresAfter.map { .after($0) }
        }
        let outcome = try apply(
            Grant(
                credits: credits, source: .topup, priority: priority, expiry: expiry ?? .never,
                featureKeys: topUp.featureKeys, payment: payment.isEmpty ? nil : payment, reason: topUp.reason,
                metadata: topUp.metadata), context)
        noteTopUp(for: request, context)
        return outcome
    }
}
