package import Catalogue
package import Credits
package import Metering
package import Webhooks

/// A command for the catalogue of an environment, or for the installation.
package struct CatalogueCommand: Hashable, Sendable {
    package let identity: CommandIdentity
    package let action: CatalogueAction

    package init(identity: CommandIdentity, action: CatalogueAction) {
        self.identity = identity
        self.action = action
    }
}

/// A change of a catalogue. The API has checked the shape; the ledger worker checks everything that depends on the
/// catalogue's state.
package enum CatalogueAction: Hashable, Sendable {
    /// Creates a tenant with a live and a test environment, and one key for each.
    case createTenant(name: String, liveKey: NewKey, testKey: NewKey)
    /// - `grantor`: The rights of the calling key. The new key cannot have more.
    case createKey(name: String, NewKey, KeyRights, grantor: KeyRights)
    /// Creates a key in an environment of a tenant. Only the root key may do so.
    case createTenantKey(tenantID: Bits128, EnvironmentKind, name: String, NewKey, KeyRights)
    /// Sets the operator's limits of a tenant, for both of its environments. Only the root key may do so.
    case updateTenantLimits(tenantID: Bits128, rateLimitPerSecond: FieldChange<Int32>)
    /// - `grantor`: The scopes of the calling key. It cannot revoke a key that has others.
    case revokeKey(id: Bits128, grantor: KeyScopes)
    /// Creates a key with the name and the rights of another key. The other key expires after the overlap.
    case rollKey(id: Bits128, NewKey, overlapSeconds: Int64, grantor: KeyRights)
    case createFeature(NewFeature)
    case updateFeature(key: FeatureKey, FeatureChange)
    case createRule(featureKey: FeatureKey, price: Price, effectiveFrom: Instant?, variant: VariantName? = nil)
    case createPackage(key: PackageKey, PackageTerms)
    case updatePackage(key: PackageKey, PackageChange)
    case createPlan(NewPlan)
    case updatePlan(PlanName, PlanChange)
    case createVariant(plan: PlanName, NewVariant)
    /// Makes a new version.
    case updateVariant(VariantName, VariantChange)
    /// Makes a job that moves the subscriptions of a variant.
    case migrateVariant(VariantName, NewVariantMigration)
    case updateConfig(ConfigChange)
    case createTestClock(now: Instant)
    case advanceTestClock(id: Bits128, to: Instant)
    case createWebhookEndpoint(NewWebhookEndpoint)
    case updateWebhookEndpoint(id: Bits128, WebhookEndpointChange)
    case deleteWebhookEndpoint(id: Bits128)
    /// Replaces the secret. The earlier one stays valid for the overlap.
    /// - `sealedSecret`: As `SecretSeal` has sealed it.
    case rotateWebhookSecret(id: Bits128, sealedSecret: [UInt8], overlapSeconds: Int64)
    /// Sends a test event to an endpoint.
    case testWebhookEndpoint(id: Bits128)
    /// Delivers the events again that were recorded from one instant and before another; nil is now.
    case replayWebhookEvents(id: Bits128, from: Instant, to: Instant?)
    /// Attempts a delivery once more, as soon as the deliveries before it are finished.
    case retryWebhookDelivery(AccountID, number: Int64)
}

extension AuditAction {
    package static let createFeature = AuditAction("feature.create", .catalog)
    package static let updateFeature = AuditAction("feature.update", .catalog)
    package static let createRule = AuditAction("metering_rule.create", .catalog)
    package static let createPackage = AuditAction("topup_package.create", .catalog)
    package static let updatePackage = AuditAction("topup_package.update", .catalog)
    package static let createPlan = AuditAction("plan.create", .catalog)
    package static let updatePlan = AuditAction("plan.update", .catalog)
    package static let createVariant = AuditAction("plan_variant.create", .catalog)
    package static let updateVariant = AuditAction("plan_variant.update", .catalog)
    package static let migrateVariant = AuditAction("plan_variant.migrate", .catalog)
    package static let createKey = AuditAction("api_key.create", .admin, secret: .apiKey)
    package static let rollKey = AuditAction("api_key.roll", .admin, secret: .apiKey)
    package static let revokeKey = AuditAction("api_key.revoke", .admin)
    package static let updateConfig = AuditAction("config.update", .admin)
    package static let createTestClock = AuditAction("test_clock.create", .admin)
    package static let advanceTestClock = AuditAction("test_clock.advance", .admin)
    package static let createTenant = AuditAction("tenant.create", .admin, secret: .tenantKeys)
    package static let updateTenantLimits = AuditAction("tenant.update_limits", .admin)

    package static let createWebhookEndpoint = AuditAction(
        "webhook_endpoint.create", .webhooks, secret: .webhookSecret)
    package static let updateWebhookEndpoint = AuditAction("webhook_endpoint.update", .webhooks)
    package static let deleteWebhookEndpoint = AuditAction("webhook_endpoint.delete", .webhooks)
    package static let rotateWebhookSecret = AuditAction(
        "webhook_endpoint.rotate_secret", .webhooks, secret: .webhookSecret)
    package static let testWebhookEndpoint = AuditAction("webhook_endpoint.test", .webhooks)
    package static let replayWebhookEvents = AuditAction("webhook_endpoint.replay", .webhooks)
    package static let retryWebhookDelivery = AuditAction("webhook_delivery.retry", .webhooks)

    static let catalogueActions: [AuditAction] = [
        createFeature, updateFeature, createRule, createPackage, updatePackage, createPlan, updatePlan,
        createVariant, updateVariant, migrateVariant, createKey, rollKey, revokeKey,
        updateConfig, createTestClock, advanceTestClock, createTenant, updateTenantLimits,
        createWebhookEndpoint, updateWebhookEndpoint, deleteWebhookEndpoint, rotateWebhookSecret,
        testWebhookEndpoint, replayWebhookEvents, retryWebhookDelivery,
    ]

    package init(_ action: CatalogueAction) {
        switch action {
        case .createTenant: self = .createTenant
        case .createKey, .createTenantKey: self = .createKey
        case .updateTenantLimits: self = .updateTenantLimits
        case .revokeKey: self = .revokeKey
        case .rollKey: self = .rollKey
        case .createFeature: self = .createFeature
        case .updateFeature: self = .updateFeature
        case .createRule: self = .createRule
        case .createPackage: self = .createPackage
        case .updatePackage: self = .updatePackage
        case .createPlan: self = .createPlan
        case .updatePlan: self = .updatePlan
        case .createVariant: self = .createVariant
        case .updateVariant: self = .updateVariant
        case .migrateVariant: self = .migrateVariant
        case .updateConfig: self = .updateConfig
        case .createTestClock: self = .createTestClock
        case .advanceTestClock: self = .advanceTestClock
        case .createWebhookEndpoint: self = .createWebhookEndpoint
        case .updateWebhookEndpoint: self = .updateWebhookEndpoint
        case .deleteWebhookEndpoint: self = .deleteWebhookEndpoint
        case .rotateWebhookSecret: self = .rotateWebhookSecret
        case .testWebhookEndpoint: self = .testWebhookEndpoint
        case .replayWebhookEvents: self = .replayWebhookEvents
        case .retryWebhookDelivery: self = .retryWebhookDelivery
        }
    }
}
