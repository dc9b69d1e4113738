import NIOCore
import Testing

@testable import API

@Suite("The shares of clients")
struct ShareTests {
    private static let (alice, bob) = (ClientAddress.v4(1), ClientAddress.v4(2))

    @Test("an address over its share takes the place of one of its own connections")
    func perAddress() {
        var shares = ConnectionShares(places: 10, perAddress: 3)
        for _ in 0..<3 {
            #expect(shares.decision(for: Self.alice) == .open)
            shares.add(Self.alice)
        }
        #expect(shares.decision(for: Self.alice) == .openInPlaceOf(Self.alice))
        #expect(shares.decision(for: Self.bob) == .open)
        shares.remove(Self.alice)
        #expect(shares.decision(for: Self.alice) == .open)
    }

    @Test("an address takes the place of the address with most connections, as long as it has fewer")
    func fullHouse() {
        var shares = ConnectionShares(places: 4, perAddress: 4)
        for _ in 0..<4 { shares.add(Self.alice) }
        #expect(shares.decision(for: Self.bob) == .openInPlaceOf(Self.alice))
        shares.remove(Self.alice)
        shares.add(Self.bob)
        #expect(shares.decision(for: Self.bob) == .openInPlaceOf(Self.alice))
        shares.remove(Self.alice)
        shares.add(Self.bob)
        #expect(shares.decision(for: Self.bob) == .openInPlaceOf(Self.bob))
        #expect(shares.decision(for: .v4(3)) != .open)
        #expect(shares.decision(for: .v4(3)) != .openInPlaceOf(.v4(3)))
        #expect(shares.total == 4)
    }

    @Test("IPv6 clients are counted by their network, and mapped IPv4 clients by their address")
    func addresses() throws {
        func address(_ text: String) throws -> ClientAddress {
            ClientAddress(try SocketAddress(ipAddress: text, port: 1))
        }
        #expect(try address("2001:db8::1") == address("2001:db8::ffff:2"))
        #expect(try address("2001:db8::1") != address("2001:db8:0:1::1"))
        #expect(try address("::ffff:10.0.0.1") == address("10.0.0.1"))
        #expect(try address("10.0.0.1") != address("10.0.0.2"))
        #expect(ClientAddress(nil) == .other)
    }

    @Test("memory is given up to the share of an owner and the room of all")
    func memory() {
        let shares = MemoryShares(.init(total: 10, share: 6))
        let (alice, bob) = (MemoryShares.Owner.address(Self.alice), MemoryShares.Owner.address(Self.bob))
        #expect(shares.take(6, for: alice) == nil)
        #expect(shares.take(1, for: alice) == .share)
        #expect(shares.isUsedUp(for: alice) && !shares.isUsedUp(for: bob))
        #expect(shares.take(5, for: bob) == .process)
        #expect(shares.take(4, for: bob) == nil)
        shares.give(6, of: alice)
        shares.give(4, of: bob)
        // More than its share, for an owner that holds nothing, while the others hold little.
        #expect(shares.take(9, for: alice) == nil)
        #expect(shares.used == 9)
    }

    @Test("an owner waits for its own bytes, in the order of its requests, and others go on")
    func waiting() async throws {
        let shares = MemoryShares(.init(total: 100, share: 10))
        let (alice, bob) = (MemoryShares.Owner.address(Self.alice), MemoryShares.Owner.address(Self.bob))
        try await shares.take(10, for: alice, within: .seconds(60))
        await #expect(throws: MemoryShares.Refusal.share) {
            try await shares.take(1, for: alice, within: .milliseconds(1))
        }
        async let first: Void = shares.take(8, for: alice, within: .seconds(60))
        try await shares.take(10, for: bob, within: .seconds(60))
        shares.give(10, of: alice)
        try await first
        #expect(shares.used == 18)
    }
}
