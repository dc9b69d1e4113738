import NIOCore
import NIOPosix
import Synchronization

/// Watchers of `GET /v1/ledger/stream`, each on a connection of its own. They keep the numbers of the entries that they have
/// seen, and read nothing else of them.
///
/// A chunked answer is read as it comes: the lines of its chunk sizes are no lines of an event.
package final class StreamWatchers: Sendable {
    /// The things that one watcher has seen.
    package struct Seen: Sendable {
        /// The number of entries.
        package var entries = 0
        /// The text after `id: ` of the latest event; nil before the first.
        package var latest: String?
        /// Whether the server has refused the stream, as it does while it counts one that was just cut.
        package var isRefused = false
    }

    private let target: LoadTarget
    private let group: MultiThreadedEventLoopGroup
    private let seen: Mutex<[Seen]>
    private let channels: Mutex<[(any Channel)?]>

    /// - Parameter count: The number of watchers.
    package init(target: LoadTarget, count: Int) {
        self.target = target
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        seen = Mutex(Array(repeating: Seen(), count: count))
        channels = Mutex(Array(repeating: nil, count: count))
    }

    /// The state of all watchers, by number.
    package var state: [Seen] { seen.withLock { $0 } }

    /// Starts a watcher, or starts it again after the latest event that it has seen.
    ///
    /// - Parameter reads: Whether it reads its stream.
    package func start(_ number: Int, reads: Bool = true) async throws {
        let latest = seen.withLock { seen in
            seen[number].isRefused = false
            return seen[number].latest
        }
        let request = target.get("/v1/ledger/stream", headers: latest.map { ["Last-Event-ID: \($0)"] } ?? [])
        let channel = try await ClientBootstrap(group: group)
            .channelOption(.autoRead, value: reads)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Watcher(number, self))
                }
            }
            .connect(host: target.host, port: target.port).get()
        channels.withLock { $0[number] = channel }
        try await channel.writeAndFlush(request)
    }

    /// Cuts the connection of a watcher. What it has read so far counts.
    package func cut(_ number: Int) async {
        let channel = channels.withLock { channels in
            defer { channels[number] = nil }
            return channels[number]
        }
        try? await channel?.close()
    }

    package func close() async throws {
        for number in channels.withLock({ $0.indices }) { await cut(number) }
        try await group.shutdownGracefully()
    }

    private final class Watcher: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private let number: Int
        private let watchers: StreamWatchers
        private var line: [UInt8] = []
        private var isEntry = false
        private var id: String?

        init(_ number: Int, _ watchers: StreamWatchers) {
            self.number = number
            self.watchers = watchers
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var entries = 0
            var latest: String?
            for byte in unwrapInboundIn(data).readableBytesView {
                if byte != UInt8(ascii: "\n") {
                    // The first bytes of a line tell what it is.
                    if line.count < 64 { line.append(byte) }
                    continue
                }
                if line.starts(with: "HTTP/1.1 429".utf8) {
                    watchers.seen.withLock { $0[number].isRefused = true }
                } else if line.starts(with: "id: ".utf8) {
                    id = String(decoding: line.dropFirst(4), as: UTF8.self)
                } else if line.starts(with: "event: entry".utf8) {
                    isEntry = true
                } else if line.isEmpty {
                    // An empty line ends an event. A place without an entry is an event too.
                    if isEntry { entries += 1 }
                    latest = id ?? latest
                    (isEntry, id) = (false, nil)
                }
                line.removeAll(keepingCapacity: true)
            }
            guard entries > 0 || latest != nil else { return }
            watchers.seen.withLock { seen in
                seen[number].entries += entries
                seen[number].latest = latest ?? seen[number].latest
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }
    }
}
