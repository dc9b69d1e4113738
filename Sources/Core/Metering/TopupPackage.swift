package import Credits

/// A number of credits that a tenant sells under a name. No payment is taken: the price is what the tenant shows.
package struct TopupPackage: Hashable, Sendable {
    package let key: PackageKey
    package let name: String
    /// Above zero.
    package let credits: Millicredits
    /// In the currency's minor unit, 0 to 2^53 − 1.
    package let price: Int64
    /// Three capital letters, as in ISO 4217.
    package let currency: String
    /// From the purchase; nil never.
    package let expiresAfter: CalendarDuration?
    /// Of the block; nil takes the default of top-ups.
    package let priority: Int16?
    /// An archived package takes no new top-up.
    package let isArchived: Bool

    package init(
        key: PackageKey, name: String, credits: Millicredits, price: Int64, currency: String,
        expiresAfter: CalendarDuration?, priority: Int16?, isArchived: Bool
    ) {
        self.key = key
        self.name = name
        self.credits = credits
        self.price = price
        self.currency = currency
        self.expiresAfter = expiresAfter
        self.priority = priority
        self.isArchived = isArchived
    }
}
