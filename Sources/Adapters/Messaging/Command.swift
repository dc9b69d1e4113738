package import Credits
package import Ledger
package import Metering

/// What identifies a command for ever, and what its idempotency key promised.
package struct CommandIdentity: Hashable, Sendable {
    /// Unique for ever inside an environment. A client's idempotency key maps to it.
    package let id: Bits128
    /// Nil when the client gave none.
    package let idempotencyKey: IdempotencyKey?

    package init(id: Bits128, idempotencyKey: IdempotencyKey?) {
        self.id = id
        self.idempotencyKey = idempotencyKey
    }
}

/// A client's name for a request, and what the request was.
package struct IdempotencyKey: Hashable, Sendable {
    package static let maximumBytes = 255

    /// 1 to 255 bytes, as the client sent it.
    package let text: String
    /// The first 128 bits of SHA-256 over method, path and canonical body: the same key with another is another request.
    package let fingerprint: Bits128

    package init(text: String, fingerprint: Bits128) {
        self.text = text
        self.fingerprint = fingerprint
    }
}

/// A command to one end user's account.
package struct AccountCommand: Hashable, Sendable {
    package let identity: CommandIdentity
    package let endUserID: EndUserID
    package let action: AccountAction

    package init(identity: CommandIdentity, endUserID: EndUserID, action: AccountAction) {
        self.identity = identity
        self.endUserID = endUserID
        self.action = action
    }
}

/// A command to the catalogue of an environment, or to the installation.
package struct CatalogueCommand: Hashable, Sendable {
    package let identity: CommandIdentity
    package let action: CatalogueAction

    package init(identity: CommandIdentity, action: CatalogueAction) {
        self.identity = identity
        self.action = action
    }
}

/// What a catalogue command asks for.
package enum CatalogueAction: Hashable, Sendable {
    /// A tenant with its live and test environment and one key for each.
    case createTenant(name: String, liveKey: NewKey, testKey: NewKey)
    /// - `grantor`: The rights of the key that asks; the new key cannot have more.
    case createKey(name: String, NewKey, KeyRights, grantor: KeyRights)
    case revokeKey(id: Bits128)
    /// A new key with the name and the rights of another, which ends after the overlap.
    case rollKey(id: Bits128, NewKey, overlapSeconds: Int64, grantor: KeyRights)
    case createFeature(NewFeature)
    case updateFeature(key: FeatureKey, FeatureChange)
    case createRule(featureKey: FeatureKey, price: Price, effectiveFrom: Instant?)
    case createPackage(TopupPackage)
    case updatePackage(key: PackageKey, PackageChange)
    case updateConfig(ConfigChange)
    case createTestClock(now: Instant)
    case advanceTestClock(id: Bits128, to: Instant)
}

/// An API key as the ledger sees it: the secret stays with the caller.
package struct NewKey: Hashable, Sendable {
    /// SHA-256 of the key's text.
    package let hash: [UInt8]
    /// The last characters of the key, to recognise it by.
    package let hint: String

    package init(hash: [UInt8], hint: String) {
        self.hash = hash
        self.hint = hint
    }
}

/// A feature to be made.
package struct NewFeature: Hashable, Sendable {
    package var key: FeatureKey
    package var name: String
    package var type: FeatureType
    package var unitName: String?
    /// Of a metered feature only.
    package var quota: Quota?

    package init(key: FeatureKey, name: String, type: FeatureType, unitName: String? = nil, quota: Quota? = nil) {
        self.key = key
        self.name = name
        self.type = type
        self.unitName = unitName
        self.quota = quota
    }
}

/// What a feature shall say; nil leaves a field as it is.
package struct FeatureChange: Hashable, Sendable {
    package var name: String?
    package var unitName: String?
    package var isArchived: Bool?
    package var quota: FieldChange<Quota>

    package init(
        name: String? = nil, unitName: String? = nil, isArchived: Bool? = nil, quota: FieldChange<Quota> = .keep
    ) {
        self.name = name
        self.unitName = unitName
        self.isArchived = isArchived
        self.quota = quota
    }
}

/// What a top-up package shall say; nil leaves a field as it is.
package struct PackageChange: Hashable, Sendable {
    package var name: String?
    package var credits: Millicredits?
    package var price: Int64?
    package var currency: String?
    package var expiresAfter: FieldChange<CalendarDuration>
    package var priority: FieldChange<Int16>
    package var isArchived: Bool?

    package init(
        name: String? = nil, credits: Millicredits? = nil, price: Int64? = nil, currency: String? = nil,
        expiresAfter: FieldChange<CalendarDuration> = .keep, priority: FieldChange<Int16> = .keep,
        isArchived: Bool? = nil
    ) {
        self.name = name
        self.credits = credits
        self.price = price
        self.currency = currency
        self.expiresAfter = expiresAfter
        self.priority = priority
        self.isArchived = isArchived
    }

    /// The package after the change.
    package func applied(to package: TopupPackage) -> TopupPackage {
        TopupPackage(
            key: package.key, name: name ?? package.name, credits: credits ?? package.credits,
            price: price ?? package.price, currency: currency ?? package.currency,
            expiresAfter: expiresAfter.applied(to: package.expiresAfter),
            priority: priority.applied(to: package.priority), isArchived: isArchived ?? package.isArchived)
    }
}

/// What an environment's config shall say.
package struct ConfigChange: Hashable, Sendable {
    package var rateLimitPerSecond: FieldChange<Int32>
    package var failClosedOverMilliseconds: FieldChange<Int32>
    package var overagePolicy: FieldChange<OveragePolicy>
    package var overageLimit: FieldChange<Millicredits>
    /// The name of a time zone; whether there is one of that name is for the database to say.
    package var timeZone: FieldChange<String>

    package init(
        rateLimitPerSecond: FieldChange<Int32> = .keep, failClosedOverMilliseconds: FieldChange<Int32> = .keep,
        overagePolicy: FieldChange<OveragePolicy> = .keep, overageLimit: FieldChange<Millicredits> = .keep,
        timeZone: FieldChange<String> = .keep
    ) {
        self.rateLimitPerSecond = rateLimitPerSecond
        self.failClosedOverMilliseconds = failClosedOverMilliseconds
        self.overagePolicy = overagePolicy
        self.overageLimit = overageLimit
        self.timeZone = timeZone
    }
}

/// The commands that one HTTP request sends to one queue, in order.
package struct CommandRequest: Hashable, Sendable {
    package enum Commands: Hashable, Sendable {
        case account([AccountCommand])
        case catalogue(CatalogueCommand)

        /// The number of results that the request will get.
        package var count: Int {
            switch self {
            case .account(let commands): commands.count
            case .catalogue: 1
            }
        }

        /// What identifies the commands, in order.
        package var identities: [CommandIdentity] {
            switch self {
            case .account(let commands): commands.map(\.identity)
            case .catalogue(let command): [command.identity]
            }
        }
    }

    /// The sender's own number, given back in the reply.
    package let token: UInt64
    package let requestID: String
    /// W3C trace context, as the client sent it.
    package let traceParent: String?
    package let actor: Actor
    /// The scope of the idempotency keys; 0 is the installation itself.
    package let environmentID: EnvironmentID
    /// False when the sender needs a successful use's id only, as in a batch.
    package let wantsBodies: Bool
    package let commands: Commands

    package init(
        token: UInt64, requestID: String, traceParent: String?, actor: Actor, environmentID: EnvironmentID,
        wantsBodies: Bool, commands: Commands
    ) {
        self.token = token
        self.requestID = requestID
        self.traceParent = traceParent
        self.actor = actor
        self.environmentID = environmentID
        self.wantsBodies = wantsBodies
        self.commands = commands
    }
}

/// The environment id that stands for the installation: tenants are made there.
extension EnvironmentID {
    package static let installation = EnvironmentID(0)
}
