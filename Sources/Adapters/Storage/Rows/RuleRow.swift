package import Catalogue
package import Credits
package import Postgres
import Metering

/// A row of `metering_rules`.
package struct RuleRow: TableRow, Sendable {
    package let environmentID: EnvironmentID
    package let rule: MeteringRule

    package static let table = "metering_rules"
    package static let columns = [
        "environment_id", "rule_id", "feature_key", "version", "price", "effective_from", "created_at",
    ]

    package init(environmentID: EnvironmentID, rule: MeteringRule) {
        self.environmentID = environmentID
        self.rule = rule
    }

    package init(_ fields: inout RowFields, keeping old: RuleRow?) throws {
        environmentID = try fields.environmentID(or: old?.environmentID)
        let before = old?.rule
        rule = MeteringRule(
            id: PublicID(.rule, try fields.bits(or: before?.id.bits)),
            featureKey: try fields.featureKey(or: before?.featureKey), version: try fields.int32(or: before?.version),
            price: try fields.parsed("price", or: before?.price) { try Price(json: $0) },
            effectiveFrom: try fields.instant(or: before?.effectiveFrom),
            createdAt: try fields.instant(or: before?.createdAt))
    }
}

extension BulkStatement<RuleRow> {
    static let insertRules = BulkStatement.insert(
        into: RuleRow.table,
        [
            .int32("environment_id") { $0.environmentID.rawValue as Int32 },
            .bits("rule_id") { $0.rule.id.bits as Bits128 },
            .text("feature_key") { $0.rule.featureKey.rawValue as String },
            .int32("version") { $0.rule.version as Int32 },
            .text("price") { $0.rule.price.canonicalJSON as String },
            .instant("effective_from") { $0.rule.effectiveFrom as Instant },
            .instant("created_at") { $0.rule.createdAt as Instant },
        ])
}
