import Credits
import Ledger
import Logging
import NIOCore
import Replica
import Storage
import Synchronization

/// The latest entries of one environment, in the order of their transactions, for its watchers.
///
/// One task reads what is new when the write-ahead log tells of a change. The entries are kept until the next ones need
/// their room. A watcher that is further behind is ended, so that nobody who does not read costs memory.
final class LedgerTail: Sendable {
    /// An entry as its watchers get it.
    struct Item: Sendable {
        let place: FeedPlace
        let account: AccountID
        let type: EntryType
        let featureKey: FeatureKey?
        let event: ByteBuffer

        init(_ placed: LedgerFeed.PlacedEntry) {
            place = placed.place
            account = placed.account.id
            type = placed.entry.type
            featureKey = placed.entry.cause.featureKey
            var event = ByteBuffer()
            event.writeString("id: \(placed.place.text)\nevent: entry\ndata: ")
            event.writeBytes(placed.entry.json(account: account, endUserID: placed.account.endUserID))
            event.writeStaticString("\n\n")
            self.event = event
        }
    }

    /// The beginning of a watcher.
    enum Entrance {
        /// The watcher continues with the item of this number.
        case live(Int, FeedPlace)
        /// The watcher has missed entries up to a place, which are only in the database.
        case behind(FeedPlace)
        case closed
    }

    /// The next news of a watcher.
    enum News {
        case items([Item], next: Int)
        /// Nothing came for a while. Everything up to this place was shown.
        case quiet(FeedPlace)
        /// Entries that the watcher has not taken are gone.
        case lost
        case closed
    }

    /// The longest time between two signs of life, from which a watcher knows that its stream lives.
    static let heartbeat = Duration.seconds(15)
    /// The least time between two reads, and the longest one while a transaction is awaited.
    private static let pause = Duration.milliseconds(20)
    private static let longestPause = Duration.seconds(1)
    private static let pauseAfterFailure = Duration.seconds(1)
    /// The most bytes that a watcher takes at once. An entry is never cut.
    private static let chunk = 64 << 10

    private struct State {
        var items: [Item] = []
        /// The number of the first item. Numbers rise by one for each item.
        var first = 0
        var bytes = 0
        /// The place up to which everything was read; nil before the first read.
        var end: FeedPlace?
        /// The place of the last item that is gone.
        var gone: FeedPlace?
        var waiters: [CheckedContinuation<Void, Never>] = []
        var beats = 0
        /// The erasures that were told. A page that was read before one of them may have text that is gone.
        var erasures = 0
        var isClosed = false

        mutating func takeWaiters() -> [CheckedContinuation<Void, Never>] {
            defer { waiters = [] }
            return waiters
        }
    }

    private let environmentID: EnvironmentID
    private let reads: TenantReads
    private let memory: LedgerTailMemory
    private let logger: Logger
    private let state = Mutex(State())
    private let hasChanged = Atomic<Bool>(false)
    private let alarms: AsyncStream<Void>
    private let ring: AsyncStream<Void>.Continuation
    private let tasks = Mutex<[Task<Void, Never>]>([])

    init(environmentID: EnvironmentID, reads: TenantReads, memory: LedgerTailMemory, logger: Logger) {
        self.environmentID = environmentID
        self.reads = reads
        self.memory = memory
        self.logger = logger
        (alarms, ring) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    deinit {
        memory.give(state.withLock { $0.bytes })
    }

    // MARK: - Reading what is new

    /// Begins to read. The tasks end when the tail is closed.
    func start(following replica: Replica) {
        let subscription = replica.followLedger(of: environmentID) { [weak self] signal in self?.hear(signal) }
        let reader = Task { [self] in
            await read()
            withExtendedLifetime(subscription) {}
        }
        let beats = Task { [weak self] in
            while (try? await Task.sleep(for: Self.heartbeat)) != nil { self?.beat() }
        }
        tasks.withLock { $0 = [reader, beats] }
    }

    func close() {
        ring.finish()
        for task in tasks.withLock({ $0 }) { task.cancel() }
        resume { $0.isClosed = true }
    }

    private func hear(_ signal: LedgerSignal) {
        // The text of an end user that was read before the erasure is not shown any more.
        if case .erased = signal {
            state.withLock { state in
                state.erasures += 1
                if let end = state.end { forget(state.items.count, &state, upTo: end) }
            }
        }
        hasChanged.store(true, ordering: .sequentiallyConsistent)
        ring.yield()
    }

    /// Wakes the watchers, and reads even if no change was told: a node that has lost the write-ahead log shows entries all
    /// the same.
    private func beat() {
        resume { $0.beats += 1 }
        hasChanged.store(true, ordering: .sequentiallyConsistent)
        ring.yield()
    }

    private func read() async {
        var alarms = alarms.makeAsyncIterator()
        // Every transaction that has ended before the last change was told is below this number.
        var wanted: Int64 = 0
        var pause = Self.pause
        while !Task.isCancelled {
            let isChanged = hasChanged.exchange(false, ordering: .sequentiallyConsistent)
            do {
                let erasures = state.withLock { $0.erasures }
                guard let page = try await nextPage() else { continue }
                if isChanged { wanted = max(wanted, page.horizon.next) }
                guard publish(page, ifErasuresAre: erasures) else { continue }
                guard page.isComplete else { continue }
                let isAwaiting = page.horizon.oldest < wanted
                pause = isAwaiting && page.entries.isEmpty ? min(pause * 2, Self.longestPause) : Self.pause
                // Changes that come meanwhile are read together.
                try await Task.sleep(for: pause)
                if !isAwaiting, await alarms.next() == nil { return }
            } catch is CancellationError {
                return
            } catch {
                logger.warning("the new entries of an environment could not be read: \(error)")
                hasChanged.store(true, ordering: .sequentiallyConsistent)
                try? await Task.sleep(for: Self.pauseAfterFailure)
            }
        }
    }

    /// The next entries; nil after the first read, which finds the place from which the tail begins.
    private func nextPage() async throws -> LedgerFeed.Page? {
        guard let end = state.withLock({ $0.end }) else {
            let horizon = try await reads.readNew(of: environmentID) { try await LedgerFeed.horizon(on: $0) }
            hasChanged.store(true, ordering: .sequentiallyConsistent)
            resume { state in
                state.end = FeedPlace(before: horizon.oldest)
                state.gone = state.end
            }
            return nil
        }
        return try await reads.readNew(of: environmentID) { [environmentID] connection in
            try await LedgerFeed.page(environmentID: environmentID, after: end, on: connection)
        }
    }

    /// Shows a page, unless an end user was erased since it was asked for: it is then read again.
    private func publish(_ page: LedgerFeed.Page, ifErasuresAre erasures: Int) -> Bool {
        let items = page.entries.map { Item($0) }
        let bytes = items.reduce(0) { $0 + $1.event.readableBytes }
        guard !items.isEmpty else {
            return state.withLock { state in
                guard state.erasures == erasures else { return false }
                state.end = page.end
                return true
            }
        }
        let room = memory.room
        var isShown = false
        resume { state in
            guard state.erasures == erasures else { return }
            isShown = true
            memory.take(bytes)
            state.end = page.end
            state.items += items
            state.bytes += bytes
            var (count, left) = (0, state.bytes)
            while left > room, count < state.items.count - items.count {
                left -= state.items[count].event.readableBytes
                count += 1
            }
            if count > 0 { forget(count, &state, upTo: state.items[count - 1].place) }
        }
        return isShown
    }

    private func forget(_ count: Int, _ state: inout State, upTo place: FeedPlace) {
        let bytes = state.items.prefix(count).reduce(0) { $0 + $1.event.readableBytes }
        state.items.removeFirst(count)
        state.first += count
        state.bytes -= bytes
        state.gone = max(state.gone ?? place, place)
        memory.give(bytes)
    }

    private func resume(_ change: (inout State) -> Void) {
        let waiters = state.withLock { state in
            change(&state)
            return state.takeWaiters()
        }
        for waiter in waiters { waiter.resume() }
    }

    // MARK: - Watching

    /// Lets a watcher in that has seen everything up to a place; without a place it begins with what is new.
    func enter(after place: FeedPlace?) async -> Entrance {
        while true {
            let entrance = state.withLock { state -> Entrance? in
                if state.isClosed { return .closed }
                guard let end = state.end, let gone = state.gone else { return nil }
                guard let place else { return .live(state.first + state.items.count, end) }
                if place < gone { return .behind(gone) }
                let index = state.items.firstIndex { $0.place > place } ?? state.items.count
                return .live(state.first + index, place)
            }
            if let entrance { return entrance }
            await sleep { $0.end == nil }
        }
    }

    /// The items from a number on, as soon as there are any.
    func news(from number: Int) async -> News {
        let beats = state.withLock { $0.beats }
        while true {
            let news = state.withLock { state -> News? in
                if state.isClosed { return .closed }
                if number < state.first { return .lost }
                let index = number - state.first
                if index < state.items.count {
                    var (end, bytes) = (index, 0)
                    while end < state.items.count, end == index || bytes < Self.chunk {
                        bytes += state.items[end].event.readableBytes
                        end += 1
                    }
                    return .items(Array(state.items[index..<end]), next: state.first + end)
                }
                return state.beats == beats ? nil : state.end.map { .quiet($0) }
            }
            if let news { return news }
            await sleep { $0.first + $0.items.count <= number && $0.beats == beats }
        }
    }

    /// Waits for the next change of the tail, unless a condition does not hold any more.
    private func sleep(while condition: (State) -> Bool) async {
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                guard !state.isClosed, condition(state) else { return true }
                state.waiters.append(continuation)
                return false
            }
            if isOver { continuation.resume() }
        }
    }
}

/// The bytes that all tails of a node keep, and what each may keep of them.
final class LedgerTailMemory: Sendable {
    /// The bytes of all tails beyond which each keeps only a little.
    private static let total = 64 << 20
    private static let usualRoom = 4 << 20
    private static let leastRoom = 256 << 10

    private let used = Atomic<Int>(0)

    func take(_ bytes: Int) { used.wrappingAdd(bytes, ordering: .relaxed) }
    func give(_ bytes: Int) { used.wrappingSubtract(bytes, ordering: .relaxed) }

    /// The bytes that a tail may keep.
    var room: Int { used.load(ordering: .relaxed) > Self.total ? Self.leastRoom : Self.usualRoom }
}
