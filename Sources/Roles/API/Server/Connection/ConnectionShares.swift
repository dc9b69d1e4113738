/// The numbers of open connections, and the decision whether one more may be opened.
///
/// An address may have `perAddress` connections. A further one takes the place of another of the same address. When
/// all places are taken, an address with few connections takes the place of the address that has most. So no address
/// can keep out another, and idle connections do not keep out new ones.
struct ConnectionShares {
    enum Decision: Hashable {
        case open
        /// An idle connection of this address must be closed for it. Without an idle one it may not be opened.
        case openInPlaceOf(ClientAddress)
    }

    let places: Int
    let perAddress: Int
    private(set) var total = 0
    private var counts: [ClientAddress: Int] = [:]
    /// The addresses by their number of connections, so that a decision does not search all of them.
    private var addresses: [Int: Set<ClientAddress>] = [:]
    private var largest = 0

    init(places: Int, perAddress: Int) {
        self.places = places
        self.perAddress = perAddress
    }

    /// Decides in constant time.
    func decision(for address: ClientAddress) -> Decision {
        let own = counts[address, default: 0]
        guard own < perAddress else { return .openInPlaceOf(address) }
        guard total >= places else { return .open }
        let hasLess = own == 0 || largest >= own + 2
        return .openInPlaceOf(hasLess ? addresses[largest]?.first ?? address : address)
    }

    mutating func add(_ address: ClientAddress) {
        move(address, by: 1)
    }

    /// - Precondition: The address has a connection.
    mutating func remove(_ address: ClientAddress) {
        move(address, by: -1)
    }

    private mutating func move(_ address: ClientAddress, by change: Int) {
        let before = counts[address, default: 0]
        let after = before + change
        precondition(after >= 0, "a connection was removed twice")
        counts[address] = after > 0 ? after : nil
        addresses[before]?.remove(address)
        if addresses[before]?.isEmpty == true { addresses[before] = nil }
        if after > 0 { addresses[after, default: []].insert(address) }
        total += change
        if after > largest { largest = after } else if before == largest, addresses[before] == nil { largest = after }
    }
}
