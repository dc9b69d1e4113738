import Answers
import Catalogue
import Commands
import Credits
import JSON
import Metering
import Postgres
import Storage

/// Applies one catalogue command in a transaction of its own.
struct CatalogueChange {
    let origin: RequestOrigin
    let command: CatalogueCommand
    let connection: PostgresConnection

    var environmentID: EnvironmentID { origin.environmentID }

    static func apply(
        _ command: CatalogueCommand, from origin: RequestOrigin, on connection: PostgresConnection
    ) async throws -> CommandResult {
        _ = try await connection.run(PostgresQuery("begin"))
        return try await CatalogueChange(origin: origin, command: command, connection: connection).run()
    }

    private func run() async throws -> CommandResult {
        let environment = try await lockEnvironment()
        let key = CommandKey(environmentID: environmentID, id: command.identity.id)
        let earlier = try await CommandStore.find(key, on: connection)
        let now = try await CatalogueStore.now(on: connection)
        // The key may have named a refusal of an end user. Its end is judged by real time here, whatever the end user's
        // clock shows: a refusal had no effect.
        switch earlier?.verdict(for: command.identity.fingerprint, from: origin, now: now) {
        case .replay?: return try await repeated(earlier)
        case .conflict?: return try await repeated(nil)
        case .erased?:
            _ = try await connection.run(PostgresQuery("rollback"))
            return CommandResult(.answerErased, requestID: origin.requestID)
        case .free?, nil: break
        }
        var created: EnvironmentID?
        let answer = try await decide(environment, created: &created, now: now)
        let isChange = (200..<300).contains(answer.status)
        var position = Position.none
        if isChange, let environment {
            position = .catalogue(environment.id, version: environment.catalogueVersion + 1)
        }
        if let created { position = .catalogue(created, version: 1) }
        let decision = DecidedCommand(
            key: key, fingerprint: command.identity.fingerprint, status: answer.status, position: position,
            content: .body(answer.body), action: AuditAction(command.action), actor: origin.actor,
            requestID: origin.requestID, attempt: origin.attempt, decidedAt: now)
        var decisions = [decision]
        // A command of the installation that changes an environment is in the logs of both.
        if let environment, environment.id != environmentID { decisions.append(decision.recorded(in: environment.id)) }
        try await CatalogueStore.finish(
            decisions, replacesForgotten: earlier != nil, raising: isChange ? environment?.id : nil, on: connection)
        return CommandResult(decision, isReplay: false, wantsBody: true)
    }

    /// Locks the environment whose catalogue the command changes; nil when there is none.
    private func lockEnvironment() async throws -> EnvironmentRow? {
        if case .createTenantKey(let tenantID, let kind, _, _, _) = command.action {
            return try await CatalogueStore.lock(kind, ofTenant: tenantID, on: connection)
        }
        if case .updateTenantLimits(let tenantID, _) = command.action {
            return try await CatalogueStore.lock(.live, ofTenant: tenantID, on: connection)
        }
        guard environmentID != .installation else { return nil }
        return try await CatalogueStore.lock(environmentID, on: connection)
    }

    /// Commits the unchanged transaction and returns the result of a command that was decided before.
    ///
    /// - Parameter earlier: Nil when the request is a different one, which is answered 422.
    private func repeated(_ earlier: DecidedCommand?) async throws -> CommandResult {
        try await CatalogueStore.finish([], raising: nil, on: connection)
        guard let earlier else { return CommandResult(.keyReuse, requestID: origin.requestID) }
        return CommandResult(earlier, isReplay: earlier.isReplay(for: origin), wantsBody: true)
    }

    /// - Parameters:
    ///   - environment: The environment whose catalogue the command changes; nil when there is none.
    ///   - created: Set to an environment of a new tenant. A replica that has seen its first version has seen the whole
    ///     tenant.
    private func decide(
        _ environment: EnvironmentRow?, created: inout EnvironmentID?, now: Instant
    ) async throws -> Answer {
        let kind = environment?.kind
        switch command.action {
        case .createTenant(let name, let liveKey, let testKey):
            let tenant = Tenant(id: newID(at: now, 0), name: name, createdAt: now)
            created = try await TenantStore.insert(
                tenant, keys: [.live: (newID(at: now, 1), liveKey), .test: (newID(at: now, 2), testKey)],
                on: connection)
            return Answer(201) { $0.tenant(tenant) }
        case .createKey(let name, let key, let rights, let grantor):
            guard let environment else { return noEnvironment }
            guard try await hasRoom(in: KeyRow.table) else { return refused(.tooMany("API keys")) }
            return try await createKey(name, key, rights, grantor: grantor, in: environment, now: now)
        case .createTenantKey(_, _, let name, let key, let rights):
            // A tenant that is locked out gets a key even if it has as many as it may have.
            guard let environment else { return refused(.unknownTenant) }
            return try await createKey(name, key, rights, grantor: .all, in: environment, now: now)
        case .updateTenantLimits(let tenantID, let rateLimit):
            guard let environment else { return refused(.unknownTenant) }
            let limit = rateLimit.applied(to: environment.config.operatorRateLimit)
            try await TenantStore.setRateLimit(limit, of: tenantID, locked: environment.id, on: connection)
            return Answer(200) { $0.tenantLimits(rateLimitPerSecond: limit) }
        case .revokeKey(let id, let grantor): return try await revokeKey(id, grantor: grantor, now: now)
        case .rollKey(let id, let key, let overlapSeconds, let grantor):
            return try await rollKey(id, key, overlapSeconds: overlapSeconds, grantor: grantor, now: now)
        case .createFeature(let new):
            let feature = Feature(
                key: new.key, name: new.name, type: new.type, unitName: new.unitName, quota: new.quota,
                quotaSince: new.quota == nil ? nil : now, reportBy: new.reportBy, createdAt: now)
            return try await create(
                feature, FeatureRow.self, new.key, "features", taken: .taken("a feature", new.key.rawValue)
            ) {
                $0.feature($1)
            }
        case .updateFeature(let key, let change): return try await updateFeature(key, change, now: now)
        case .createRule(let featureKey, let price, let effectiveFrom, let variant):
            return try await createRule(
                featureKey, price: price, effectiveFrom: effectiveFrom ?? now, variant: variant, now: now)
        case .createPackage(let key, let terms):
            let package = TopupPackage(key: key, terms: terms, createdAt: now)
            return try await create(
                package, PackageRow.self, key, "packages", taken: .taken("a package", key.rawValue)
            ) {
                $0.topupPackage($1)
            }
        case .updatePackage(let key, let change):
            return try await update(PackageRow.self, key, unknown: .unknownPackage(key)) {
                $0.topupPackage($1)
            } changed: {
                .success($0.applying(change, at: now))
            }
        case .createPlan(let new): return try await createPlan(new, now: now)
        case .updatePlan(let name, let change): return try await updatePlan(name, change, now: now)
        case .createVariant(let plan, let new): return try await createVariant(plan, new, now: now)
        case .updateVariant(let name, let change): return try await updateVariant(name, change, now: now)
        case .migrateVariant(let name, let new): return try await migrateVariant(name, new, now: now)
        case .updateConfig(let change): return try await updateConfig(change)
        case .createTestClock(let instant): return try await createTestClock(instant, kind: kind, now: now)
        case .advanceTestClock(let id, let instant):
            return try await advanceTestClock(id, to: instant, kind: kind, now: now)
        case .createWebhookEndpoint(let new): return try await createWebhookEndpoint(new, now: now)
        case .updateWebhookEndpoint(let id, let change): return try await updateWebhookEndpoint(id, change, now: now)
        case .deleteWebhookEndpoint(let id): return try await deleteWebhookEndpoint(id, now: now)
        case .rotateWebhookSecret(let id, let secret, let overlap):
            return try await rotateWebhookSecret(id, secret, overlapSeconds: overlap, now: now)
        case .testWebhookEndpoint(let id): return try await testWebhookEndpoint(id)
        case .replayWebhookEvents(let id, let from, let to):
            return try await replayWebhookEvents(id, from: from, to: to ?? now, now: now)
        case .retryWebhookDelivery(let account, let number):
            return try await retryWebhookDelivery(number, of: account)
        }
    }

    private func updateFeature(_ key: FeatureKey, _ change: FeatureChange, now: Instant) async throws -> Answer {
        try await update(FeatureRow.self, key, unknown: .unknownFeature(key)) {
            $0.feature($1)
        } changed: { feature in
            if let field = change.meteredField, feature.type != .metered {
                let problem = Problem(
                    .invalidRequest,
                    "\(key.rawValue) is a \(feature.type.rawValue) feature: only metered features have \(field).",
                    errors: [Problem.FieldError(pointer: "/\(field)", detail: "is for metered features only")])
                return .failure(problem)
            }
            return .success(feature.applying(change, at: now))
        }
    }

    // MARK: - Items of the catalogue

    /// Adds an item unless there is one with its key, or too many.
    ///
    /// - Parameter nouns: The kind of items, for people.
    private func create<Row: CatalogueRow>(
        _ item: Row.Item, _ row: Row.Type, _ key: Row.Key, _ nouns: String, taken: Problem,
        write: (inout JSONWriter, Row.Item) -> Void
    ) async throws -> Answer {
        let items = CatalogueItems<Row>.self
        guard try await items.find(key, environmentID: environmentID, on: connection) == nil else {
            return refused(taken)
        }
        guard try await hasRoom(in: Row.table) else { return refused(.tooMany(nouns)) }
        try await items.insert(item, environmentID: environmentID, on: connection)
        return Answer(201) { write(&$0, item) }
    }

    /// Changes an item.
    ///
    /// - Parameter changed: Computes the item after the change, or refuses the change.
    private func update<Row: MutableCatalogueRow>(
        _ row: Row.Type, _ key: Row.Key, unknown: Problem, write: (inout JSONWriter, Row.Item) -> Void,
        changed: (Row.Item) -> Result<Row.Item, Problem>
    ) async throws -> Answer {
        let items = CatalogueItems<Row>.self
        guard let item = try await items.find(key, environmentID: environmentID, on: connection) else {
            return refused(unknown)
        }
        switch changed(item) {
        case .failure(let problem): return refused(problem)
        case .success(let changed):
            try await items.update(changed, environmentID: environmentID, on: connection)
            return Answer(200) { write(&$0, changed) }
        }
    }

    /// Whether the environment may have one more row in a table of its catalogue.
    func hasRoom(in table: String) async throws -> Bool {
        try await !CatalogueStore.isFull(table, environmentID: environmentID, on: connection)
    }

    // MARK: - Configuration and rules

    private func updateConfig(_ change: ConfigChange) async throws -> Answer {
        if case .set(let name?) = change.timeZone,
            try await !CatalogueStore.isTimeZone(name, on: connection)
        {
            return refused(
                Problem(
                    .invalidRequest, "There is no time zone with that name. Use an IANA name such as Europe/Berlin.",
                    errors: [Problem.FieldError(pointer: "/timezone", detail: "must be the IANA name of a time zone")]))
        }
        var (defaultVariant, fallbackVariant) = (FieldChange<PublicID>.keep, FieldChange<PublicID>.keep)
        do {
            if case .set(let name) = change.defaultVariant {
                defaultVariant = .set(try await self.defaultVariant(name))
            }
            if case .set(let name) = change.fallbackVariant {
                fallbackVariant = .set(try await self.fallbackVariant(name))
            }
        } catch let problem as Problem {
            return refused(problem)
        }
        let config = try await CatalogueStore.updateConfig(
            change, defaultVariant: defaultVariant, fallbackVariant: fallbackVariant, environmentID: environmentID,
            on: connection)
        guard let config else { return noEnvironment }
        return Answer(200) { $0.config(config) }
    }

    /// - Parameter variantName: The variant to whose subscribers the rule belongs; nil for a rule for all others. The
    ///   variant may be archived, because its subscriptions go on.
    private func createRule(
        _ featureKey: FeatureKey, price: Price, effectiveFrom: Instant, variant variantName: VariantName?, now: Instant
    ) async throws -> Answer {
        guard try await FeatureStore.find(featureKey, environmentID: environmentID, on: connection) != nil else {
            return refused(.unknownFeature(featureKey))
        }
        var variantID: PublicID?
        if let variantName {
            guard let found = try await variant(variantName) else {
                return refused(.unknownVariant(variantName, at: "/plan_variant_id"))
            }
            variantID = found.id
        }
        guard try await hasRoom(in: RuleRow.table) else { return refused(.tooMany("rules")) }
        let bytes = try await RuleStore.bytes(environmentID: environmentID, on: connection)
        guard bytes + Int64(price.canonicalJSON.utf8.count) <= Int64(CatalogueLimits.ruleBytes) else {
            return refused(
                Problem(
                    .conflict,
                    "All rules of an environment together can have at most \(CatalogueLimits.ruleBytes >> 20) MiB. Use fewer price rows, dimensions or tiers."
                ))
        }
        let version = try await RuleStore.nextVersion(
            featureKey, variant: variantID, environmentID: environmentID, on: connection)
        let rule = MeteringRule(
            id: PublicID(.rule, newID(at: now, 0)), featureKey: featureKey, variantID: variantID, version: version,
            price: price, effectiveFrom: effectiveFrom, createdAt: now)
        try await RuleStore.insert(rule, environmentID: environmentID, on: connection)
        return Answer(201) { $0.rule(rule) }
    }

    // MARK: - Answers

    var noEnvironment: Answer {
        refused(Problem(.notFound, "The environment of this API key no longer exists."))
    }

    func refused(_ problem: Problem) -> Answer {
        Answer(problem, requestID: origin.requestID)
    }

    /// Makes an id from an instant and the command's id.
    ///
    /// - Parameter ordinal: Differs between the ids of one command.
    func newID(at now: Instant, _ ordinal: UInt64) -> Bits128 {
        let id = command.identity.id
        return Bits128(at: now, random: (id.high &+ ordinal, id.low &+ ordinal &* 0x9E37_79B9_7F4A_7C15))
    }
}

extension FeatureChange {
    /// The first field that the change sets and that only metered features have.
    fileprivate var meteredField: String? {
        if case .set(.some) = quota { return "quota" }
        if case .set(.some) = reportBy { return "report_by" }
        return nil
    }
}
