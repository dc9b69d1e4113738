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
    let features: [String: ModelLedger.Feature]
}

/// An end user of an environment; end users of several environments have the same ids.
struct EndUser: Hashable, Sendable {
    let environment: Int
    let id: String
}

/// One mutation that a client wants, under its own key: what is sent the same way however often it is repeated.
struct Operation: Sendable {
    enum Action: Sendable {
        case use(feature: String, units: Int64, occurredAt: Instant?)
        case grant(credits: Int64, priority: Int64?, expiry: Expiry, features: [String])
        /// Makes the end user if need be, and sets the name.
        case create(name: String)
        /// Sets the name of an end user who exists.
        case rename(name: String?)
        /// Changes the catalogue, in a way that no account feels.
        case nameFeature(feature: String, name: String)
    }

    enum Expiry: Sendable {
        case never
        case at(Instant)
        case after(seconds: Int64)
    }

    let endUser: EndUser
    let action: Action
    let key: String
    /// Goes with it as metadata, and must not be seen in any log.
    let canary: String?

    var method: String {
        switch action {
        case .rename, .nameFeature: "PATCH"
        case .use, .grant, .create: "POST"
        }
    }

    /// Whether it is an account's own, and so in its ledger or not.
    var isOfAnAccount: Bool { if case .nameFeature = action { false } else { true } }

    var path: String {
        switch action {
        case .use: "/v1/usage"
        case .grant: "/v1/credits/grant"
        case .create: "/v1/end-users"
        case .rename: "/v1/end-users/\(endUser.id)"
        case .nameFeature(let feature, _): "/v1/features/\(feature)"
        }
    }

    /// The body; with the key in it, as an event of a batch.
    func body(withKey: Bool = false) -> JSONValue {
        let metadata: JSONValue? = canary.map { .members([("note", .string($0))]) }
        switch action {
        case .use(let feature, let units, let occurredAt):
            return .members([
                ("end_user_id", .string(endUser.id)), ("feature_key", .string(feature)), ("units", .integer(units)),
                ("occurred_at", occurredAt.map { .string($0.description) }), ("metadata", metadata),
                ("idempotency_key", withKey ? .string(key) : nil),
            ])
        case .grant(let credits, let priority, let expiry, let features):
            var (expiresAt, expiresAfter): (JSONValue?, JSONValue?)
            switch expiry {
            case .never: break
            case .at(let instant): expiresAt = .string(instant.description)
            case .after(let seconds): expiresAfter = .string("PT\(seconds)S")
            }
            return .members([
                ("end_user_id", .string(endUser.id)), ("credits", .integer(credits)),
                ("priority", priority.map { .integer($0) }), ("expires_at", expiresAt), ("expires_after", expiresAfter),
                ("feature_keys", features.isEmpty ? nil : .array(features.map { .string($0) })), ("metadata", metadata),
            ])
        case .create(let name):
            return .members([("end_user_id", .string(endUser.id)), ("name", .string(name)), ("metadata", metadata)])
        case .rename(let name):
            return .members([("name", name.map { .string($0) } ?? .null)])
        case .nameFeature(_, let name):
            return .members([("name", .string(name))])
        }
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
