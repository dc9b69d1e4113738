/// The sums of an account after one of its entries.
package struct PastStanding: Hashable, Sendable {
    /// The sequence of the entry; 0 before the first one.
    package let version: Int64
    package let balances: Balances
    package let overage: Int64
    package let lifetimeGranted: Int64

    package init(version: Int64, balances: Balances, overage: Int64, lifetimeGranted: Int64) {
        self.version = version
        self.balances = balances
        self.overage = overage
        self.lifetimeGranted = lifetimeGranted
    }

    /// The standing with frozen credits.
    func freezing(_ frozen: Int64) -> PastStanding {
        PastStanding(
            version: version,
            balances: Balances(
                balance: balances.balance, reserved: balances.reserved, frozen: frozen,
                effective: balances.balance - balances.reserved - frozen), overage: overage,
            lifetimeGranted: lifetimeGranted)
    }
}
