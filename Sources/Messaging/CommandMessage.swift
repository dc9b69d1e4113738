package import Credits
import Ledger
import Metering

/// One message of a command queue: the requests that were waiting for it. The format is versioned by its first byte.
package struct CommandMessage: Hashable, Sendable {
    private static let version: UInt8 = 2
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

    private mutating func write(_ bits: Bits128) {
        write(bits.high)
        write(bits.low)
    }

    private mutating func write(_ instant: Instant) {
        write(instant.microseconds)
    }

    private mutating func write(_ metadata: Metadata?) {
        write(metadata?.canonicalJSON)
    }

    private mutating func write(_ action: AccountAction) {
        switch action {
        case .use(let event):
            write(UInt8(1))
            write(event.featureKey.rawValue)
            write(event.units)
            write(event.occurredAt) { $0.write($1 as Instant) }
            write(event.metadata)
        case .grant(let grant):
            write(UInt8(2))
            write(grant.credits.rawValue)
            write(grant.source.rawValue)
            write(grant.priority) { $0.write($1 as Int16) }
            switch grant.expiry {
            case .never: write(UInt8(0))
            case .at(let instant):
                write(UInt8(1))
                write(instant)
            case .after(let duration):
                write(UInt8(2))
                write(duration)
            }
            write(count: grant.featureKeys.count)
            for key in grant.featureKeys { write(key.rawValue) }
            write(grant.reason)
            write(grant.metadata)
        case .createEndUser(let change):
            write(UInt8(3))
            write(change)
        case .updateEndUser(let change):
            write(UInt8(4))
            write(change)
        case .advance: write(UInt8(5))
        }
    }

    private mutating func write(_ change: EndUserChange) {
        write(change.name) { $0.write($1 as String?) }
        write(change.metadata) { $0.write($1 as Metadata?) }
    }

    private mutating func write<Value>(_ change: FieldChange<Value>, _ body: (inout ByteWriter, Value?) -> Void) {
        switch change {
        case .keep: write(false)
        case .set(let value):
            write(true)
            body(&self, value)
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
        case .createFeature(let key, let name, let unitName):
            write(UInt8(4))
            write(key.rawValue)
            write(name)
            write(unitName)
        case .updateFeature(let key, let change):
            write(UInt8(5))
            write(key.rawValue)
            write(change.name)
            write(change.unitName)
            write(change.isArchived) { $0.write($1 as Bool) }
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
        case .createPackage(let package):
            write(UInt8(9))
            write(package)
        case .updatePackage(let key, let change):
            write(UInt8(10))
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

    private mutating func write(_ duration: CalendarDuration) {
        write(duration.months)
        write(duration.seconds)
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
                guard let endUserID = EndUserID(try string()) else { throw .invalid(field: "end user id") }
                list.append(AccountCommand(identity: identity, endUserID: endUserID, action: try accountAction()))
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

    private mutating func bits128() throws(CodingError) -> Bits128 {
        Bits128(high: try integer(), low: try integer())
    }

    private mutating func instant() throws(CodingError) -> Instant {
        Instant(microseconds: try integer())
    }

    private mutating func metadata() throws(CodingError) -> Metadata? {
        try optionalString().map { Metadata(canonicalJSON: $0) }
    }

    private mutating func amount() throws(CodingError) -> Millicredits {
        do {
            return try Millicredits(try integer(Int64.self))
        } catch let error as CodingError {
            throw error
        } catch {
            throw .invalid(field: "amount")
        }
    }

    private mutating func featureKey() throws(CodingError) -> FeatureKey {
        guard let key = FeatureKey(try string()) else { throw .invalid(field: "feature key") }
        return key
    }

    private mutating func accountAction() throws(CodingError) -> AccountAction {
        switch try integer(UInt8.self) {
        case 1:
            let event = UsageEvent(
                featureKey: try featureKey(), units: try integer(),
                occurredAt: try optional { (reader) throws(CodingError) in try reader.instant() },
                metadata: try metadata())
            guard event.units >= 0 else { throw .invalid(field: "number of units") }
            return .use(event)
        case 2: return .grant(try grant())
        case 3: return .createEndUser(try endUserChange())
        case 4: return .updateEndUser(try endUserChange())
        case 5: return .advance
        default: throw .invalid(field: "action")
        }
    }

    private mutating func grant() throws(CodingError) -> Grant {
        let credits = try amount()
        guard let source = BlockSource(rawValue: try string()) else { throw .invalid(field: "source") }
        let priority: Int16? = try optional { (reader) throws(CodingError) in try reader.integer() }
        let expiry: Grant.Expiry
        switch try integer(UInt8.self) {
        case 0: expiry = .never
        case 1: expiry = .at(try instant())
        case 2:
            expiry = .after(try duration())
        default: throw .invalid(field: "expiry")
        }
        var featureKeys: [FeatureKey] = []
        for _ in 0..<(try count()) { featureKeys.append(try featureKey()) }
        guard credits > .zero, priority.map({ (0...100).contains($0) }) ?? true else { throw .invalid(field: "grant") }
        return Grant(
            credits: credits, source: source, priority: priority, expiry: expiry, featureKeys: featureKeys,
            reason: try optionalString(), metadata: try metadata())
    }

    private mutating func endUserChange() throws(CodingError) -> EndUserChange {
        EndUserChange(
            name: try fieldChange { (reader) throws(CodingError) in try reader.optionalString() },
            metadata: try fieldChange { (reader) throws(CodingError) in try reader.metadata() })
    }

    private mutating func fieldChange<Value>(
        _ body: (inout ByteReader) throws(CodingError) -> Value?
    ) throws(CodingError) -> FieldChange<Value> {
        try boolean() ? .set(try body(&self)) : .keep
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
        case 4: return .createFeature(key: try featureKey(), name: try string(), unitName: try optionalString())
        case 5:
            let key = try featureKey()
            let change = FeatureChange(
                name: try optionalString(), unitName: try optionalString(),
                isArchived: try optional { (reader) throws(CodingError) in try reader.boolean() })
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
                    failClosedOverMilliseconds: try setting(in: EnvironmentConfig.failClosedLimits)))
        case 9: return .createPackage(try topupPackage())
        case 10: return .updatePackage(key: try packageKey(), try packageChange())
        default: throw .invalid(field: "catalogue action")
        }
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

    private mutating func duration() throws(CodingError) -> CalendarDuration {
        guard let duration = CalendarDuration(months: try integer(), seconds: try integer()) else {
            throw .invalid(field: "duration")
        }
        return duration
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
