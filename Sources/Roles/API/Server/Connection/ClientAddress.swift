import NIOCore

/// The address by which the connections of one client are counted.
///
/// An IPv6 address counts as its network of 64 bits, because a client is usually given all addresses of such a network.
enum ClientAddress: Hashable, Sendable {
    case v4(UInt32)
    /// The first 64 bits of the address.
    case v6(UInt64)
    /// A client without an IP address, such as one on a Unix socket.
    case other

    init(_ address: SocketAddress?) {
        // The layouts of `sockaddr_in` and `sockaddr_in6`: the address stands after the family and the port, and in the
        // latter also after the flow.
        switch address {
        case .v4: self = .v4(Self.number(in: address, at: 4))
        case .v6:
            let (high, low): (UInt64, UInt64) = (Self.number(in: address, at: 8), Self.number(in: address, at: 16))
            // ::ffff:a.b.c.d is an IPv4 client of a socket that listens on both.
            self = high == 0 && low >> 32 == 0xFFFF ? .v4(UInt32(truncatingIfNeeded: low)) : .v6(high)
        case .unixDomainSocket, nil: self = .other
        }
    }

    /// A number of the system's form of an address, which is in network order.
    private static func number<Number: FixedWidthInteger>(in address: SocketAddress?, at offset: Int) -> Number {
        address?.withSockAddr { start, _ in
            Number(bigEndian: UnsafeRawPointer(start).loadUnaligned(fromByteOffset: offset, as: Number.self))
        } ?? 0
    }
}
