import Credits
import Crypto
import Glibc
import JSON
import LedgerModel

/// One side of a tenant: a key to call with, and what is sold there.
struct Environment: Sendable {
    /// 0, 1, 2, …: live and test of the first tenant, live and test of the second.
    let number: Int
    /// As the database numbers it.
    let identifier: Int32
    let apiKey: String
    /// What it sells. The prices differ from environment to environment, so that a use that lands in the wrong one shows.
    let catalogue: ModelCatalogue
}

/// An end user of an environment; end users of several environments have the same ids.
struct EndUser: Hashable, Sendable {
    let environment: Int
    let id: String
}

/// One mutation that a client wants, under its own key: what is sent the same way however often it is repeated.
struct Operation: Sendable {
    enum Action: Sendable {
        /// What the model can be asked, and the id of what it is about: a reservation, a block, a charge or a cap.
        case account(ModelCommand, about: PublicID?)
        /// Changes the catalogue, in a way that no account feels.
        case nameFeature(feature: String, name: String)
    }

    let endUser: EndUser
    let action: Action
    let key: String
    /// Goes with it as metadata, and must not be seen in any log.
    let canary: String?

    init(_ endUser: EndUser, _ command: ModelCommand, about: PublicID? = nil, key: String, canary: String? = nil) {
        self.init(endUser: endUser, action: .account(command, about: about), key: key, canary: canary)
    }

    init(endUser: EndUser, action: Action, key: String, canary: String?) {
        self.endUser = endUser
        self.action = action
        self.key = key
        self.canary = canary
    }

    /// What is asked of an account; nil for what concerns none.
    var command: ModelCommand? {
        if case .account(let command, _) = action { command } else { nil }
    }

    /// The payment that a top-up is for.
    var payment: String? {
        if case .topUp(let topUp) = command { topUp.payment } else { nil }
    }

    /// The other side of a transfer.
    var receiver: EndUser? {
        guard case .transfer(let other, _) = command else { return nil }
        return EndUser(environment: endUser.environment, id: other)
    }

    /// What the ledger calls the command: the first 128 bits of SHA-256 over the environment and the key.
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
    /// The clock that the servers on this machine share with us.
    static var now: Instant {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Instant(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000)
    }
}
