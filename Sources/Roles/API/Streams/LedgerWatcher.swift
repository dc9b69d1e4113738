import Credits
import Hummingbird
import Ledger
import NIOCore
import Storage

/// The entries that a watcher wants.
struct LedgerStreamFilter: Sendable {
    /// Nil means all accounts of the environment.
    var account: AccountID?
    var type: EntryType?
    var featureKey: FeatureKey?

    func matches(_ item: LedgerTail.Item) -> Bool {
        (account == nil || item.account == account) && (type == nil || item.type == type)
            && (featureKey == nil || item.featureKey == featureKey)
    }
}

/// One stream of the ledger as server-sent events: first what its client has missed, then what is new.
///
/// Every entry has the id of its place, and a sign of life has the place up to which everything was shown. A client that
/// sends the last id it has seen continues there.
struct LedgerWatcher: Sendable {
    let streams: LedgerStreams
    let environmentID: EnvironmentID
    let filter: LedgerStreamFilter
    /// The place up to which the client has seen everything; nil for a client that begins with what is new.
    let start: FeedPlace?
    /// How long a busy stream goes on before it asks again whether its key may still read.
    private static let patience = Duration.seconds(1)

    /// Whether the key of the stream may still read the ledger.
    let isAdmitted: @Sendable () -> Bool

    /// Writes until the node stops, the key is revoked, or the client is too far behind. A client that is ended connects
    /// again and continues.
    func run(_ writer: inout any ResponseBodyWriter) async throws {
        try await writer.write(ByteBuffer(staticString: "retry: 1000\n\n"))
        let tail = streams.tail(of: environmentID)
        guard var (number, place) = try await enter(tail, &writer) else { return try await writer.finish(nil) }
        try await writer.write(Self.mark(place))
        var askedAt = ContinuousClock.now
        watching: while true {
            switch await tail.news(from: number) {
            case .items(let items, let next):
                // A busy stream is never quiet.
                if ContinuousClock.now - askedAt > Self.patience {
                    guard isAdmitted() else { break watching }
                    askedAt = .now
                }
                let chunk = events(items, after: place)
                number = next
                place = items.last.map { max(place, $0.place) } ?? place
                if chunk.readableBytes > 0 { try await writer.write(chunk) }
            case .quiet(let end):
                guard isAdmitted() else { break watching }
                place = max(place, end)
                var sign = ByteBuffer(staticString: ": alive\n")
                sign.writeImmutableBuffer(Self.mark(place))
                try await writer.write(sign)
            case .lost, .closed: break watching
            }
        }
        try await writer.finish(nil)
    }

    /// Shows what the client has missed, until the tail has all that follows. Nil when the stream ends before.
    private func enter(
        _ tail: LedgerTail, _ writer: inout any ResponseBodyWriter
    ) async throws -> (number: Int, place: FeedPlace)? {
        var place = start
        while true {
            switch await tail.enter(after: place) {
            case .live(let number, let end): return (number, place ?? end)
            case .closed: return nil
            case .behind(let gone):
                let page = try await streams.missed(of: environmentID, filter.account, after: place ?? gone)
                var chunk = events(page.entries.map { LedgerTail.Item($0) }, after: place ?? gone)
                chunk.writeImmutableBuffer(Self.mark(page.end))
                try await writer.write(chunk)
                place = page.end
                guard isAdmitted() else { return nil }
            }
        }
    }

    /// The wanted entries behind a place.
    private func events(_ items: [LedgerTail.Item], after place: FeedPlace) -> ByteBuffer {
        var chunk = ByteBuffer()
        for item in items where item.place > place && filter.matches(item) { chunk.writeImmutableBuffer(item.event) }
        return chunk
    }

    /// Tells the client the place up to which it has seen everything. It is no event.
    private static func mark(_ place: FeedPlace) -> ByteBuffer { ByteBuffer(string: "id: \(place.text)\n\n") }
}
