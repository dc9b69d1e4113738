import AsyncHTTPClient
import NIOCore
import NIOPosix
import Synchronization
import Webhooks

/// HTTP clients that connect to one checked address each.
///
/// A client that was given a name would resolve it by itself, and could get another answer than the one that was checked. So
/// each pair of a name and an address has a client of its own whose override sends the name to the address; `Host`, the TLS
/// server name and the certificate are still those of the name. A client keeps its connections for the next deliveries, and
/// is closed after a minute without use.
final class PinnedClients: Sendable {
    private struct Key: Hashable {
        let host: WebhookURL.Host
        let address: IPAddress
    }

    private struct Entry {
        let client: HTTPClient
        var users = 0
        var lastUse = ContinuousClock.now
    }

    private let clients = Mutex<[Key: Entry]>([:])

    /// Lends the client of a name and an address.
    func with<Value>(
        _ host: WebhookURL.Host, at address: IPAddress, _ body: (HTTPClient) async throws -> Value
    ) async rethrows -> Value {
        let key = Key(host: host, address: address)
        let client = clients.withLock { clients in
            var entry = clients[key] ?? Entry(client: Self.client(host, address))
            entry.users += 1
            clients[key] = entry
            return entry.client
        }
        defer {
            clients.withLock { clients in
                clients[key]?.users -= 1
                clients[key]?.lastUse = .now
            }
        }
        return try await body(client)
    }

    private static func client(_ host: WebhookURL.Host, _ address: IPAddress) -> HTTPClient {
        var configuration = HTTPClient.Configuration(
            redirectConfiguration: .disallow,
            timeout: HTTPClient.Configuration.Timeout(
                connect: .seconds(10), read: .seconds(WebhookLimits.attemptSeconds)),
            decompression: .disabled)
        configuration.httpVersion = .http1Only
        configuration.connectionPool.idleTimeout = .seconds(30)
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = WebhookLimits.attemptsAtOnce
        // An attempt that cannot connect has failed: the schedule of the deliveries decides when to try again.
        configuration.connectionPool.retryConnectionEstablishment = false
        if case .name(let name) = host { configuration.dnsOverride = [name: "\(address)"] }
        return HTTPClient(
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton, configuration: configuration)
    }

    /// Closes the clients that were not used for a minute.
    func closeIdle(at now: ContinuousClock.Instant = .now) async {
        await close { $0.users == 0 && now - $0.lastUse > .seconds(60) }
    }

    /// Closes all clients. Nobody uses one any more.
    func close() async {
        await close { _ in true }
    }

    private func close(_ condition: (Entry) -> Bool) async {
        let closed = clients.withLock { clients in
            let keys = clients.filter { condition($0.value) }.keys
            return keys.compactMap { clients.removeValue(forKey: $0)?.client }
        }
        for client in closed { try? await client.shutdown() }
    }
}
