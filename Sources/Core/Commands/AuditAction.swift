package import Catalogue
package import Ledger

/// The kinds of mutation in the audit log. Each name is a noun and a verb.
package enum AuditAction: String, Sendable, CaseIterable {
    case createUsage = "usage.create"
    case grantCredits = "credits.grant"
    case createTopUp = "topup.create"
    case refundCredits = "credits.refund"
    case revokeCredits = "credits.revoke"
    case adjustCredits = "credits.adjust"
    case transferCredits = "credits.transfer"
    case createReservation = "reservation.create"
    case commitReservation = "reservation.commit"
    case releaseReservation = "reservation.release"
    case extendReservation = "reservation.extend"
    case progressReservation = "reservation.progress"
    case createSpendCap = "spend_cap.create"
    case deleteSpendCap = "spend_cap.delete"
    case createEndUser = "end_user.create"
    case updateEndUser = "end_user.update"
    case createFeature = "feature.create"
    case updateFeature = "feature.update"
    case createRule = "metering_rule.create"
    case createPackage = "topup_package.create"
    case updatePackage = "topup_package.update"
    case createKey = "api_key.create"
    case rollKey = "api_key.roll"
    case revokeKey = "api_key.revoke"
    case updateConfig = "config.update"
    case createTestClock = "test_clock.create"
    case advanceTestClock = "test_clock.advance"
    case createTenant = "tenant.create"

    /// The area of the mutation. A key with the right to read the area may see the operation.
    package var area: AccessArea {
        switch self {
        case .createUsage: .usage
        case .grantCredits, .createTopUp, .refundCredits, .revokeCredits, .adjustCredits, .transferCredits,
            .createEndUser, .updateEndUser:
            .credits
        case .createReservation, .commitReservation, .releaseReservation, .extendReservation, .progressReservation:
            .reservations
        case .createSpendCap, .deleteSpendCap: .entitlements
        case .createFeature, .updateFeature, .createRule, .createPackage, .updatePackage: .catalog
        case .createKey, .rollKey, .revokeKey, .updateConfig, .createTestClock, .advanceTestClock, .createTenant: .admin
        }
    }

    /// Nil for `advance`, which the scheduler issues and not a client.
    package init?(_ action: AccountAction) {
        switch action {
        case .use: self = .createUsage
        case .grant: self = .grantCredits
        case .topUp: self = .createTopUp
        case .refund: self = .refundCredits
        case .revoke: self = .revokeCredits
        case .adjust: self = .adjustCredits
        case .transfer: self = .transferCredits
        case .reserve: self = .createReservation
        case .reservation(_, .commit): self = .commitReservation
        case .reservation(_, .release): self = .releaseReservation
        case .reservation(_, .extend): self = .extendReservation
        case .reservation(_, .progress): self = .progressReservation
        case .createSpendCap: self = .createSpendCap
        case .deleteSpendCap: self = .deleteSpendCap
        case .createEndUser: self = .createEndUser
        case .updateEndUser: self = .updateEndUser
        case .advance: return nil
        }
    }

    package init(_ action: CatalogueAction) {
        switch action {
        case .createTenant: self = .createTenant
        case .createKey: self = .createKey
        case .revokeKey: self = .revokeKey
        case .rollKey: self = .rollKey
        case .createFeature: self = .createFeature
        case .updateFeature: self = .updateFeature
        case .createRule: self = .createRule
        case .createPackage: self = .createPackage
        case .updatePackage: self = .updatePackage
        case .updateConfig: self = .updateConfig
        case .createTestClock: self = .createTestClock
        case .advanceTestClock: self = .advanceTestClock
        }
    }

    /// The secret that a successful answer shows and the ledger does not know; nil for actions without a secret.
    package var secret: SecretKind? {
        switch self {
        case .createTenant: .tenantKeys
        case .createKey, .rollKey: .apiKey
        default: nil
        }
    }
}

/// A secret that an answer shows once. The ledger stores only digests; the API derives the secret from the command's
/// id.
package enum SecretKind: Hashable, Sendable {
    /// `key`: the text of a new API key.
    case apiKey
    /// `api_keys`: the keys of a new tenant's environments.
    case tenantKeys
}
