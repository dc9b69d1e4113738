package import Credits

/// A number of credits that a tenant sells under a name. QuotaStack takes no payment: the price is for display and for
/// the record.
package struct TopupPackage: Hashable, Sendable {
    package let key: PackageKey
    package var terms: PackageTerms
    package let createdAt: Instant
    package var updatedAt: Instant
    /// When the package was archived. An archived package takes no new top-up.
    package var archivedAt: Instant?

    package init(
        key: PackageKey, terms: PackageTerms, createdAt: Instant = .epoch, updatedAt: Instant? = nil,
        archivedAt: Instant? = nil
    ) {
        self.key = key
        self.terms = terms
        self.createdAt = createdAt
        self.updatedAt = updatedAt ?? createdAt
        self.archivedAt = archivedAt
    }

    package var isArchived: Bool { archivedAt != nil }

    /// The package after a change at an instant.
    package func applying(_ change: PackageChange, at now: Instant) -> TopupPackage {
        var changed = self
        changed.terms = PackageTerms(
            name: change.name ?? terms.name, credits: change.credits ?? terms.credits,
            price: change.price ?? terms.price, currency: change.currency ?? terms.currency,
            expiresAfter: change.expiresAfter.applied(to: terms.expiresAfter),
            priority: change.priority.applied(to: terms.priority))
        changed.archivedAt = change.isArchived.applied(to: archivedAt, at: now)
        changed.updatedAt = now
        return changed
    }
}

/// The contents of a top-up package.
package struct PackageTerms: Hashable, Sendable {
    package var name: String
    /// Above zero.
    package var credits: Millicredits
    /// In the currency's minor unit, 0 to 2^53 − 1.
    package var price: Int64
    /// Three capital letters, as in ISO 4217.
    package var currency: String
    /// The time from the purchase to the expiry of the block; nil means no expiry.
    package var expiresAfter: CalendarDuration?
    /// The priority of the block; nil means the default of top-ups.
    package var priority: Int16?

    package init(
        name: String, credits: Millicredits, price: Int64, currency: String, expiresAfter: CalendarDuration? = nil,
        priority: Int16? = nil
    ) {
        self.name = name
        self.credits = credits
        self.price = price
        self.currency = currency
        self.expiresAfter = expiresAfter
        self.priority = priority
    }
}

/// A change of a top-up package; nil keeps a field.
package struct PackageChange: Hashable, Sendable {
    package var name: String?
    package var credits: Millicredits?
    package var price: Int64?
    package var currency: String?
    package var expiresAfter: FieldChange<CalendarDuration>
    package var priority: FieldChange<Int16>
    package var isArchived: Bool?

    package init(
        name: String? = nil, credits: Millicredits? = nil, price: Int64? = nil, currency: String? = nil,
        expiresAfter: FieldChange<CalendarDuration> = .keep, priority: FieldChange<Int16> = .keep,
        isArchived: Bool? = nil
    ) {
        self.name = name
        self.credits = credits
        self.price = price
        self.currency = currency
        self.expiresAfter = expiresAfter
        self.priority = priority
        self.isArchived = isArchived
    }
}
