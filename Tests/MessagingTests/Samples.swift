import Catalogue
import Commands
import Credits
import Ledger
import Metering
import Testing
import Webhooks

/// One sample of everything that is sent to the ledger, with a distinct value in every field.
enum Samples {
    static var alice: EndUserID {
        get throws { try #require(EndUserID("alice")) }
    }

    static var actions: [AccountAction] {
        get throws {
            let key = try #require(FeatureKey("api_calls"))
            let bob = try #require(EndUserID("bob"))
            let package = try #require(PackageKey("small"))
            let metadata = Metadata(canonicalJSON: #"{"model":"large"}"#)
            let month = try #require(CalendarDuration(iso8601: "P1MT5H"))
            let attributes = Attributes(["model": .string("é\""), "cached": .boolean(true), "tier": .integer(.min)])
            let payment = Payment(price: Millicredits.limit, currency: "EUR", externalID: "pay_é")
            let quantities = Measure.quantities(["input": .max, "output": 0])
            let quota = Quota(limit: 5, window: .duration(month), anchor: .firstUse)
            return [
                .use(
                    UsageEvent(featureKey: key, units: .max, occurredAt: Instant(microseconds: -1), metadata: metadata)),
                .use(UsageEvent(featureKey: key, measure: quantities, attributes: attributes)),
                .grant(
                    Grant(
                        credits: .max, source: .compensation, priority: 100, expiry: .at(Instant(microseconds: 5)),
                        featureKeys: [key, key], payment: payment, reason: "sorry", metadata: metadata)),
                .grant(Grant(credits: .max, expiry: .after(month))),
                .topUp(
                    TopUp(
                        credits: .amount(.max), payment: payment, fingerprint: Bits128(high: 3, low: .max),
                        priority: 0, expiry: .never, featureKeys: [key], reason: "r", metadata: metadata)),
                .topUp(TopUp(credits: .package(package), expiry: .after(month))),
                .refund(
                    Refund(
                        account: AccountID(-1), charge: .max, extent: .units(.max), compensationExpiry: .never,
                        reason: "r", metadata: metadata)),
                .refund(Refund(account: AccountID(1), charge: 1, extent: .credits(.max))),
                .refund(Refund(account: AccountID(1), charge: 1)),
                .revoke(Revocation(block: .max, reason: "chargeback", metadata: metadata)),
                .adjust(Adjustment(amount: -Millicredits.max, reason: "r", metadata: metadata)),
                .adjust(Adjustment(amount: .max)),
                .transfer(Transfer(receiver: bob, credits: .max, reason: "r", metadata: metadata)),
                .reserve(
                    ReservationRequest(
                        featureKey: key, estimate: .measured(quantities, attributes), ttlSeconds: 604_800,
                        metadata: metadata)),
                .reserve(ReservationRequest(featureKey: key, estimate: .credits(.zero), ttlSeconds: 1)),
                .reservation(1, .commit(.credits(.max), shortfall: .cap)),
                .reservation(1, .commit(.measured(.units(0), .none), shortfall: nil)),
                .reservation(.max, .release), .reservation(2, .extend(ttlSeconds: 300)),
                .reservation(3, .progress(.measured(.units(7), attributes))),
                .createSpendCap(NewSpendCap(featureKey: key, credits: .zero, window: .duration(month))),
                .createSpendCap(NewSpendCap(credits: .max, window: .week)), .deleteSpendCap(.max),
                .createEndUser(
                    EndUserChange(
                        name: .set("Alice"), metadata: .set(nil), overagePolicy: .set(.notify),
                        overageLimit: .set(.max),
                        overrides: .set([key: .quota(quota), try #require(FeatureKey("sso")): .enabled(false)]),
                        testClock: PublicID(.testClock, Bits128(high: 8, low: 9)))),
                .updateEndUser(
                    EndUserChange(
                        name: .set(nil), metadata: .set(metadata), overagePolicy: .set(nil), overageLimit: .set(nil),
                        overrides: .set([:]))),
                .refund(Refund(account: AccountID(1), charge: -1)), .revoke(Revocation(block: .min)),
                .reservation(0, .release),
                .deleteSpendCap(-1), .updateEndUser(EndUserChange(overrides: .set(nil))),
                .updateEndUser(EndUserChange()), .advance,
            ]
        }
    }

    /// A request with two commands, one request for each action on an account, one for each action on the catalogue, and
    /// one with the number of its sending.
    ///
    /// The bytes of each sample are recorded, so a new sample goes to the end, and none is changed.
    static var requests: [CommandRequest] {
        get throws {
            let identity = CommandIdentity(
                id: Bits128(high: 1, low: .max),
                idempotencyKey: IdempotencyKey(text: "é", fingerprint: Bits128(high: 2, low: 3)))
            let origin = RequestOrigin(
                environmentID: EnvironmentID(3),
                actor: Actor(keyID: Bits128(high: 4, low: 5), address: "192.0.2.1"), requestID: "req_1",
                traceParent: "00-ab-cd-01")
            let commands = try actions.map { action in
                AccountCommand(identity: identity, endUserID: try alice, action: action)
            }
            let installation = RequestOrigin(
                environmentID: .installation, actor: Actor(keyID: nil, address: nil), requestID: "")
            let unnamed = CommandIdentity(id: Bits128(high: 0, low: 0), idempotencyKey: nil)
            func request(_ action: CatalogueAction) -> CommandRequest {
                CommandRequest(
                    token: 2, origin: installation, wantsBodies: false,
                    commands: .catalogue(CatalogueCommand(identity: unnamed, action: action)))
            }
            func request(_ action: AccountAction) throws -> CommandRequest {
                CommandRequest(
                    token: 1, origin: origin, wantsBodies: true,
                    commands: .account([AccountCommand(identity: identity, endUserID: try alice, action: action)]))
            }
            return
                ([Array(commands.prefix(2))] + commands.map { [$0] }).map { commands in
                    CommandRequest(token: 1, origin: origin, wantsBodies: true, commands: .account(commands))
                }
                + (try catalogueActions.map { request($0) })
                + [
                    CommandRequest(
                        token: 3,
                        origin: RequestOrigin(
                            environmentID: EnvironmentID(3), actor: installation.actor, requestID: "req_2",
                            attempt: .max - 1),
                        wantsBodies: true, commands: .account([commands[0]]))
                ] + laterCatalogueActions.map { request($0) }
                + (try laterActions.map { try request($0) })
                + latestCatalogueActions.map { request($0) }
                + (try reportActions.map { request($0) })
                + (try latestActions.map { try request($0) })
                + (try topUpActions.map { try request($0) }) + (try severalActions.map { try request($0) })
                + (try planActions.map { request($0) }) + (try subscriptionActions.map { try request($0) })
                + (try migrationActions.map { request($0) }) + (try moveActions.map { try request($0) })
                + (try webhookActions.map { request($0) })
                + (try eventActions.map { try request($0) })
                + (try eventCatalogueActions.map { request($0) })
        }
    }

    /// Actions on accounts that say what is told of.
    static var eventActions: [AccountAction] {
        get throws {
            let limit = Limit(unit: .credits, amount: 5, window: .day, warnAt: [50, 100])
            return [
                .updateEndUser(EndUserChange(balanceLowThresholds: .set([.credits(.max), .percent(20)]))),
                .updateEndUser(EndUserChange(balanceLowThresholds: .set(nil))),
                .setLimit(try #require(LimitKey("five")), limit),
            ]
        }
    }

    /// Actions on the catalogue that say what is told of.
    private static var eventCatalogueActions: [CatalogueAction] {
        get throws {
            let limits = [
                try #require(LimitKey("five")): VariantLimit(
                    Limit(unit: .units, amount: 5, window: .day, warnAt: [80]), isPerQuantity: false)
            ]
            var terms = VariantTerms.defaults
            terms.limits = limits
            return [
                .updateConfig(
                    ConfigChange(
                        balanceLowThresholds: .set([.percent(1), .credits(.zero)]), expiringSoonHours: .set(24),
                        recordedEventTypes: .set(EventTypes([.creditsUsed, .endUserErased])))),
                .updateConfig(
                    ConfigChange(
                        balanceLowThresholds: .set(nil), expiringSoonHours: .set(nil), recordedEventTypes: .set(nil))),
                .createVariant(plan: .key(try #require(PlanKey("pro"))), NewVariant(name: "Warns", terms: terms)),
            ]
        }
    }

    private static var webhookActions: [CatalogueAction] {
        get throws {
            let id = Bits128(high: 61, low: 62)
            let url = try #require(WebhookURL("https://hooks.example.com/in?x=1"))
            return [
                .createWebhookEndpoint(
                    NewWebhookEndpoint(
                        url: url, eventTypes: ["topup.requested", "topup.failed"], description: "Höoks",
                        sealedSecret: [1, 2, 3])),
                .createWebhookEndpoint(
                    NewWebhookEndpoint(url: url, eventTypes: nil, description: nil, sealedSecret: [9])),
                .updateWebhookEndpoint(
                    id: id,
                    WebhookEndpointChange(
                        url: url, eventTypes: .set(["topup.failed"]), description: .set("d"), isEnabled: true)),
                .updateWebhookEndpoint(
                    id: id, WebhookEndpointChange(eventTypes: .set(nil), description: .set(nil), isEnabled: false)),
                .deleteWebhookEndpoint(id: id),
                .rotateWebhookSecret(id: id, sealedSecret: [4, 5], overlapSeconds: 3_600),
                .testWebhookEndpoint(id: id),
                .replayWebhookEvents(
                    id: id, from: Instant(microseconds: 1_000), to: Instant(microseconds: 2_000)),
                .replayWebhookEvents(id: id, from: Instant(microseconds: 1_000), to: nil),
                .retryWebhookDelivery(AccountID(77), number: 88),
            ]
        }
    }

    static var catalogueActions: [CatalogueAction] {
        get throws {
            let key = try #require(FeatureKey("api_calls"))
            let package = try #require(PackageKey("small"))
            let month = try #require(CalendarDuration(iso8601: "P1MT5H"))
            let secret = NewKey(hash: Array(repeating: 9, count: 32), hint: "wxyz")
            let rights = KeyRights(scopes: [.read(.credits), .write(.admin)], expiresAt: Instant(microseconds: 7))
            let quota = Quota(limit: 5, window: .duration(month), anchor: .firstUse)
            return [
                .createTenant(name: "Acme", liveKey: secret, testKey: secret),
                .createKey(name: "ci", secret, .all, grantor: .all),
                .createKey(name: "ci", secret, rights, grantor: .all),
                .revokeKey(id: Bits128(high: 5, low: 6), grantor: .all),
                .rollKey(id: Bits128(high: 5, low: 6), secret, overlapSeconds: 86_400, grantor: rights),
                .createFeature(NewFeature(key: key, name: "Calls", type: .limit)),
                .createFeature(NewFeature(key: key, name: "Calls", type: .metered, unitName: "call", quota: quota)),
                .updateFeature(key: key, FeatureChange(name: nil, unitName: "call", isArchived: true)),
                .updateFeature(key: key, FeatureChange(quota: .set(nil))),
                .updateFeature(key: key, FeatureChange(name: "Calls", quota: .set(quota))),
                .createRule(featureKey: key, price: Price(.flat(amount: .zero)), effectiveFrom: nil),
                .createRule(
                    featureKey: key,
                    price: Price(rows: [
                        Price.Row(
                            match: Attributes(["model": .string("é\"")]),
                            terms: .dimensions(["input": .perUnit(unitCost: .max, perUnits: 1_000)]))
                    ]), effectiveFrom: Instant(microseconds: .max)),
                .createPackage(
                    key: package,
                    PackageTerms(
                        name: "Small", credits: .max, price: 999, currency: "EUR", expiresAfter: month, priority: 7)),
                .updatePackage(
                    key: package,
                    PackageChange(
                        name: "Big", credits: .max, price: 0, currency: "USD", expiresAfter: .set(nil),
                        priority: .set(100), isArchived: true)),
                .updatePackage(key: package, PackageChange(expiresAfter: .set(month))),
                .updateConfig(ConfigChange(rateLimitPerSecond: .set(5), failClosedOverMilliseconds: .set(nil))),
                .updateConfig(ConfigChange(failClosedOverMilliseconds: .set(0))),
                .updateConfig(
                    ConfigChange(overagePolicy: .set(.notify), overageLimit: .set(.max), timeZone: .set("Asia/Tokyo"))),
                .updateConfig(ConfigChange(overagePolicy: .set(nil), overageLimit: .set(nil), timeZone: .set(nil))),
                .createTestClock(now: Instant(microseconds: -1)),
                .advanceTestClock(id: Bits128(high: 5, low: 6), to: Instant(microseconds: .max)),
                .revokeKey(id: Bits128(high: 5, low: 6), grantor: [.read(.credits), .write(.admin)]),
                .createTenantKey(tenantID: Bits128(high: 7, low: 8), .test, name: "rescue", secret, rights),
            ]
        }
    }

    /// Actions on accounts that were added after `laterCatalogueActions`.
    static var laterActions: [AccountAction] {
        get throws {
            let limit = Limit(
                unit: .units, amount: 5, window: .day, anchor: .firstUse,
                features: [try #require(FeatureKey("api_calls"))],
                match: ["model": [.string("large"), .boolean(true)], "size": [.integer(3)]], per: "member",
                dimension: "input")
            return [
                .setLimit(try #require(LimitKey("five")), limit), .setLimit(try #require(LimitKey("jobs")), nil),
                .deleteLimit(try #require(LimitKey("quota:api_calls"))),
                .grant(
                    Grant(
                        credits: .max, startsAt: Instant(microseconds: -1), expiry: .at(Instant(microseconds: 5)),
                        reason: "later")),
            ]
        }
    }

    /// Samples that were added after `latestCatalogueActions`.
    private static var reportActions: [CatalogueAction] {
        get throws {
            let key = try #require(FeatureKey("api_calls"))
            let attributes = try #require(ReportAttributes(["model", "member"]))
            return [
                .createFeature(NewFeature(key: key, name: "Calls", type: .metered, reportBy: attributes)),
                .updateFeature(key: key, FeatureChange(reportBy: .set(attributes))),
                .updateFeature(key: key, FeatureChange(reportBy: .set(nil))),
            ]
        }
    }

    /// Actions on subscriptions, which were added after `planActions`.
    static var subscriptionActions: [AccountAction] {
        get throws {
            let key = VariantName.key(try #require(VariantKey("pro.monthly")))
            let id = VariantName.id(PublicID(.planVariant, Bits128(high: 10, low: .max)))
            let later = Instant(microseconds: .max)
            return [
                .subscribe(NewSubscription(variant: key)),
                .subscribe(
                    NewSubscription(
                        variant: id, quantity: 1_000_000, startsAt: later, trialDays: 0,
                        contract: Contract(periods: 12, onEnd: .expire, noticeDays: 0),
                        metadata: Metadata(canonicalJSON: #"{"a":1}"#))),
                .subscription(1, .renew), .subscription(.max, .withdrawChange),
                .subscription(
                    2, .change(SubscriptionChange(variant: key, quantity: 3, timing: .now, proration: .restart))),
                .subscription(2, .change(SubscriptionChange(quantity: 3))),
                .subscription(2, .pause(until: nil)), .subscription(2, .pause(until: later)), .subscription(2, .resume),
                .subscription(2, .cancel(.now, revokesCredits: true)),
                .subscription(2, .cancel(.periodEnd, revokesCredits: false)), .subscription(2, .uncancel),
            ]
        }
    }

    /// Actions on the catalogue that were added after `subscriptionActions`.
    static var migrationActions: [CatalogueAction] {
        get throws {
            let variant = VariantName.key(try #require(VariantKey("pro.monthly")))
            let target = VariantName.id(PublicID(.planVariant, Bits128(high: 10, low: .max)))
            return [
                .migrateVariant(variant, NewVariantMigration()),
                .migrateVariant(target, NewVariantMigration(target: variant, timing: .now, proration: .restart)),
            ]
        }
    }

    /// Actions on subscriptions, which were added after `migrationActions`.
    static var moveActions: [AccountAction] {
        get throws {
            let source = PublicID(.planVariant, Bits128(high: 10, low: .max))
            let key = VariantName.key(try #require(VariantKey("pro.monthly")))
            return [
                .subscription(
                    2, .change(SubscriptionChange(variant: key, version: .max, source: source, timing: .periodEnd)))
            ]
        }
    }

    /// Actions on the catalogue that were added after `severalActions`.
    static var planActions: [CatalogueAction] {
        get throws {
            let key = try #require(FeatureKey("api_calls"))
            let (plan, variant) = (try #require(PlanKey("pro")), try #require(VariantKey("pro.monthly")))
            let planID = PublicID(.plan, Bits128(high: 9, low: .max))
            let variantID = PublicID(.planVariant, Bits128(high: 10, low: .max))
            let metadata = Metadata(canonicalJSON: #"{"a":"é"}"#)
            let hours = try #require(CalendarDuration(iso8601: "PT5H"))
            let terms = VariantTerms(
                billingInterval: BillingInterval(.month, count: 12), billingMode: .postpaid,
                grants: [
                    GrantLine(
                        credits: .max, cadence: .period, expiry: .periodEnd, priority: 7,
                        rollover: GrantLine.Rollover(percentage: 50, cap: .max), accumulationCap: .max,
                        featureKeys: [key]),
                    GrantLine(credits: .max, cadence: .every(hours, anchor: .firstUse), expiry: .nextGrant),
                ], features: [key: .quota(Quota(limit: 5, window: .day))],
                limits: [
                    try #require(LimitKey("five")): VariantLimit(
                        Limit(unit: .units, amount: 5, window: .duration(hours)), isPerQuantity: true)
                ], overagePolicy: .notify, trialDays: 14, trialCredits: .max, price: 990, currency: "EUR")
            let change = try VariantTermsChange(canonicalJSON: #"{"price":null,"trial_days":7}"#)
            return [
                .createPlan(
                    NewPlan(key: plan, name: "Pro", slot: try #require(PlanSlot("seats")), metadata: metadata)),
                .createPlan(NewPlan(name: "Pro")),
                .updatePlan(
                    .key(plan), PlanChange(name: "P", slot: .base, metadata: .set(metadata), isArchived: true)),
                .updatePlan(.id(planID), PlanChange(metadata: .set(nil))),
                .createVariant(
                    plan: .id(planID),
                    NewVariant(key: variant, name: "Monthly", terms: terms, fallback: .id(variantID))),
                .createVariant(plan: .key(plan), NewVariant(name: "Yearly", terms: .defaults)),
                .updateVariant(
                    .key(variant),
                    VariantChange(name: "M", terms: change, fallback: .set(.key(variant)), isArchived: false)),
                .updateVariant(.id(variantID), VariantChange(fallback: .set(nil))),
                .updateVariant(.id(variantID), VariantChange()),
                .createRule(
                    featureKey: key, price: Price(.flat(amount: .max)), effectiveFrom: nil, variant: .key(variant)),
                .updateConfig(
                    ConfigChange(defaultVariant: .set(.id(variantID)), fallbackVariant: .set(.key(variant)))),
                .updateConfig(ConfigChange(defaultVariant: .set(nil), fallbackVariant: .set(nil))),
            ]
        }
    }

    /// Actions that were added after `reportActions`.
    static let latestActions: [AccountAction] = [.eraseEndUser]

    /// Actions on the catalogue that were added after `laterActions`.
    private static let latestCatalogueActions: [CatalogueAction] = [
        .updateConfig(ConfigChange(createEndUsers: .set(.explicit))),
        .updateConfig(ConfigChange(createEndUsers: .set(nil))),
    ]

    /// Actions on reservations over several features, and on those in credits with attributes.
    static var severalActions: [AccountAction] {
        get throws {
            let keys = try ["chat", "images", "search"].map { try #require(FeatureKey($0)) }
            let attributes = Attributes(["member": .string("ann")])
            return [
                .reserve(ReservationRequest(featureKeys: keys, estimate: .credits(.max, attributes), ttlSeconds: 60)),
                .reserve(ReservationRequest(featureKey: keys[0], estimate: .credits(.max, attributes))),
                .reservation(1, .progress(.measured(.units(3), .none), of: keys[1])),
                .reservation(1, .commit(.credits(.zero, attributes), of: keys[2], shortfall: .cap)),
            ]
        }
    }

    /// All actions on accounts.
    static var allActions: [AccountAction] {
        get throws {
            try actions + laterActions + latestActions + topUpActions + severalActions + subscriptionActions
                + moveActions + eventActions
        }
    }

    /// Actions on accounts that were added after `latestActions`.
    static var topUpActions: [AccountAction] {
        get throws {
            let package = try #require(PackageKey("small"))
            return [
                .setAutoTopUp(
                    AutoTopUpRule(
                        threshold: .max, amount: .package(package),
                        ceiling: AutoTopUpCeiling(count: 1_000, window: .week), cooldownSeconds: 31_622_400,
                        stopAfterFailures: 100)),
                .setAutoTopUp(AutoTopUpRule(threshold: .zero, amount: .amount(.max))), .deleteAutoTopUp,
                .failTopUpRequest(.max, reason: "é"), .failTopUpRequest(1, reason: nil),
                .topUp(
                    TopUp(
                        credits: nil, request: PublicID(.topUpRequest, Bits128(high: 7, low: .max)),
                        fingerprint: Bits128(high: 3, low: 4))),
                .topUp(
                    TopUp(
                        credits: .package(package), request: PublicID(.topUpRequest, Bits128(high: 7, low: 8)),
                        payment: Payment(externalID: "pay"))),
            ]
        }
    }

    /// Samples that were added after the last list of `requests`.
    private static let laterCatalogueActions: [CatalogueAction] = [
        .updateTenantLimits(tenantID: Bits128(high: 7, low: 8), rateLimitPerSecond: .set(50)),
        .updateTenantLimits(tenantID: Bits128(high: 7, low: 8), rateLimitPerSecond: .set(nil)),
    ]
}
