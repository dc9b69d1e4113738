import Credits
import JSON
import Messaging
import Metering
import Postgres
import Answers
import Storage

/// Applies one catalogue command in a transaction of its own.
struct CatalogueChange {
    let environmentID: EnvironmentID
    let requestID: String
    private let actor: Actor
    let command: CatalogueCommand
    let connection: PostgresConnection

    private init(_ command: CatalogueCommand, of request: CommandRequest, on connection: PostgresConnection) {
        self.command = command
        environmentID = request.environmentID
        requestID = request.requestID
        actor = request.actor
        self.connection = connection
    }

    static func apply(
        _ command: CatalogueCommand, of request: CommandRequest, on connection: PostgresConnection
    ) async throws -> CommandResult {
        let change = CatalogueChange(command, of: request, on: connection)
        _ = try await connection.run(PostgresQuery("begin"))
        return try await change.run()
    }

    private var key: CommandKey { CommandKey(environmentID: environmentID, id: command.identity.id) }

    private func run() async throws -> CommandResult {
        var environment: (version: Int64, kind: EnvironmentKind)?
        if environmentID != .installation {
            environment = try await CatalogueStore.lock(environmentID, on: connection)
        }
        let fingerprint = command.identity.idempotencyKey?.fingerprint
        let earlier = try await CommandStore.find(key, on: connection)
        if let earlier, !earlier.makesRoom(for: fingerprint) {
            try await CatalogueStore.finish(nil, raising: nil, on: connection)
            return replay(earlier)
        }
        let now = try await CatalogueStore.now(on: connection)
        var created: EnvironmentID?
        let answer = try await decide(environment?.kind, created: &created, now: now)
        let isChange = (200..<300).contains(answer.status)
        let version = isChange && environment != nil ? (environment?.version ?? 0) + 1 : 0
        let decision = NewDecision(
            key: key, fingerprint: fingerprint, status: answer.status, accountID: nil,
            revision: created.map { Int64($0.rawValue) } ?? version, answer: .body(answer.body), decidedAt: now,
            action: AuditAction(command.action), actor: actor, requestID: requestID, replacesMalformed: earlier != nil)
        try await CatalogueStore.finish(
            decision, raising: version > 0 ? environmentID : nil, on: connection)
        var position = version > 0 ? Position.catalogue(environmentID, version: version) : .none
        if let created { position = .catalogue(created, version: 1) }
        return CommandResult(status: answer.status, isReplay: false, position: position, body: answer.body)
    }

    private func replay(_ earlier: DecidedCommand) -> CommandResult {
        guard earlier.fingerprint == command.identity.idempotencyKey?.fingerprint, case .body(let body) = earlier.answer
        else {
            let answer = Answer(.keyReuse, requestID: requestID)
            return CommandResult(status: answer.status, isReplay: false, position: .none, body: answer.body)
        }
        return CommandResult(status: earlier.status, isReplay: true, position: earlier.position, body: body)
    }

    /// - Parameter created: Set to the environment that a new tenant's first caller will ask for.
    private func decide(
        _ kind: EnvironmentKind?, created: inout EnvironmentID?, now: Instant
    ) async throws -> Answer {
        switch command.action {
        case .createTenant(let name, let liveKey, let testKey):
            let tenant = TenantRecord(id: newID(at: now, 0), name: name, createdAt: now)
            created = try await CatalogueStore.insertTenant(
                tenant, keys: [.live: (newID(at: now, 1), liveKey), .test: (newID(at: now, 2), testKey)],
                on: connection)
            return answer(201) { $0.tenant(tenant) }
        case .createKey(let name, let key, let rights, let grantor):
            return try await createKey(name, key, rights, grantor: grantor, kind: kind, now: now)
        case .revokeKey(let id): return try await revokeKey(id, now: now)
        case .rollKey(let id, let key, let overlapSeconds, let grantor):
            return try await rollKey(id, key, overlapSeconds: overlapSeconds, grantor: grantor, now: now)
        case .createFeature(let feature): return try await createFeature(feature, now: now)
        case .updateFeature(let key, let change): return try await updateFeature(key, change, now: now)
        case .createRule(let featureKey, let price, let effectiveFrom):
            return try await createRule(featureKey, price: price, effectiveFrom: effectiveFrom ?? now, now: now)
        case .createPackage(let package): return try await createPackage(package, now: now)
        case .updatePackage(let key, let change):
            let updated = try await PackageStore.update(
                key, change, environmentID: environmentID, now: now, on: connection)
            guard let updated else { return unknownPackage(key) }
            return answer(200) { $0.topupPackage(updated) }
        case .updateConfig(let change): return try await updateConfig(change)
        case .createTestClock(let instant): return try await createTestClock(instant, kind: kind, now: now)
        case .advanceTestClock(let id, let instant):
            return try await advanceTestClock(id, to: instant, kind: kind, now: now)
        }
    }

    private func createFeature(_ new: NewFeature, now: Instant) async throws -> Answer {
        guard try await CatalogueReads.feature(new.key, environmentID: environmentID, on: connection) == nil else {
            let problem = Problem(
                .conflict,
                "There is a feature \(new.key.rawValue) already. Change it with PATCH, or choose another key.",
                errors: [Problem.FieldError(pointer: "/key", detail: "is taken")])
            return Answer(problem, requestID: requestID)
        }
        let feature = FeatureRecord(
            key: new.key, name: new.name, type: new.type, unitName: new.unitName, quota: new.quota, createdAt: now,
            updatedAt: now, archivedAt: nil)
        try await CatalogueStore.insertFeature(feature, environmentID: environmentID, on: connection)
        return answer(201) { $0.feature(feature) }
    }

    private func updateFeature(_ key: FeatureKey, _ change: FeatureChange, now: Instant) async throws -> Answer {
        if case .set(.some) = change.quota,
            let feature = try await CatalogueReads.feature(key, environmentID: environmentID, on: connection),
            feature.type != .metered
        {
            return refused(
                Problem(
                    .invalidRequest,
                    "\(key.rawValue) is a \(feature.type.rawValue) feature: only metered ones have a quota.",
                    errors: [Problem.FieldError(pointer: "/quota", detail: "is for metered features only")]))
        }
        let updated = try await CatalogueStore.updateFeature(
            key, change, environmentID: environmentID, now: now, on: connection)
        guard let updated else { return unknownFeature(key) }
        return answer(200) { $0.feature(updated) }
    }

    private func updateConfig(_ change: ConfigChange) async throws -> Answer {
        if case .set(let name?) = change.timeZone,
            try await !CatalogueStore.isTimeZone(name, on: connection)
        {
            return refused(
                Problem(
                    .invalidRequest, "There is no time zone of that name. Use one such as Europe/Berlin.",
                    errors: [Problem.FieldError(pointer: "/timezone", detail: "must be the IANA name of a time zone")]))
        }
        let config = try await CatalogueStore.updateConfig(change, environmentID: environmentID, on: connection)
        guard let config else { return noEnvironment }
        return answer(200) { $0.config(config) }
    }

    private func createRule(
        _ featureKey: FeatureKey, price: Price, effectiveFrom: Instant, now: Instant
    ) async throws -> Answer {
        guard try await CatalogueReads.feature(featureKey, environmentID: environmentID, on: connection) != nil else {
            return unknownFeature(featureKey)
        }
        let version = try await CatalogueStore.nextRuleVersion(
            featureKey, environmentID: environmentID, on: connection)
        let record = RuleRecord(
            rule: MeteringRule(
                id: PublicID(.rule, newID(at: now, 0)), featureKey: featureKey, version: version, price: price,
                effectiveFrom: effectiveFrom),
            createdAt: now)
        try await CatalogueStore.insertRule(record, environmentID: environmentID, on: connection)
        return answer(201) { $0.rule(record) }
    }

    private func createPackage(_ package: TopupPackage, now: Instant) async throws -> Answer {
        guard try await PackageStore.find(package.key, environmentID: environmentID, on: connection) == nil else {
            let problem = Problem(
                .conflict,
                "There is a package \(package.key.rawValue) already. Change it with PATCH, or choose another key.",
                errors: [Problem.FieldError(pointer: "/key", detail: "is taken")])
            return Answer(problem, requestID: requestID)
        }
        let record = PackageRecord(package: package, createdAt: now, updatedAt: now)
        try await PackageStore.insert(record, environmentID: environmentID, on: connection)
        return answer(201) { $0.topupPackage(record) }
    }

    private func unknownPackage(_ key: PackageKey) -> Answer {
        Answer(
            Problem(
                .notFound,
                "There is no package \(key.rawValue) in this environment. Create it with POST /v1/topup-packages."),
            requestID: requestID)
    }

    private func unknownFeature(_ key: FeatureKey) -> Answer {
        Answer(
            Problem(
                .unknownFeature,
                "There is no feature \(key.rawValue) in this environment. Create it with POST /v1/features."),
            requestID: requestID)
    }

    var noEnvironment: Answer {
        Answer(Problem(.notFound, "The environment of this key is gone."), requestID: requestID)
    }

    func refused(_ problem: Problem) -> Answer {
        Answer(problem, requestID: requestID)
    }

    func answer(_ status: UInt16, _ write: (inout JSONWriter) -> Void) -> Answer {
        var json = JSONWriter()
        write(&json)
        return Answer(status: status, body: json.bytes)
    }

    /// An id that the command alone determines, apart from the clock: `ordinal` tells the ids of one command apart.
    func newID(at now: Instant, _ ordinal: UInt64) -> Bits128 {
        let id = command.identity.id
        return Bits128(at: now, random: (id.high &+ ordinal, id.low &+ ordinal &* 0x9E37_79B9_7F4A_7C15))
    }
}
