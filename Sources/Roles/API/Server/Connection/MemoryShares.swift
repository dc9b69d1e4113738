import Credits
import Synchronization

/// Counts the bytes that requests hold, for the process and for each owner, so that one owner leaves room for others.
///
/// An owner whose share is used up waits for its own bytes to be given back; others go on. An owner that holds nothing
/// gets what it asks for even when that exceeds its share, as long as the process has room: otherwise it would wait for
/// nobody.
final class MemoryShares: Sendable {
    struct Bounds: Sendable {
        /// The bytes of all owners together.
        let total: Int
        /// The bytes of one owner.
        let share: Int
    }

    enum Owner: Hashable, Sendable {
        case environment(EnvironmentID)
        /// The address of a client whose key is not known yet.
        case address(ClientAddress)
    }

    enum Refusal: Error {
        /// The owner's share is used up.
        case share
        /// The room of the process is used up.
        case process
    }

    private struct Waiter {
        let number: UInt64
        let owner: Owner
        let bytes: Int
        let continuation: CheckedContinuation<Bool, Never>
    }

    private struct State {
        var used = 0
        var usedByOwner: [Owner: Int] = [:]
        /// In the order in which they came.
        var waiters: [Waiter] = []
        var nextNumber: UInt64 = 0
    }

    private let bounds: Bounds
    private let state = Mutex(State())

    init(_ bounds: Bounds) {
        self.bounds = bounds
    }

    /// The bytes of all owners together.
    var used: Int { state.withLock { $0.used } }

    /// Takes bytes, which must be given back.
    ///
    /// - Returns: The reason when there is no room now.
    func take(_ bytes: Int, for owner: Owner) -> Refusal? {
        state.withLock { state in
            let refusal = refusal(of: bytes, for: owner, state)
            if refusal == nil { Self.add(bytes, to: owner, &state) }
            return refusal
        }
    }

    /// Takes bytes, which must be given back, and waits for room. Requests of one owner get room in the order in which
    /// they asked.
    func take(_ bytes: Int, for owner: Owner, within limit: Duration) async throws(Refusal) {
        let number = state.withLock { state -> UInt64? in
            if refusal(of: bytes, for: owner, state) == nil, !state.waiters.contains(where: { $0.owner == owner }) {
                Self.add(bytes, to: owner, &state)
                return nil
            }
            state.nextNumber += 1
            return state.nextNumber
        }
        guard let number else { return }
        let timeout = Task {
            try await Task.sleep(for: limit)
            expire(number)
        }
        defer { timeout.cancel() }
        let isTaken = await withCheckedContinuation { continuation in
            let waiter = Waiter(number: number, owner: owner, bytes: bytes, continuation: continuation)
            resume(
                state.withLock { state in
                    state.waiters.append(waiter)
                    return admitWaiters(&state)
                }, true)
        }
        guard !isTaken else { return }
        throw state.withLock { state in refusal(of: bytes, for: owner, state) } ?? .share
    }

    /// Gives back bytes that were taken.
    func give(_ bytes: Int, of owner: Owner) {
        guard bytes > 0 else { return }
        resume(
            state.withLock { state in
                state.used -= bytes
                let left = state.usedByOwner[owner, default: 0] - bytes
                state.usedByOwner[owner] = left > 0 ? left : nil
                return admitWaiters(&state)
            }, true)
    }

    /// Whether the owner's share or the room of the process is used up.
    func isUsedUp(for owner: Owner) -> Bool {
        state.withLock { refusal(of: 1, for: owner, $0) != nil }
    }

    private func refusal(of bytes: Int, for owner: Owner, _ state: State) -> Refusal? {
        let own = state.usedByOwner[owner, default: 0]
        if own > 0, own + bytes > bounds.share { return .share }
        return state.used > 0 && state.used + bytes > bounds.total ? .process : nil
    }

    private static func add(_ bytes: Int, to owner: Owner, _ state: inout State) {
        state.used += bytes
        state.usedByOwner[owner, default: 0] += bytes
    }

    /// Gives room to the waiters that fit. A waiter that does not fit holds back those of its owner that came later.
    private func admitWaiters(_ state: inout State) -> [Waiter] {
        guard !state.waiters.isEmpty else { return [] }
        var admitted: [Waiter] = []
        var left: [Waiter] = []
        var heldBack: Set<Owner> = []
        for waiter in state.waiters {
            if !heldBack.contains(waiter.owner), refusal(of: waiter.bytes, for: waiter.owner, state) == nil {
                Self.add(waiter.bytes, to: waiter.owner, &state)
                admitted.append(waiter)
            } else {
                heldBack.insert(waiter.owner)
                left.append(waiter)
            }
        }
        state.waiters = left
        return admitted
    }

    private func expire(_ number: UInt64) {
        resume(
            state.withLock { state in
                guard let index = state.waiters.firstIndex(where: { $0.number == number }) else { return [] }
                return [state.waiters.remove(at: index)]
            }, false)
    }

    private func resume(_ waiters: [Waiter], _ isTaken: Bool) {
        for waiter in waiters { waiter.continuation.resume(returning: isTaken) }
    }
}
