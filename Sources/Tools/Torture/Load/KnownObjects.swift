import Credits
import JSON
import LedgerModel
import Synchronization

/// The objects that the clients know from the answers to any of them. Mutations choose their subjects from these
/// objects.
final class KnownObjects: Sendable {
    struct Reservation: Sendable {
        let id: PublicID
        let estimate: ModelDemand
        /// The instant at which the reservation lapses, unless it is extended.
        let deadline: Instant
    }

    struct Charge: Sendable {
        let id: PublicID
        let units: Int64
    }

    private struct OfEndUser {
        var reservations: [Reservation] = []
        var charges: [Charge] = []
        var blocks: [PublicID] = []
        var caps: [PublicID] = []
        var subscription: PublicID?
    }

    /// The most objects of each kind that are kept for an end user. The oldest are dropped.
    private static let kept = 12

    private let known = Mutex<[EndUser: OfEndUser]>([:])
    private let payments = Mutex<[Int: [Operation]]>([:])

    /// Adds the objects in the answer to an operation, and removes the objects that the operation ended.
    func learn(_ operation: Operation, _ body: JSONValue) {
        guard let command = operation.command else { return }
        known.withLock { known in
            var objects = known[operation.endUser] ?? OfEndUser()
            switch command {
            case .grant, .topUp:
                guard let id = body["block"]?["id"]?.text.flatMap({ PublicID(.block, parsing: $0) }) else { return }
                Self.add(id, to: &objects.blocks)
                // On a default plan, the end user has a subscription that no client has asked for.
                objects.subscription =
                    objects.subscription ?? PublicID(.subscription, account: id.account, number: 1)
            case .use(let use):
                guard let id = body["id"]?.text.flatMap({ PublicID(.usage, parsing: $0) }) else { return }
                Self.add(Charge(id: id, units: use.demand.total), to: &objects.charges)
            case .reserve(let use, let ttl):
                guard let id = body["id"]?.text.flatMap({ PublicID(.reservation, parsing: $0) }) else { return }
                Self.add(
                    Reservation(id: id, estimate: use.demand, deadline: (operation.clock ?? .now).adding(seconds: ttl)),
                    to: &objects.reservations)
            case .commit(let number, let demand, _, _, _), .progress(let number, let demand, _):
                if case .commit = command { objects.reservations.removeAll { $0.id.number == number } }
                guard let id = body["entry"]?["id"]?.text.flatMap({ PublicID(.entry, parsing: $0) }) else { break }
                Self.add(Charge(id: id, units: demand.total), to: &objects.charges)
            case .release(let number): objects.reservations.removeAll { $0.id.number == number }
            case .createCap:
                guard let id = body["id"]?.text.flatMap({ PublicID(.spendCap, parsing: $0) }) else { return }
                Self.add(id, to: &objects.caps)
            case .deleteCap(let number): objects.caps.removeAll { $0.number == number }
            case .subscription:
                guard let id = body["id"]?.text.flatMap({ PublicID(.subscription, parsing: $0) }),
                    id.number >= objects.subscription?.number ?? 0
                else { return }
                objects.subscription = id
            default: return
            }
            known[operation.endUser] = objects
        }
        if operation.payment != nil {
            payments.withLock { Self.add(operation, to: &$0[operation.endUser.environment, default: []]) }
        }
    }

    private static func add<Thing>(_ thing: Thing, to objects: inout [Thing]) {
        if objects.count >= kept { objects.removeFirst() }
        objects.append(thing)
    }

    func reservations(_ endUser: EndUser) -> [Reservation] { known.withLock { $0[endUser]?.reservations ?? [] } }
    func charges(_ endUser: EndUser) -> [Charge] { known.withLock { $0[endUser]?.charges ?? [] } }
    func blocks(_ endUser: EndUser) -> [PublicID] { known.withLock { $0[endUser]?.blocks ?? [] } }
    func caps(_ endUser: EndUser) -> [PublicID] { known.withLock { $0[endUser]?.caps ?? [] } }
    /// The latest subscription that a client knows of.
    func subscription(_ endUser: EndUser) -> PublicID? { known.withLock { $0[endUser]?.subscription } }
    /// The latest answered top-ups of an environment that have payment ids.
    func payments(_ environment: Int) -> [Operation] { payments.withLock { $0[environment] ?? [] } }
}
