/// Decides which addresses deliveries may connect to.
///
/// Tenants choose URLs, and the worker stands inside the operator's network. An address is therefore allowed only when it
/// is public, whatever the name that led to it. Networks that the operator has named are allowed on every port; public
/// addresses are allowed on ports 80 and 443, so that nobody makes the installation talk to other services of third
/// parties.
package struct TargetRules: Sendable {
    /// QUOTASTACK_WEBHOOK_ALLOW.
    package let allowed: [IPNetwork]

    package init(allowed: [IPNetwork] = []) {
        self.allowed = allowed
    }

    /// Why a target is refused.
    package enum Refusal: Error, Hashable, Sendable, CustomStringConvertible {
        /// - kind: What the address is, such as "private".
        case address(IPAddress, kind: String)
        case port(UInt16)
        case noAddress

        package var description: String {
            switch self {
            case .address(let address, let kind):
                "refused: the host resolves to \(address), which is \(kind); the operator can allow a network with QUOTASTACK_WEBHOOK_ALLOW"
            case .port(let port):
                "refused: port \(port) of a public address; only ports 80 and 443 are allowed"
            case .noAddress: "refused: the host has no address"
            }
        }
    }

    /// The address to connect to. Every answer of the resolver must be allowed, because the answers of one name may come
    /// in another order the next time.
    package func choose(_ answers: [IPAddress], port: UInt16) throws(Refusal) -> IPAddress {
        guard let first = answers.first else { throw .noAddress }
        for address in answers { try check(address, port: port) }
        return first
    }

    package func check(_ address: IPAddress, port: UInt16) throws(Refusal) {
        let carried = Self.carried(by: address)
        if allowed.contains(where: { $0.contains(address) || carried.map($0.contains) ?? false }) { return }
        if let kind = Self.kind(of: address) { throw .address(address, kind: kind) }
        if let carried {
            if let kind = Self.kind(of: carried) { throw .address(address, kind: "\(kind), inside another form") }
        }
        guard port == 80 || port == 443 else { throw .port(port) }
    }

    /// The address of version 4 that an address of version 6 stands for: mapped, compatible, behind NAT64, or 6to4.
    static func carried(by address: IPAddress) -> IPAddress? {
        guard case .v6(let value) = address else { return nil }
        let low = IPAddress.v4(UInt32(truncatingIfNeeded: value))
        switch value >> 32 {
        case 0xFFFF: return low
        case 0x0064_FF9B << 64: return low
        default: break
        }
        if value >> 112 == 0x2002 { return .v4(UInt32(truncatingIfNeeded: value >> 80)) }
        return nil
    }

    /// What a special address is; nil for a public one.
    static func kind(of address: IPAddress) -> String? {
        switch address {
        case .v4: return special4.first { $0.network.contains(address) }?.kind
        case .v6:
            if carried(by: address) != nil { return nil }
            if let found = special6.first(where: { $0.network.contains(address) }) { return found.kind }
            return global6.contains(address) ? nil : "reserved"
        }
    }

    private typealias Special = (network: IPNetwork, kind: String)

    private static func v4(_ a: UInt32, _ b: UInt32, _ c: UInt32, _ d: UInt32, _ bits: Int, _ kind: String) -> Special {
        (IPNetwork(.v4(a << 24 | b << 16 | c << 8 | d), bits), kind)
    }

    private static let special4: [Special] = [
        v4(0, 0, 0, 0, 8, "unspecified"), v4(10, 0, 0, 0, 8, "private"),
        v4(100, 100, 100, 200, 32, "a metadata service"), v4(100, 64, 0, 0, 10, "private (carrier-grade NAT)"),
        v4(127, 0, 0, 0, 8, "loopback"), v4(168, 63, 129, 16, 32, "a metadata service"),
        v4(169, 254, 169, 254, 32, "a metadata service"), v4(169, 254, 0, 0, 16, "link-local"),
        v4(172, 16, 0, 0, 12, "private"), v4(192, 0, 0, 0, 24, "reserved"), v4(192, 0, 2, 0, 24, "for documentation"),
        v4(192, 88, 99, 0, 24, "reserved (6to4 relays)"), v4(192, 168, 0, 0, 16, "private"),
        v4(198, 18, 0, 0, 15, "reserved (benchmarks)"), v4(198, 51, 100, 0, 24, "for documentation"),
        v4(203, 0, 113, 0, 24, "for documentation"), v4(224, 0, 0, 0, 4, "multicast"), v4(240, 0, 0, 0, 4, "reserved"),
    ]

    private static func v6(_ high: UInt64, _ low: UInt64 = 0, _ bits: Int, _ kind: String) -> Special {
        (IPNetwork(.v6(UInt128(high) << 64 | UInt128(low)), bits), kind)
    }

    private static let special6: [Special] = [
        v6(0, 1, 128, "loopback"), v6(0, 0, 128, "unspecified"), v6(0, 0, 96, "reserved (IPv4-compatible)"),
        v6(0x0064_FF9B_0001_0000, 0, 48, "private (NAT64)"), v6(0x0100_0000_0000_0000, 0, 64, "reserved (discard)"),
        v6(0x2001_0000_0000_0000, 0, 32, "reserved (Teredo)"), v6(0x2001_0000_0000_0000, 0, 23, "reserved"),
        v6(0x2001_0DB8_0000_0000, 0, 32, "for documentation"), v6(0x3FFF_0000_0000_0000, 0, 20, "for documentation"),
        v6(0xFD00_0EC2_0000_0000, 0x254, 128, "a metadata service"), v6(0xFC00_0000_0000_0000, 0, 7, "private"),
        v6(0xFE80_0000_0000_0000, 0, 10, "link-local"), v6(0xFEC0_0000_0000_0000, 0, 10, "private (site-local)"),
        v6(0xFF00_0000_0000_0000, 0, 8, "multicast"),
    ]

    /// All public addresses of version 6 that have been given out so far.
    private static let global6 = IPNetwork(.v6(0x2000 << 112), 3)
}
