package import Credits
import Ledger
import Metering

/// One message of a command queue: the requests that were waiting for it. The format is versioned by its first byte.
package struct CommandMessage: Hashable, Sendable {
    private static let version: UInt8 = 3
    /// When it was sent, by the sender's clock.
    package let sentAt: Instant
    package var requests: [CommandRequest]

    package init(sentAt: Instant, requests: [CommandRequest]) {
        self.sentAt = sentAt
        self.requests = requests
    }

    package func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 4_096)
        writer.write(Self.version)
        writer.write(sentAt.microseconds)
        writer.write(count: requests.count)
        for request in requests { writer.write(request) }
        return writer.bytes
    }

    /// - Throws: `CodingError` for anything that `encoded` does not make.
    package init(decoding bytes: [UInt8]) throws(CodingError) {
        var reader = ByteReader(bytes)
        let version = try reader.integer(UInt8.self)
        guard version == Self.version else { throw .unsupportedVersion(version) }
        sentAt = Instant(microseconds: try reader.integer())
        requests = []
        for _ in 0..<(try reader.count()) { requests.append(try reader.commandRequest()) }
        try reader.finish()
    }
}

/// One message of a reply queue.
package struct ReplyMessage: Hashable, Sendable {
    private static let version: UInt8 = 1
    package var replies: [CommandReply]

    package init(replies: [CommandReply]) {
        self.replies = replies
    }

    package func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 4_096)
        writer.write(Self.version)
        writer.write(count: replies.count)
        for reply in replies {
            writer.write(reply.token)
            writer.write(count: reply.results.count)
            for result in reply.results {
                writer.write(result.status)
                writer.write(result.isReplay)
                writer.write(result.position)
                writer.write(result.body)
            }
        }
        return writer.bytes
    }

    /// - Throws: `CodingError` for anything that `encoded` does not make.
    package init(decoding bytes: [UInt8]) throws(CodingError) {
        var reader = ByteReader(bytes)
        let version = try reader.integer(UInt8.self)
        guard version == Self.version else { throw .unsupportedVersion(version) }
        replies = []
        for _ in 0..<(try reader.count()) {
            let token = try reader.integer(UInt64.self)
            var results: [CommandResult] = []
            for _ in 0..<(try reader.count()) {
                results.append(
                    CommandResult(
                        status: try reader.integer(), isReplay: try reader.boolean(), position: try reader.position(),
                        body: try reader.byteArray()))
            }
            replies.append(CommandReply(token: token, results: results))
        }
        try reader.finish()
    }
}

// MARK: - Parts

extension ByteWriter {
    fileprivate mutating func write(_ request: CommandRequest) {
        write(request.token)
        write(request.requestID)
        write(request.traceParent)
        write(request.actor.keyID) { $0.write($1 as Bits128) }
        write(request.actor.address)
        write(request.environmentID.rawValue)
        write(request.wantsBodies)
        switch request.commands {
        case .account(let commands):
            write(UInt8(1))
            write(count: commands.count)
            for command in commands {
                write(command.identity)
                write(command.endUserID.rawValue)
                write(command.action)
            }
        case .catalogue(let command):
            write(UInt8(2))
            write(command.identity)
            write(command.action)
        }
    }

    private mutating func write(_ identity: CommandIdentity) {
        write(identity.id)
        write(identity.idempotencyKey) { writer, key in
            writer.write(key.text)
            writer.write(key.fingerprint)
        }
    }

    fileprivate mutating func write(_ position: Position) {
        switch position {
        case .none: write(UInt8(0))
        case .account(let account, let revision):
            write(UInt8(1))
            write(account.rawValue)
            write(revision)
        case .catalogue(let environment, let version):
            write(UInt8(2))
            write(environment.rawValue)
            write(version)
        }
    }

    private mutating func write(_ action: CatalogueAction) {
        switch action {
        case .createTenant(let name, let liveKey, let testKey):
            write(UInt8(1))
            write(name)
            write(liveKey)
            write(testKey)
        case .createKey(let name, let key, let rights, let grantor):
            write(UInt8(2))
            write(name)
            write(key)
            write(rights)
            write(grantor)
        case .revokeKey(let id):
            write(UInt8(3))
            write(id)
        case .createFeature(let feature):
            write(UInt8(4))
            write(feature.key.rawValue)
            write(feature.name)
            write(feature.type.rawValue)
            write(feature.unitName)
            write(feature.quota?.canonicalJSON)
        case .updateFeature(let key, let change):
            write(UInt8(5))
            write(key.rawValue)
            write(change.name)
            write(change.unitName)
            write(change.isArchived) { $0.write($1 as Bool) }
            write(change.quota) { $0.write($1?.canonicalJSON) }
        case .createRule(let featureKey, let price, let effectiveFrom):
            write(UInt8(6))
            write(featureKey.rawValue)
            write(price.canonicalJSON)
            write(effectiveFrom) { $0.write($1 as Instant) }
        case .rollKey(let id, let key, let overlapSeconds, let grantor):
            write(UInt8(7))
            write(id)
            write(key)
            write(overlapSeconds)
            write(grantor)
        case .updateConfig(let change):
            write(UInt8(8))
            for setting in [change.rateLimitPerSecond, change.failClosedOverMilliseconds] {
                write(setting) { writer, value in writer.write(value) { $0.write($1 as Int32) } }
            }
            write(change.overagePolicy) { $0.write($1?.rawValue) }
            write(change.overageLimit) { writer, value in writer.write(value) { $0.write($1.rawValue) } }
            write(change.timeZone) { $0.write($1 as String?) }
        case .createTestClock(let now):
            write(UInt8(9))
            write(now)
        case .advanceTestClock(let id, let instant):
            write(UInt8(10))
            write(id)
            write(instant)
        case .createPackage(let package):
            write(UInt8(11))
            write(package)
        case .updatePackage(let key, let change):
            write(UInt8(12))
            write(key.rawValue)
            write(change)
        }
    }

    private mutating func write(_ package: TopupPackage) {
        write(package.key.rawValue)
        write(package.name)
        write(package.credits.rawValue)
        write(package.price)
        write(package.currency)
        write(package.expiresAfter) { $0.write($1 as CalendarDuration) }
        write(package.priority) { $0.write($1 as Int16) }
        write(package.isArchived)
    }

    private mutating func write(_ change: PackageChange) {
        write(change.name)
        write(change.credits) { $0.write($1.rawValue) }
        write(change.price) { $0.write($1 as Int64) }
        write(change.currency)
        write(change.expiresAfter) { writer, value in writer.write(value) { $0.write($1 as CalendarDuration) } }
        write(change.priority) { writer, value in writer.write(value) { $0.write($1 as Int16) } }
        write(change.isArchived) { $0.write($1 as Bool) }
    }

    private mutating func write(_ key: NewKey) {
        write(key.hash)
        write(key.hint)
    }

    private mutating func write(_ rights: KeyRights) {
        write(rights.scopes.rawValue)
        write(rights.expiresAt) { $0.write($1 as Instant) }
    }
}

extension ByteReader {
    fileprivate mutating func commandRequest() throws(CodingError) -> CommandRequest {
        let token = try integer(UInt64.self)
        let requestID = try string()
        let traceParent = try optionalString()
        let actor = Actor(
            keyID: try optional { (reader) throws(CodingError) in try reader.bits128() },
            address: try optionalString())
        let environmentID = EnvironmentID(try integer())
        let wantsBodies = try boolean()
        let commands: CommandRequest.Commands
        switch try integer(UInt8.self) {
        case 1:
            var list: [AccountCommand] = []
            for _ in 0..<(try count()) {
                let identity = try commandIdentity()
                let endUserID = try endUserID()
                let action = try accountAction()
                if case .transfer(let transfer) = action, transfer.receiver == endUserID {
                    throw .invalid(field: "receiver of a transfer")
                }
                list.append(AccountCommand(identity: identity, endUserID: endUserID, action: action))
            }
            commands = .account(list)
        case 2:
            commands = .catalogue(CatalogueCommand(identity: try commandIdentity(), action: try catalogueAction()))
        default: throw .invalid(field: "kind of command")
        }
        return CommandRequest(
            token: token, requestID: requestID, traceParent: traceParent, actor: actor, environmentID: environmentID,
            wantsBodies: wantsBodies, commands: commands)
    }

    private mutating func commandIdentity() throws(CodingError) -> CommandIdentity {
        CommandIdentity(
            id: try bits128(),
            idempotencyKey: try optional { (reader) throws(CodingError) in
                IdempotencyKey(text: try reader.string(), fingerprint: try reader.bits128())
            })
    }

    fileprivate mutating func position() throws(CodingError) -> Position {
        switch try integer(UInt8.self) {
        case 0: return .none
        case 1: return .account(AccountID(try integer()), revision: try integer())
        case 2: return .catalogue(EnvironmentID(try integer()), version: try integer())
        default: throw .invalid(field: "position")
        }
    }

    private mutating func setting(in range: ClosedRange<Int64>) throws(CodingError) -> FieldChange<Int32> {
        try fieldChange { (reader) throws(CodingError) in
            let value: Int32? = try reader.optional { (reader) throws(CodingError) in try reader.integer() }
            guard value.map({ range.contains(Int64($0)) }) ?? true else { throw .invalid(field: "setting") }
            return value
        }
    }

    private mutating func catalogueAction() throws(CodingError) -> CatalogueAction {
        switch try integer(UInt8.self) {
        case 1: return .createTenant(name: try string(), liveKey: try newKey(), testKey: try newKey())
        case 2: return .createKey(name: try string(), try newKey(), try keyRights(), grantor: try keyRights())
        case 3: return .revokeKey(id: try bits128())
        case 4: return .createFeature(try newFeature())
        case 5:
            let key = try featureKey()
            let change = FeatureChange(
                name: try optionalString(), unitName: try optionalString(),
                isArchived: try optional { (reader) throws(CodingError) in try reader.boolean() },
                quota: try fieldChange { (reader) throws(CodingError) in try reader.quota() })
            return .updateFeature(key: key, change)
        case 6:
            let key = try featureKey()
            return .createRule(
                featureKey: key, price: try price(),
                effectiveFrom: try optional { (reader) throws(CodingError) in try reader.instant() })
        case 7:
            return .rollKey(
                id: try bits128(), try newKey(), overlapSeconds: try integer(), grantor: try keyRights())
        case 8:
            return .updateConfig(
                ConfigChange(
                    rateLimitPerSecond: try setting(in: EnvironmentConfig.rateLimits),
                    failClosedOverMilliseconds: try setting(in: EnvironmentConfig.failClosedLimits),
                    overagePolicy: try fieldChange { (reader) throws(CodingError) in try reader.overagePolicy() },
                    overageLimit: try fieldChange { (reader) throws(CodingError) in try reader.overageLimit() },
                    timeZone: try fieldChange { (reader) throws(CodingError) in try reader.optionalString() }))
        case 9: return .createTestClock(now: try instant())
        case 10: return .advanceTestClock(id: try bits128(), to: try instant())
        case 11: return .createPackage(try topupPackage())
        case 12: return .updatePackage(key: try packageKey(), try packageChange())
        default: throw .invalid(field: "catalogue action")
        }
    }

    private mutating func newFeature() throws(CodingError) -> NewFeature {
        let key = try featureKey()
        let name = try string()
        guard let type = FeatureType(rawValue: try string()) else { throw .invalid(field: "type of feature") }
        return NewFeature(key: key, name: name, type: type, unitName: try optionalString(), quota: try quota())
    }

    private mutating func quota() throws(CodingError) -> Quota? {
        guard let text = try optionalString() else { return nil }
        guard let quota = try? Quota(json: text) else { throw .invalid(field: "quota") }
        return quota
    }

    private mutating func overagePolicy() throws(CodingError) -> OveragePolicy? {
        guard let text = try optionalString() else { return nil }
        guard let policy = OveragePolicy(rawValue: text) else { throw .invalid(field: "overage policy") }
        return policy
    }

    private mutating func overageLimit() throws(CodingError) -> Millicredits? {
        let limit = try optional { (reader) throws(CodingError) in try reader.amount() }
        guard limit.map({ $0 >= .zero }) ?? true else { throw .invalid(field: "overage limit") }
        return limit
    }

    private mutating func price() throws(CodingError) -> Price {
        let text = try string()
        guard let price = try? Price(json: text) else { throw .invalid(field: "price") }
        return price
    }

    private mutating func packageKey() throws(CodingError) -> PackageKey {
        guard let key = PackageKey(try string()) else { throw .invalid(field: "package key") }
        return key
    }

    private mutating func topupPackage() throws(CodingError) -> TopupPackage {
        let package = TopupPackage(
            key: try packageKey(), name: try string(), credits: try amount(), price: try integer(),
            currency: try string(),
            expiresAfter: try optional { (reader) throws(CodingError) in try reader.duration() },
            priority: try optional { (reader) throws(CodingError) in try reader.integer() }, isArchived: try boolean())
        guard package.credits > .zero, package.price >= 0 else { throw .invalid(field: "package") }
        return package
    }

    private mutating func packageChange() throws(CodingError) -> PackageChange {
        PackageChange(
            name: try optionalString(),
            credits: try optional { (reader) throws(CodingError) in try reader.amount() },
            price: try optional { (reader) throws(CodingError) in try reader.integer() },
            currency: try optionalString(),
            expiresAfter: try fieldChange { (reader) throws(CodingError) in
                try reader.optional { (reader) throws(CodingError) in try reader.duration() }
            },
            priority: try fieldChange { (reader) throws(CodingError) in
                try reader.optional { (reader) throws(CodingError) in try reader.integer() }
            },
            isArchived: try optional { (reader) throws(CodingError) in try reader.boolean() })
    }

    private mutating func newKey() throws(CodingError) -> NewKey {
        NewKey(hash: try byteArray(), hint: try string())
    }

    private mutating func keyRights() throws(CodingError) -> KeyRights {
        KeyRights(
            scopes: KeyScopes(rawValue: try integer()),
            expiresAt: try optional { (reader) throws(CodingError) in try reader.instant() })
    }
}
