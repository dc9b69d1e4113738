/// The claim of one caller on a pool's connections: its owner, its weight, and the share of the owner.
package struct PoolClaim: Sendable {
    /// Callers with the same owner share the owner's limits.
    let owner: Int32
    /// Whether the caller may keep its connection for long.
    let isLong: Bool
    let share: PoolShare

    package init(owner: Int32, isLong: Bool, share: PoolShare) {
        self.owner = owner
        self.isLong = isLong
        self.share = share
    }
}

/// The connections of a pool that one owner may have, and how its callers wait for them.
package struct PoolShare: Hashable, Sendable {
    /// Connections at once.
    package var atOnce: Int
    /// Connections at once for long uses. They count in `atOnce` too.
    package var longAtOnce: Int
    /// Callers that may wait, counted apart for short and for long uses. Further callers are refused.
    package var waiting: Int
    /// How long a caller waits for a short use.
    package var patience: Duration
    /// How long a caller waits for a long use.
    package var longPatience: Duration

    package init(atOnce: Int, longAtOnce: Int, waiting: Int, patience: Duration, longPatience: Duration) {
        self.atOnce = atOnce
        self.longAtOnce = longAtOnce
        self.waiting = waiting
        self.patience = patience
        self.longPatience = longPatience
    }
}

/// The order in which the callers of a pool begin, fair among their owners.
///
/// A free connection goes to the owner that has the fewest, and among owners with equally many to the caller that came
/// first. The callers of one owner begin in the order of their arrival, short and long uses each in a line of their own.
/// Whenever a method has returned, no waiting caller could begin, except those that `next` has yet to return.
struct FairLine: Sendable {
    /// The callers of one owner with uses of one weight.
    fileprivate struct Lane: Hashable {
        let owner: Int32
        let isLong: Bool
    }

    private struct Waiter {
        let number: UInt64
        let claim: PoolClaim
    }

    /// Connections.
    private let size: Int
    /// Connections at once for the long uses of all owners.
    private let longSize: Int
    private var begun: [Lane: Int] = [:]
    private var begunInAll = 0
    private var begunLong = 0
    /// The waiting callers, the first one first. Lanes without waiting callers are missing.
    private var waiting: [Lane: [Waiter]] = [:]
    private(set) var waitingCount = 0

    init(size: Int, longSize: Int) {
        self.size = size
        self.longSize = longSize
    }

    /// Begins a use at once, unless a limit or an earlier caller forbids it.
    mutating func begins(_ claim: PoolClaim) -> Bool {
        guard waiting[claim.lane] == nil, mayBegin(claim) else { return false }
        begin(claim)
        return true
    }

    /// Puts a caller that could not begin at the end of its lane. False when the lane is full.
    ///
    /// - Parameter number: Names the caller; a later caller has a higher number.
    mutating func waits(_ number: UInt64, _ claim: PoolClaim) -> Bool {
        guard waiting[claim.lane, default: []].count < claim.share.waiting else { return false }
        waiting[claim.lane, default: []].append(Waiter(number: number, claim: claim))
        waitingCount += 1
        return true
    }

    /// Takes a caller out of the line. Does nothing for a caller that does not wait.
    mutating func leaves(_ number: UInt64, _ claim: PoolClaim) {
        guard let index = waiting[claim.lane]?.firstIndex(where: { $0.number == number }) else { return }
        remove(at: index, of: claim.lane)
    }

    /// Ends a use that has begun.
    mutating func ends(_ claim: PoolClaim) {
        let left = begun[claim.lane, default: 1] - 1
        begun[claim.lane] = left > 0 ? left : nil
        begunInAll -= 1
        if claim.isLong { begunLong -= 1 }
    }

    /// Begins the use of the next waiting caller and returns its number; nil when none may begin.
    mutating func next() -> UInt64? {
        var best: (lane: Lane, load: Int, waiter: Waiter)?
        for (lane, waiters) in waiting {
            guard let first = waiters.first, mayBegin(first.claim) else { continue }
            let load = load(lane.owner)
            if let other = best, (other.load, other.waiter.number) < (load, first.number) { continue }
            best = (lane, load, first)
        }
        guard let best else { return nil }
        remove(at: 0, of: best.lane)
        begin(best.waiter.claim)
        return best.waiter.number
    }

    private func mayBegin(_ claim: PoolClaim) -> Bool {
        guard begunInAll < size, load(claim.owner) < claim.share.atOnce else { return false }
        return !claim.isLong || begunLong < longSize && begun[claim.lane, default: 0] < claim.share.longAtOnce
    }

    private func load(_ owner: Int32) -> Int {
        begun[Lane(owner: owner, isLong: false), default: 0] + begun[Lane(owner: owner, isLong: true), default: 0]
    }

    private mutating func begin(_ claim: PoolClaim) {
        begun[claim.lane, default: 0] += 1
        begunInAll += 1
        if claim.isLong { begunLong += 1 }
    }

    private mutating func remove(at index: Int, of lane: Lane) {
        waiting[lane]?.remove(at: index)
        if waiting[lane]?.isEmpty == true { waiting[lane] = nil }
        waitingCount -= 1
    }
}

extension PoolClaim {
    fileprivate var lane: FairLine.Lane { FairLine.Lane(owner: owner, isLong: isLong) }
}
