import Credits
import Crypto
import Glibc
import JSON
import LedgerModel

/// An environment of a tenant, with its API key and its catalogue.
struct Environment: Sendable {
    /// 0, 1, 2, …: live and test of the first tenant, live and test of the second.
    let number: Int
    /// The number of the environment in the database.
    let identifier: Int32
    let apiKey: String
    /// The catalogue. Prices differ between environments, so that a use in the wrong environment is noticed.
    let catalogue: ModelCatalogue
    /// Whether its end users can be put on test clocks.
    var isTest: Bool { number % 2 == 1 }
}

/// An end user of an environment. Several environments have end users with the same ids.
struct EndUser: Hashable, Sendable {
    let environment: Int
    let id: String
}

/// One mutation that a client wants, under its own key. Every repetition sends the same request.
struct Operation: Sendable {
    enum Action: Sendable {
        /// A command for the model, and the id of its subject: a reservation, a block, a charge, a spend cap, a
        /// subscription or the test clock of a new end user.
        case account(ModelCommand, about: PublicID?)
        case makeClock(Instant)
        case advanceClock(PublicID, to: Instant)
        /// A change of the catalogue that has no effect on any account.
        case nameFeature(feature: String, name: String)
    }

    let endUser: EndUser
    let action: Action
    let key: String
    /// A value that is sent as metadata and must not appear in any log.
    let canary: String?
    /// The instant that the end user's test clock shows; nil for end users of real time.
    let clock: Instant?

    init(
        _ endUser: EndUser, _ command: ModelCommand, about: PublicID? = nil, key: String, canary: String? = nil,
        clock: Instant? = nil
    ) {
        self.init(
            endUser: endUser, action: .account(command, about: about), key: key, canary: canary, clock: clock)
    }

    init(endUser: EndUser, action: Action, key: String, canary: String? = nil, clock: Instant? = nil) {
        self.endUser = endUser
        self.action = action
        self.key = key
        self.canary = canary
        self.clock = clock
    }

    /// The command for an account; nil when the operation concerns no account.
    var command: ModelCommand? {
        if case .account(let command, _) = action { command } else { nil }
    }

    /// The payment of a top-up; nil for every other operation.
    var payment: String? {
        if case .topUp(let topUp) = command { topUp.payment } else { nil }
    }

    /// The receiver of a transfer; nil for every other operation.
    var receiver: EndUser? {
        guard case .transfer(let other, _) = command else { return nil }
        return EndUser(environment: endUser.environment, id: other)
    }

    /// The ledger's id of the command: the first 128 bits of SHA-256 over the environment and the key.
    func commandID(_ environments: [Environment]) -> Bits128 {
        commandIdentifier(environment: environments[endUser.environment].identifier, key: key)
    }
}

/// See `Operation.commandID`.
func commandIdentifier(environment: Int32, key: String) -> Bits128 {
    SHA256.hash(data: Array("\(environment)\n\(key)".utf8)).withUnsafeBytes { digest in
        Bits128(
            high: UInt64(bigEndian: digest.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
            low: UInt64(bigEndian: digest.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }
}

extension Instant {
    /// The present time of the clock that this process shares with the servers on the machine.
    static var now: Instant {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Instant(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000)
    }
}
